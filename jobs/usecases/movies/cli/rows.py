"""Read all movie rows of the operational source, as the pipeline would train on them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from jobs.core.params import Section
    from jobs.core.settings import Settings
    from jobs.core.tables import Source

ALWAYS = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, eq=False)
class SourceRows:
    """The valid rows of the source.

    `interactions` have the title, year and genres of their movie (null if `movies` lacks it).
    `left_out` counts the rows that failed validation, by reason.
    """

    interactions: pa.Table
    movies: pa.Table
    left_out: dict[str, int]


def read(config: Settings) -> SourceRows:
    """Return the valid rows of the whole source; writes nothing."""
    from jobs.core import params
    from jobs.core.cast import typed
    from jobs.stores import source as operational
    from jobs.usecases.movies.usecase import USECASE

    section = params.section(config.params_file, "movies", "validate", USECASE.params["validate"])
    tables: dict[str, pa.Table] = {}
    left_out: Counter[str] = Counter()
    with operational.connect_source(config.source) as session:
        operational.extra_columns(session, USECASE.sources)  # raises if the tables are wrong
        for source in USECASE.sources:
            rows = typed(
                operational.read_day(session, source, *ALWAYS), source.schema, dict(source.money)
            )
            tables[source.name], reasons = _good(rows, source, section)
            left_out.update(reasons)
    catalogue = tables["movies"]
    joined = tables["user_interactions"].join(catalogue, "movie_id", join_type="left outer")
    return SourceRows(joined, catalogue, dict(left_out))


def _good(rows: pa.Table, source: Source, section: Section) -> tuple[pa.Table, dict[str, int]]:
    """Return (valid rows, count of the others by reason), validated day by day."""
    import pyarrow as pa

    from jobs.steps.validate import reasons_of, split

    parts, reasons = [source.schema.empty_table()], Counter[str]()
    for day, part in _by_day(rows, source):
        good, bad = split(part, source, day, section)
        parts.append(good)
        reasons.update(reasons_of(bad))
    return pa.concat_tables(parts), dict(reasons)


def _by_day(rows: pa.Table, source: Source) -> list[tuple[date, pa.Table]]:
    """Return the rows by day; rows of a table without a time belong to today."""
    import numpy as np
    import pyarrow as pa

    if not source.time:
        return [(datetime.now(UTC).date(), rows)]
    days = rows["event_time"].to_numpy().astype("datetime64[D]")
    order = np.argsort(days, kind="stable")
    values, begins = np.unique(days[order], return_index=True)
    ends = [*begins[1:], len(days)]
    return [
        (day.item(), rows.take(pa.array(order[begin:end])))
        for day, begin, end in zip(values, begins, ends, strict=True)
    ]
