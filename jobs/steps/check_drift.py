"""check_drift: compare D, and the window that ends with it, with the data that the champion was fitted and judged on.

Nothing that looks like drift is an error: every outcome is a row of `drift_metrics`, and what retrain needs to know is
among the facts. `judged` is false where the champion cannot be judged at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc

from jobs.core.digest import bytes_digest
from jobs.core.errors import DataError, NightshiftError
from jobs.core.manifest import Dataset
from jobs.core.params import CheckDriftParams
from jobs.evaluation import decay, distances, drift, reference
from jobs.evaluation.reference import Reference
from jobs.evaluation.sampling import sample
from jobs.evaluation.watched import About, Outcome, Pair, Scope, Watched, configured
from jobs.steps.frame import Step
from jobs.steps.inputs import scoring
from jobs.steps.models import load, opponent, reference_path
from jobs.steps.records import DRIFT_METRICS, store
from jobs.stores import registry
from jobs.usecases.contract import FittedModel
from jobs.usecases.discovery import find_usecase


@dataclass
class Champion:
    """The champion as of the day before, as far as it could be had; `troubles`: why it cannot be judged, by what is wrong."""

    digest: str | None
    model: FittedModel | None = None
    reference: Reference | None = None
    troubles: dict[str, str] = field(default_factory=dict)


def run(step: Step) -> None:
    pipeline, chosen = step.run.pipeline, step.params(CheckDriftParams)
    step.at("window")
    step.wait_for_day_before()
    training_set = step.manifest("snapshot").output("training_set")
    step.at("read")
    champion = _champion(step)
    step.inputs.append(training_set)
    labelled = step.lake.read_table(training_set)
    events, _ = scoring(step, step.section_of("predict"))
    usecase = find_usecase(pipeline)
    every = usecase.estimator().examples(events, step.run.date)
    today = sample(every, usecase.features.key, chosen.sample_rows)
    examples: dict[Scope, pa.Table] = {"day": today, "window": _window(step, today, chosen)}
    step.at("compute")
    step.outputs.append(step.lake.write_table(step.folder, "examples", today, usecase.features.key))
    outcomes = _decay(step, champion, labelled, chosen)
    found, pairs = _compare(step, champion, examples, events, labelled)
    outcomes += [*found, *_measure(step, pairs), *_troubles(champion)]
    _conclude(step, champion, outcomes)
    store(step, DRIFT_METRICS, [each.as_row() | {"champion": champion.digest} for each in outcomes])


def _champion(step: Step) -> Champion:
    found = opponent(step)
    if found is None:
        return Champion(
            None, troubles={"champion": "there is none: no model was promoted before this day"}
        )
    champion = Champion(found.digest)
    try:
        champion.reference = reference.read(
            step.lake.read_bytes(reference_path(step.run.pipeline, found.digest))
        )
    except DataError as error:
        champion.troubles["reference"] = error.what
    try:
        champion.model = load(step, found.digest)
    except DataError as error:
        champion.troubles["model"] = error.what
    return champion


def _window(step: Step, today: pa.Table, chosen: CheckDriftParams) -> pa.Table:
    """A sample of the examples of the window's days; days without a check, or with other columns, are left out."""
    days = [step.run.date - timedelta(days=n) for n in range(chosen.window_days - 1, 0, -1)]
    manifests = step.look_back("check_drift", days, len(days))
    datasets = [manifest.output("examples") for manifest in manifests]
    step.inputs += datasets
    tables = [step.lake.read_table(dataset) for dataset in datasets]
    fitting = [table for table in tables if table.schema.equals(today.schema)]
    if len(fitting) < len(tables):
        step.log.warning(
            "days of the window have other columns: left out", days=len(tables) - len(fitting)
        )
    every = pa.concat_tables([*fitting, today])
    return sample(every, find_usecase(step.run.pipeline).features.key, chosen.sample_rows)


def _decay(
    step: Step, champion: Champion, labelled: pa.Table, chosen: CheckDriftParams
) -> list[Outcome]:
    """The champion on what is labelled by now and younger than what it was fitted on, against its own holdout."""
    known = champion.reference
    if known is None or champion.model is None:
        return []
    parts = list(decay.windows(labelled, known.fitted_until, chosen.decay_days, known.holdout_days))
    try:
        judged = [champion.model.judge(*part) for part in parts]
    except (DataError, pa.ArrowException) as error:
        champion.troubles["target"] = f"it cannot judge these examples: {error}"
        return []
    rows = sum(part.num_rows for _, part in parts)
    return [decay.check(decay.Pooled(judged), known, chosen, rows)]


