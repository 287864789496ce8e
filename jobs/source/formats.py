"""How files of ratings and movies are written."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """`auto` says by a file's content and its first line."""

    auto = "auto"
    colons = "colons"
    u_data = "u.data"
    u_item = "u.item"
    netflix = "netflix"
    csv = "csv"
    parquet = "parquet"
