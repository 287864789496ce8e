"""Files of MovieLens, MovieTweetings and Netflix: ratings and movies, with or without a header."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from jobs.core.errors import ConfigError
from jobs.source.batch import InputFile
from jobs.source.content import first_bytes, is_parquet
from jobs.source.csv_file import CsvFile, CsvFormat
from jobs.source.files import open_file
from jobs.source.lines import LINE, Flagged, Headed, Lines
from jobs.usecases.movies.operational.formats import Format

_NEVER = "\x1f"  # a delimiter that never occurs, so that the whole line is one column
_START = 1 << 16

GENRES = (
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
"""The flags of u.item in order, after a first one for "unknown"."""

_RATING = ("user_id", "movie_id", "value", "timestamp")
_ITEM = ("movie_id", "title", "released", "video", "url", "unknown", *GENRES)


@dataclass(frozen=True)
class Layout:
    """The line formats of one kind of file.

    `colons` matches a line with `::`, described by `shape`. `plain` is the format of MovieLens
    100K, and `known` matches one of its lines. `netflix` opens a file of Netflix, which starts with
    a line that matches `netflix_known`.
    """

    shape: str
    colons: str
    plain: Format
    known: str
    netflix: Callable[[CsvFile], InputFile]
    netflix_known: str


def _netflix_movies(file: CsvFile) -> InputFile:
    pattern = r"^(?P<movie_id>\d+),(?:(?P<year>\d{4})|NULL),(?P<title>.*)$"
    return Lines(file, pattern, "is not movie,year,title")


def _netflix_ratings(file: CsvFile) -> InputFile:
    pattern = r"^(?P<user_id>[^,]*),(?P<value>[^,]*),(?P<timestamp>[^,]*)$"
    return Headed(file, r"^(?P<movie_id>\d+):\s*$", pattern, "movie_id", "is not user,rating,date")


# A title may contain `::`, so only the first and the last one separate columns.
MOVIES = Layout(
    shape="movie::title::genres",
    colons=r"^(?P<movie_id>.*?)::(?P<title>.*)::(?P<genres>.*?)$",
    plain=Format.u_item,
    known=r"[^|]*(\|[^|]*){4}(\|[01]){19}\s*$",
    netflix=_netflix_movies,
    netflix_known=r"\d+,(\d{4}|NULL),",
)
RATINGS = Layout(
    shape="user::movie::rating::seconds",
    colons=r"^(?P<user_id>.*?)::(?P<movie_id>.*?)::(?P<value>.*?)::(?P<timestamp>.*?)$",
    plain=Format.u_data,
    known=r"[^\t]+\t[^\t]+\t[\d.]+\t\d+\s*$",
    netflix=_netflix_ratings,
    netflix_known=r"\d+:\s*$",
)


@dataclass(frozen=True)
class Opener:
    """Opens files of `layout` in the format `form`; `item` is the encoding of u.item.

    ConfigError for a format with another kind of rows. See files.open_file.
    """

    layout: Layout
    form: Format = Format.auto
    item: str = "latin-1"

    def __post_init__(self) -> None:
        plain = {Format.u_data, Format.u_item}
        if self.form in plain - {self.layout.plain}:
            raise ConfigError(
                f"--format {self.form} is for another kind of rows",
                remedy=f"use --format {self.layout.plain}, colons, netflix, csv, parquet or auto",
            )

    def __call__(self, path: Path, csv: CsvFormat) -> InputFile:
        form = _detect(self.layout, path, csv) if self.form is Format.auto else self.form
        bare = replace(csv, quoted=False)
        if form in (Format.colons, Format.netflix):
            lines = CsvFile(path, replace(bare, delimiter=_NEVER, names=(LINE,)))
            if form is Format.netflix:
                return self.layout.netflix(lines)
            return Lines(lines, self.layout.colons, f"is not {self.layout.shape}")
        if form is Format.u_data:
            return CsvFile(path, replace(bare, delimiter="\t", names=_RATING))
        if form is Format.u_item:
            item = CsvFormat(self.item, "|", _ITEM, quoted=False)
            return Flagged(CsvFile(path, item), GENRES, "genres")
        return open_file(path, csv, parquet=form is Format.parquet)


def _detect(layout: Layout, path: Path, csv: CsvFormat) -> Format:
    if is_parquet(path):
        return Format.parquet
    if csv.names:
        return Format.csv
    first = first_bytes(path, _START).decode("latin-1").partition("\n")[0]
    if re.match(layout.known, first):
        return layout.plain
    if re.match(layout.netflix_known, first):
        return Format.netflix
    return Format.colons if "::" in first else Format.csv
