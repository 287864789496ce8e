"""check_drift: compare D, and the window up to D, with the champion's training and holdout data.

Drift is not an error: every outcome is a row of `drift_metrics`, and the facts have what retrain
needs. `judged` is false if the champion cannot be judged at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from jobs.core.digest import bytes_digest
from jobs.core.errors import DataError, NightshiftError
from jobs.core.facts import CheckDriftFacts
from jobs.core.manifest import Dataset
from jobs.core.params import CheckDriftParams
from jobs.evaluation import decay, distances, drift, reference
from jobs.evaluation.reference import Reference
from jobs.evaluation.sampling import sample
from jobs.evaluation.watched import About, Outcome, Pair, Scope, Watched, configured
from jobs.steps import records
from jobs.steps.frame import Phases, Result, Staged, Step
from jobs.steps.inputs import scoring
from jobs.steps.models import load, opponent, reference_path
from jobs.steps.records import DRIFT_METRICS
from jobs.stores import registry
from jobs.usecases.contract import FittedModel
from jobs.usecases.discovery import find_usecase


@dataclass
class WatchedChampion:
    """The champion as of the day before; `troubles` maps what is wrong to the reason."""

    digest: str | None
    model: FittedModel | None = None
    reference: Reference | None = None
    troubles: dict[str, str] = field(default_factory=dict)


class Report(NamedTuple):
    """Where Evidently's report is: its lake path, its address in MLflow, or why it has none."""

    path: str = ""
    url: str = ""
    trouble: str = ""
    files: tuple[Dataset, ...] = ()


class DriftInputs(NamedTuple):
    """The champion, the labelled training set, the events of D, and examples by scope."""

    champion: WatchedChampion
    labelled: pa.Table
    events: pa.Table
    examples: dict[Scope, pa.Table]


class Drift(NamedTuple):
    """What was measured, and today's examples, with which later days compare theirs."""

    champion: WatchedChampion
    today: pa.Table
    outcomes: list[Outcome]
    measured: distances.Measured | None
    pairs: int


def read(step: Step) -> DriftInputs:
    params, usecase = step.params(CheckDriftParams), find_usecase(step.run.pipeline)
    training_set = step.manifest("snapshot").output("training_set")
    champion = _champion(step)
    labelled = step.read_table(training_set)
    events, _ = scoring(step, step.section_of("predict"))
    all_examples = usecase.estimator().examples(events, step.run.date)
    today = sample(all_examples, usecase.features.key, params.sample_rows)
    examples: dict[Scope, pa.Table] = {"day": today, "window": _window(step, today, params)}
    return DriftInputs(champion, labelled, events, examples)


def compute(step: Step, inputs: DriftInputs) -> Drift:
    champion, labelled, events, examples = inputs
    outcomes = _decay(step, champion, labelled, step.params(CheckDriftParams))
    compared, pairs = _compare(step, champion, examples, events, labelled)
    measured = distances.measure(pairs) if pairs else None
    outcomes += [
        *compared,
        *(distances.outcome(pair, measured.values[pair.key]) for pair in pairs if measured),
        *_troubles(champion),
    ]
    return Drift(champion, examples["day"], outcomes, measured, len(pairs))


def stage(step: Step, drift: Drift) -> Staged:
    key, digest = find_usecase(step.run.pipeline).features.key, drift.champion.digest
    examples = step.lake.write_table(step.folder, "examples", drift.today, key)
    report = _report(step, drift.measured, drift.pairs) if drift.measured else Report()
    checks = [outcome.as_check() for outcome in drift.outcomes]
    for check in checks:
        if not check.passed:
            step.log.warning(str(check))
    result = Result(
        _facts(drift.champion, drift.outcomes, report),
        [examples, *report.files],
        digest,
        checks,
    )
    rows = [outcome.as_row() | {"champion": digest} for outcome in drift.outcomes]
    table = records.as_table(step, DRIFT_METRICS, rows)
    return records.stage(step, {DRIFT_METRICS: table}, result)


def _champion(step: Step) -> WatchedChampion:
    promoted = opponent(step)
    if promoted is None:
        return WatchedChampion(
            None, troubles={"champion": "there is none: no model was promoted before this day"}
        )
    champion = WatchedChampion(promoted.digest)
    try:
        champion.reference = reference.read(
            step.lake.read_bytes(reference_path(step.run.pipeline, promoted.digest))
        )
    except DataError as error:
        champion.troubles["reference"] = error.what
    try:
        champion.model = load(step, promoted.digest)
    except DataError as error:
        champion.troubles["model"] = error.what
    return champion


def _window(step: Step, today: pa.Table, params: CheckDriftParams) -> pa.Table:
    """A sample of the window's examples. Skips days without a check or with other columns."""
    days = [step.run.date - timedelta(days=n) for n in range(params.window_days - 1, 0, -1)]
    manifests = step.look_back("check_drift", days, len(days))
    datasets = [manifest.output("examples") for manifest in manifests]
    tables = [step.read_table(dataset) for dataset in datasets]
    comparable = [table for table in tables if table.schema.equals(today.schema)]
    if skipped := len(tables) - len(comparable):
        step.log.warning("skipped days of the window that have other columns", days=skipped)
    window = pa.concat_tables([*comparable, today])
    return sample(window, find_usecase(step.run.pipeline).features.key, params.sample_rows)


