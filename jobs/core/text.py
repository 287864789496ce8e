"""Text from data, made safe to show on a terminal, in a log line or in a page."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

# Cc: control characters. Cf: invisible ones that reorder or hide text. Cs: halves of a pair. Zl, Zp: line ends.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"  # Cf, but part of the spelling of Persian and Indian languages and of emoji


def printable(text: str, keep: str = "") -> str:
    """`text` with every control character as its escape (`\\x1b`), so that no terminal acts on it.

    Returns one line, unless `keep` has `\\n`: the characters of `keep` stay as they are.
    """
    return "".join(
        character if character in keep or not _unprintable(character) else _escape(character)
        for character in text
    )


def printable_json(document: str) -> str:
    """A JSON document in which control characters are JSON's escapes (`\\u001b`): the same values, safe to show."""
    return "".join(
        character if character == "\n" or not _unprintable(character) else json.dumps(character)[1:-1]
        for character in document
    )


def choice(name: str, names: Iterable[str]) -> str:
    """What to write in place of an unknown `name`: the nearest of `names`, if one is near, and all of them."""
    names = list(names)
    near = get_close_matches(name.lower(), names, n=1)
    return (f"did you mean {near[0]}? " if near else "") + f"choose one of {', '.join(names)}"


def _unprintable(character: str) -> bool:
    return unicodedata.category(character) in _UNPRINTABLE and character not in _JOINERS


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()