def _compare(
    step: Step,
    champion: Champion,
    examples: dict[Scope, pa.Table],
    events: pa.Table,
    labelled: pa.Table,
) -> tuple[list[Outcome], list[Pair]]:
    chosen = step.params(CheckDriftParams)
    wanted = list(_watched(step, chosen))
    if champion.reference is None:
        return [], []
    examples = _predicted(step, champion, examples, events)
    newest = labelled.filter(pc.equal(labelled["split"], "holdout"))
    newest = sample(newest, find_usecase(step.run.pipeline).features.key, chosen.sample_rows)
    if {"model", "prediction"} & champion.troubles.keys():
        wanted = [each for each in wanted if each[1] != "prediction"]
    return drift.compare(wanted, {**examples, "labelled": newest}, champion.reference, chosen)


def _watched(step: Step, chosen: CheckDriftParams) -> Iterator[tuple[Scope, About, Watched]]:
    """Every column in each of its scopes, as params have it."""
    watchlist = find_usecase(step.run.pipeline).estimator().watchlist
    abouts: dict[About, Sequence[Watched]] = {
        "feature": watchlist.features,
        "prediction": watchlist.predictions,
        "label": watchlist.labels,
    }
    known = {watched.name: watched for watched in configured(watchlist.columns, chosen)}
    for about, part in abouts.items():
        yield from ((scope, about, known[each.name]) for each in part for scope in each.scopes)


def _predicted(
    step: Step, champion: Champion, examples: dict[Scope, pa.Table], events: pa.Table
) -> dict[Scope, pa.Table]:
    """The examples with the champion's predictions, in the scopes that watch any."""
    watchlist = find_usecase(step.run.pipeline).estimator().watchlist
    scopes = {scope for watched in watchlist.predictions for scope in watched.scopes}
    if champion.model is None:
        return examples
    try:
        made = {scope: champion.model.with_predictions(examples[scope], events) for scope in scopes}
    except (DataError, pa.ArrowException) as error:
        champion.troubles["prediction"] = f"it cannot score these examples: {error}"
        return examples
    return examples | made


def _measure(step: Step, pairs: list[Pair]) -> list[Outcome]:
    """The distances; Evidently's report of them in the lake and in MLflow."""
    step.facts |= {"report": "", "report_url": ""}
    if not pairs:
        return []
    measured = distances.measure(pairs)
    # The page is other bytes each time with the same content: it has the digest of what it shows.
    digest = bytes_digest(measured.json)
    for name, kind, data in (
        ("report", "html", measured.html),
        ("report_data", "json", measured.json),
    ):
        path = f"{step.folder}/report-{digest[:16]}.{kind}"
        step.lake.write_bytes(path, data)
        step.outputs.append(Dataset(name=name, path=path, rows=len(pairs), digest=digest))
    step.facts["report"] = f"{step.folder}/report-{digest[:16]}.html"
    step.facts["report_url"] = _in_mlflow(step, measured)
    return [distances.outcome(each, measured.values[each.key]) for each in pairs]


def _in_mlflow(step: Step, measured: distances.Measured) -> str:
    """Where MLflow shows the report; nothing where it does not answer, for the lake has it."""
    files = {"drift.html": measured.html, "drift.json": measured.json}
    try:
        return registry.log_report(
            step.settings, f"{step.run.pipeline}_drift", str(step.run.date), measured.values, files
        )
    except NightshiftError as error:
        step.log.warning("the report is in the lake alone", error=str(error))
        step.facts["mlflow"] = "did not answer: the report is in the lake alone"
        return ""


def _troubles(champion: Champion) -> list[Outcome]:
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


def _conclude(step: Step, champion: Champion, outcomes: list[Outcome]) -> None:
    """The facts that retrain reads, and the checks for people."""
    wrong = [each for each in outcomes if not each.passed]
    for each in wrong:
        step.log.warning(str(each.as_check()))
    step.model_digest = champion.digest
    step.checks += [each.as_check() for each in outcomes]
    step.facts |= {
        "judged": not champion.troubles,
        "drifted": [
            each.title for each in wrong if each.severity == "fail" and each.kind != "target"
        ],
        "warnings": [each.title for each in wrong if each.severity == "warn"],
        "decayed": any(each.kind == "target" for each in wrong),
    }
