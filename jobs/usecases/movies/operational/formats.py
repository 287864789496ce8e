"""Formats of files with ratings and movies."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """Names of the formats; `auto` decides by a file's content and first line."""

    auto = "auto"
    colons = "colons"
    u_data = "u.data"
    u_item = "u.item"
    netflix = "netflix"
    csv = "csv"
    parquet = "parquet"
