"""Words for titles, which hint at the genre of a movie, as content models expect."""

from __future__ import annotations

import numpy as np

from jobs.source.streams import Integers

GENRES = (
    ("Drama", 0.22, ("Daughter", "Silence", "Winter", "Letters", "Family", "House", "Confession")),
    ("Comedy", 0.18, ("Wedding", "Neighbours", "Holiday", "Roommates", "Mix-up", "Cousin", "Café")),
    ("Action", 0.12, ("Strike", "Bullet", "Commando", "Pursuit", "Avenger", "Showdown", "Fury")),
    (
        "Thriller",
        0.10,
        ("Witness", "Conspiracy", "Stranger", "Hostage", "Deception", "Alibi", "Obsession"),
    ),
    ("Romance", 0.08, ("Kiss", "Heart", "Summer", "Lovers", "Promise", "Señorita", "Valentine")),
    ("Crime", 0.07, ("Heist", "Detective", "Syndicate", "Verdict", "Informer", "Racket", "Alley")),
    ("Horror", 0.06, ("Crypt", "Haunting", "Curse", "Asylum", "Possession", "Scream", "Wölfin")),
    (
        "Adventure",
        0.05,
        ("Voyage", "Treasure", "Island", "Expedition", "Quest", "Jungle", "Compass"),
    ),
    ("Sci-Fi", 0.04, ("Galaxy", "Android", "Orbit", "Colony", "Signal", "Clone", "Starship")),
    ("Animation", 0.03, ("Dragon", "Kitten", "Toys", "Robot", "Princess", "Penguin", "Puppet")),
    (
        "Documentary",
        0.03,
        ("Archive", "Portrait", "Chronicle", "Ocean", "Harvest", "Glacier", "Witnesses"),
    ),
    ("War", 0.02, ("Battalion", "Trench", "Siege", "Bridge", "Soldier", "Front", "Armistice")),
)
"""Name, share of the first genres of movies, words of titles."""

_ADJECTIVES = (
    "Last",
    "Silent",
    "Golden",
    "Broken",
    "Hidden",
    "Crimson",
    "Lonely",
    "Perfect",
    "Midnight",
    "Forgotten",
    "Burning",
    "Secret",
    "Distant",
    "Little",
    "Endless",
    "Naïve",
    "Restless",
    "Second",
    "Blue",
    "Wild",
)
_PLACES = (
    "Paris",
    "Kraków",
    "Berlin",
    "Málaga",
    "the North",
    "Tomorrow",
    "Zürich",
    "Marseille",
    "the Valley",
    "Göteborg",
    "Lisbon",
    "the Past",
    "Brno",
    "the River",
    "Århus",
)
_PATTERNS = (
    "The {adjective} {noun}",
    "{adjective} {noun}",
    "{noun} of {place}",
    "{noun} in {place}",
    "The {noun}",
)


def titles(random: np.random.Generator, genre: Integers) -> list[str]:
    """Return a title per movie, by the position of its first genre; some repeat, like remakes."""
    draws = random.random((len(genre), 4))
    return [
        _pick(_PATTERNS, pattern).format(
            adjective=_pick(_ADJECTIVES, adjective),
            noun=_pick(GENRES[first][2], noun),
            place=_pick(_PLACES, place),
        )
        for first, (pattern, adjective, noun, place) in zip(
            genre.tolist(), draws.tolist(), strict=True
        )
    ]


def _pick(words: tuple[str, ...], share: float) -> str:
    return words[int(share * len(words))]