def _decay(
    step: Step, champion: WatchedChampion, labelled: pa.Table, params: CheckDriftParams
) -> list[Outcome]:
    """Compare the champion on labelled rows after its training period with its own holdout."""
    ref = champion.reference
    if ref is None or champion.model is None:
        return []
    parts = list(decay.windows(labelled, ref.fitted_until, params.decay_days, ref.holdout_days))
    try:
        judged = [champion.model.judge(*part) for part in parts]
    except (DataError, pa.ArrowException) as error:
        champion.troubles["target"] = f"it cannot judge these examples: {error}"
        return []
    rows = sum(part.num_rows for _, part in parts)
    return [decay.check(decay.Pooled(judged), ref, params, rows)]


def _compare(
    step: Step,
    champion: WatchedChampion,
    examples: dict[Scope, pa.Table],
    events: pa.Table,
    labelled: pa.Table,
) -> tuple[list[Outcome], list[Pair]]:
    params = step.params(CheckDriftParams)
    watched = list(_watched(step, params))
    if champion.reference is None:
        return [], []
    examples = _predicted(step, champion, examples, events)
    newest = labelled.filter(pc.equal(labelled["split"], "holdout"))
    newest = sample(newest, find_usecase(step.run.pipeline).features.key, params.sample_rows)
    if {"model", "prediction"} & champion.troubles.keys():
        watched = [entry for entry in watched if entry[1] != "prediction"]
    return drift.compare(watched, {**examples, "labelled": newest}, champion.reference, params)


def _watched(step: Step, params: CheckDriftParams) -> Iterator[tuple[Scope, About, Watched]]:
    """Every watched column in each of its scopes, with the thresholds of the parameters."""
    watchlist = find_usecase(step.run.pipeline).estimator().watchlist
    abouts: dict[About, Sequence[Watched]] = {
        "feature": watchlist.features,
        "prediction": watchlist.predictions,
        "label": watchlist.labels,
    }
    by_name = {column.name: column for column in configured(watchlist.columns, params)}
    for about, part in abouts.items():
        yield from ((scope, about, by_name[col.name]) for col in part for scope in col.scopes)


def _predicted(
    step: Step, champion: WatchedChampion, examples: dict[Scope, pa.Table], events: pa.Table
) -> dict[Scope, pa.Table]:
    """The examples, with the champion's predictions in the scopes that watch predictions."""
    watchlist = find_usecase(step.run.pipeline).estimator().watchlist
    scopes = {scope for watched in watchlist.predictions for scope in watched.scopes}
    if champion.model is None:
        return examples
    try:
        predicted = {
            scope: champion.model.with_predictions(examples[scope], events) for scope in scopes
        }
    except (DataError, pa.ArrowException) as error:
        champion.troubles["prediction"] = f"it cannot score these examples: {error}"
        return examples
    return examples | predicted


def _report(step: Step, measured: distances.Measured, rows: int) -> Report:
    """Write Evidently's report to the lake and to MLflow."""
    # The bytes of the page differ on every run, so its digest is the digest of its data.
    digest = bytes_digest(measured.json)
    outputs = []
    for name, kind, data in (
        ("report", "html", measured.html),
        ("report_data", "json", measured.json),
    ):
        path = f"{step.folder}/report-{digest[:16]}.{kind}"
        step.lake.write_bytes(path, data)
        outputs.append(Dataset(name=name, path=path, rows=rows, digest=digest))
    path = f"{step.folder}/report-{digest[:16]}.html"
    files = {"drift.html": measured.html, "drift.json": measured.json}
    try:
        url = registry.log_report(
            step.settings, f"{step.run.pipeline}_drift", str(step.run.date), measured.values, files
        )
    except NightshiftError as error:
        step.log.warning("the report is only in the lake", error=str(error))
        trouble = "did not answer: the report is only in the lake"
        return Report(path, trouble=trouble, files=tuple(outputs))
    return Report(path, url, files=tuple(outputs))


def _troubles(champion: WatchedChampion) -> list[Outcome]:
    return [
        Outcome(
            "day",
            "data",
            f"champion.{name}",
            "exists",
            None,
            None,
            "warn",
            False,
            0,
            0,
            f"not judged: {what}",
        )
        for name, what in champion.troubles.items()
    ]


def _facts(
    champion: WatchedChampion, outcomes: Sequence[Outcome], report: Report
) -> CheckDriftFacts:
    """The facts, by which retrain decides."""
    failed = [outcome for outcome in outcomes if not outcome.passed]
    return CheckDriftFacts(
        report=report.path,
        report_url=report.url,
        judged=not champion.troubles,
        drifted=[o.title for o in failed if o.severity == "fail" and o.kind != "target"],
        warnings=[outcome.title for outcome in failed if outcome.severity == "warn"],
        decayed=any(outcome.kind == "target" for outcome in failed),
        mlflow=report.trouble,
    )


PHASES = Phases(read, compute, stage, prepare=Step.wait_for_day_before)
