"""validate: split the day's rows into good rows, and quarantined rows with their reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from jobs.core.cast import PROBLEM
from jobs.core.checks import Check, at_least, at_most, equal
from jobs.core.facts import ExtractFacts, ValidateFacts
from jobs.core.manifest import Dataset, Manifest
from jobs.core.params import Section, ValidateParams
from jobs.core.tables import Source
from jobs.steps.frame import Phases, Requirement, Result, Staged, Step
from jobs.usecases.discovery import find_usecase

REASON = "reason"
NOT_EMPTY = ".not_empty"  # suffix of the check that warns of a day without rows


def judge(rows: pd.DataFrame, source: Source, day: date, params: Section) -> pd.Series:
    """One reason per row of an extract; null for a good row.

    The order of reasons: unreadable cells, missing values, the source's own rules, duplicates. Of
    rows that are equal in every column, one is kept. Of rows that share a key and differ, none is
    kept, because it is unknown which one is right.
    """
    reasons = rows[PROBLEM].astype("object").where(rows[PROBLEM].notna(), None)
    required = rows[list(source.required)]
    missing = required.isna() | (required == "")
    names = (
        missing.apply(lambda row: "missing " + ", ".join(row.index[row]), axis=1)
        if len(rows)
        else reasons
    )
    reasons = reasons.where(reasons.notna(), names.where(missing.any(axis=1), None))
    own = source.rules(rows, day, params)
    reasons = reasons.where(reasons.notna(), own)
    good = rows[reasons.isna()].drop(columns=PROBLEM)
    again = good.duplicated(keep="first")
    reasons[good.index[again]] = "duplicate, same content"
    once = good[~again]
    reasons[once.index[once.duplicated(list(source.key), keep=False)]] = (
        "duplicate key, different content"
    )
    return reasons


def split(table: pa.Table, source: Source, day: date, params: Section) -> tuple[pa.Table, pa.Table]:
    """(good rows under the source's schema, quarantined rows with `reason`)."""
    rows = table.to_pandas()
    reasons = judge(rows, source, day, params)
    bad = reasons.notna().to_numpy()
    reason = pa.array(reasons[bad], pa.string())
    good = table.filter(pa.array(~bad)).select(source.schema.names).cast(source.schema)
    return good, table.filter(pa.array(bad)).drop_columns(PROBLEM).append_column(REASON, reason)


class SplitRows(NamedTuple):
    """The extract of a source, its good rows and its bad rows."""

    extract: Dataset
    good: pa.Table
    bad: pa.Table


def read(step: Step) -> tuple[Manifest, dict[Source, pa.Table]]:
    extract = step.manifest("extract")
    sources = find_usecase(step.run.pipeline).sources
    return extract, {source: step.read_table(extract.output(source.name)) for source in sources}


def compute(
    step: Step, inputs: tuple[Manifest, dict[Source, pa.Table]]
) -> tuple[Manifest, dict[Source, SplitRows]]:
    extract, tables = inputs
    params = step.params(ValidateParams)
    return extract, {
        source: SplitRows(extract.output(source.name), *split(table, source, step.run.date, params))
        for source, table in tables.items()
    }


def stage(step: Step, computed: tuple[Manifest, dict[Source, SplitRows]]) -> Staged:
    extract, splits = computed
    outputs: list[Dataset] = []
    counts: dict[str, int | dict[str, int]] = {}
    for source, (_, good, bad) in splits.items():
        name = f"quarantine-{source.name}"
        bad_key = [*source.key, REASON, *source.required]
        quarantine = step.lake.write_table(step.folder, name, bad, bad_key)
        outputs += [
            step.lake.write_table(step.folder, source.name, good, source.key),
            quarantine,
        ]
        counts |= {source.name: good.num_rows, name: reasons_of(bad)}
    facts = ValidateFacts.model_validate(counts)
    return Staged(
        swap=lambda: Result(facts, outputs),
        check=lambda: _requirements(step, extract, splits, outputs),
    )


def _requirements(
    step: Step, extract: Manifest, splits: Mapping[Source, SplitRows], outputs: Sequence[Dataset]
) -> Iterator[Requirement]:
    params = step.params(ValidateParams)
    paths = {dataset.name: dataset.path for dataset in outputs}
    for source, (dataset, good, bad) in splits.items():
        checks = [
            equal(
                f"{source.name}.good_plus_quarantined", good.num_rows + bad.num_rows, dataset.rows
            ),
            at_most(
                f"{source.name}.bad_fraction",
                bad.num_rows / max(1, dataset.rows),
                params.max_bad_fraction,
                message=str(reasons_of(bad)),
            ),
        ]
        yield Requirement(
            checks,
            remedy="read the quarantine, have the source fixed, and run extract again. If the day "
            "is acceptable without these rows, raise validate.max_bad_fraction",
            input=paths[f"quarantine-{source.name}"],
        )
    volume = find_usecase(step.run.pipeline).sources[0].name
    yield Requirement(
        [empty_check(volume, extract), volume_check(volume, extract, params, step.run.date)],
        remedy="wait for the upstream load to end, and run extract again. If the day really was "
        "that quiet, add it to validate.quiet_days",
        input=extract.output(volume).path,
    )


def empty_check(name: str, extract: Manifest) -> Check:
    """Warns if D has no rows of the first source: a quiet day, a wrong date, or a load to come."""
    return at_least(
        f"{name}{NOT_EMPTY}",
        extract.output(name).rows,
        1,
        "warn",
        "the source has no rows of this day",
    )


def volume_check(name: str, extract: Manifest, params: ValidateParams, day: date) -> Check:
    """Compares the rows of the first source with the mean of earlier days, to detect half a day."""
    mean = ExtractFacts.of(extract).trailing_mean[name]
    fraction = extract.output(name).rows / mean if mean else 1.0
    severity = "warn" if day in params.quiet_days else params.volume_severity
    return at_least(
        f"{name}.volume", fraction, params.min_volume_fraction, severity, "of the trailing mean"
    )


def reasons_of(bad: pa.Table) -> dict[str, int]:
    """Rows by reason, without the text of the cells."""
    counts = bad[REASON].to_pandas().str.replace(r":.*", "", regex=True).value_counts()
    return {str(reason): int(count) for reason, count in sorted(counts.items())}


PHASES = Phases(read, compute, stage)
