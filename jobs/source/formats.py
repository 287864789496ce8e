"""How files of ratings and movies are written."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """`auto` tells by a file's suffix and its first line."""

    auto = "auto"
    colons = "colons"
    u_data = "u.data"
    u_item = "u.item"
    csv = "csv"
    parquet = "parquet"
