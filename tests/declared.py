"""Columns for tables of tests, from an Arrow schema."""

from __future__ import annotations

import pyarrow as pa

from jobs.core.tables import Column


def columns_of(schema: pa.Schema) -> tuple[Column, ...]:
    return tuple(
        Column(field.name, field.type, f"the {field.name}", field.nullable) for field in schema
    )
