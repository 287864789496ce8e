"""Checks of columns without a distance: schema, nulls, infinities, constants, unseen categories.

Also decides which columns have enough values for a distance.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from jobs.core.params import CheckDriftParams
from jobs.evaluation.reference import Reference
from jobs.evaluation.watched import About, Outcome, Pair, Scope, Watched

NEARLY_CONSTANT = 0.95  # share of one value in the reference from which a constant is expected


def compare(
    wanted: Iterable[tuple[Scope, About, Watched]],
    examples: Mapping[Scope, pa.Table],
    reference: Reference,
    params: CheckDriftParams,
) -> tuple[list[Outcome], list[Pair]]:
    """Return the outcomes of all checks, and the pairs that need a distance."""
    outcomes: list[Outcome] = []
    pairs: list[Pair] = []
    for scope, about, watched in wanted:
        columns, wrong = pair(scope, about, watched, examples[scope], reference.of(watched.against))
        outcomes += wrong
        if columns:
            outcomes += gates(columns, params)
            too_few = judgeable(columns, params.min_rows)
            outcomes += [too_few] if too_few else []
            pairs += [] if too_few else [columns]
    return outcomes, pairs


def pair(
    scope: Scope, kind: About, watched: Watched, now: pa.Table, then: pa.Table
) -> tuple[Pair | None, list[Outcome]]:
    """Return the column in both tables, or the outcome that says why it cannot be compared."""
    there = [watched.name in table.column_names for table in (now, then)]
    reason = {
        (False, False): "it is in neither",
        (False, True): "the feature vanished",
        (True, False): "new since the champion was trained",
    }.get((there[0], there[1]))
    if reason is None:
        types = [table.schema.field(watched.name).type for table in (now, then)]
        wrong = [str(kind) for kind in types if not _holds(kind, watched.holds)]
        reason = f"no {watched.holds} any more but {wrong[0]}" if wrong else None
    if reason is None:
        series = [_series(table[watched.name], watched.holds) for table in (now, then)]
        return Pair(scope, kind, watched, series[0], series[1]), []
    # A column that is new, or in neither table, is a change of the code: the next champion has it.
    severity = watched.severity if there[1] else "warn"
    return None, [
        Outcome(
            scope,
            "data",
            f"{watched.name}.schema",
            "schema",
            None,
            None,
            severity,
            False,
            len(now),
            len(then),
            reason,
        )
    ]


def gates(pair: Pair, params: CheckDriftParams) -> Iterator[Outcome]:
    """Yield the outcomes for nulls, infinities, constants and unseen categories."""
    if pair.watched.holds == "number":
        infinite = int(np.isinf(pair.now).sum())
        yield pair.outcome(infinite, 0, not infinite, "left out of the distance", "infinite")
    if len(pair.now) < params.min_rows:  # shares of a few rows mean nothing
        return
    growth = float(pair.now.isna().mean() - (pair.then.isna().mean() if len(pair.then) else 0.0))
    message = "every value is null" if pair.now.isna().all() else ""
    if pair.kind == "feature":  # only some rows may have a label or a prediction
        limit = params.max_null_growth
        yield pair.outcome(
            growth, limit, growth <= limit and not (message and growth), message, "null_growth"
        )
    now, then = finite(pair.now), finite(pair.then)
    if len(now) >= params.min_rows and len(then):
        constant = (
            now.nunique() == 1 and then.value_counts(normalize=True).iloc[0] < NEARLY_CONSTANT
        )
        message = f"always {now.iloc[0]}" if constant else ""
        yield pair.outcome(float(constant), 0, not constant, message, "constant")
    if pair.watched.holds == "category" and len(now) and len(then):
        yield _unseen(pair, now, then, params.max_unseen_share)


def judgeable(pair: Pair, min_rows: int) -> Outcome | None:
    """Return None if there are enough rows for a distance, else a passed outcome that says so."""
    for what, series in (("rows", pair.now), ("rows of the reference", pair.then)):
        if (count := len(finite(series))) < min_rows:
            return pair.outcome(
                None, pair.watched.threshold, True, f"not judged: {count} {what}, {min_rows} needed"
            )
    return None


def finite(series: pd.Series) -> pd.Series:
    """Return the values that are neither null nor infinite."""
    return series[series.notna() & ~series.isin([np.inf, -np.inf])]


def _unseen(pair: Pair, now: pd.Series, then: pd.Series, limit: float) -> Outcome:
    strange = ~now.isin(then.unique())
    share = float(strange.mean())
    names = ", ".join(now[strange].value_counts().index[:5])
    return pair.outcome(
        share, limit, share <= limit, f"not in the reference: {names}" if names else "", "unseen"
    )


def _holds(kind: pa.DataType, holds: str) -> bool:
    if pa.types.is_null(kind):
        return True
    if holds == "category":
        return bool(
            pa.types.is_string(kind)
            or pa.types.is_large_string(kind)
            or pa.types.is_dictionary(kind)
        )
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
    )


def _series(column: pa.ChunkedArray, holds: str) -> pd.Series:
    if holds == "category":
        return pd.Series(column.cast(pa.string()).to_pandas(), dtype=object)
    whole = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
    return pd.Series(pc.cast(whole, pa.float64(), safe=False).to_pandas(), dtype=float)
