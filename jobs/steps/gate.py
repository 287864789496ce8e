"""gate: compare challenger and champion on one holdout. A rejected challenger is not an error."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from jobs.core.checks import Check, failed
from jobs.core.errors import DataError
from jobs.core.facts import GateFacts, TrainFacts, Verdict
from jobs.core.params import GateParams
from jobs.evaluation import gating
from jobs.evaluation.judged import Judged
from jobs.serving import promotions
from jobs.serving.promotions import Champion
from jobs.steps import skew
from jobs.steps.frame import Step
from jobs.steps.models import load, model_path, opponent, split
from jobs.steps.records import GATE_CHECKS, store
from jobs.usecases.discovery import find_usecase

PROMOTED: Final = "promoted"
REJECTED: Final = "rejected"


def run(step: Step) -> None:
    params, pipeline = step.params(GateParams), step.run.pipeline
    step.at("window")
    step.wait_for_day_before()
    train, snapshot = step.manifest("train"), step.manifest("snapshot")
    champion = opponent(step)
    step.at("read")
    if train.reads.get(snapshot.name) != snapshot.content:
        raise DataError(
            "the challenger was trained on another snapshot than the current one",
            remedy="run train again",
            input=train.name,
        )
    dataset, digest = snapshot.output("training_set"), train.output("model").digest
    step.inputs.append(dataset)
    table = step.lake.read_table(dataset)
    estimator, examples = find_usecase(pipeline).estimator(), split(table)
    data = step.lake.read_bytes(model_path(pipeline, digest))
    step.at("compute")
    started = time.monotonic()
    ours = estimator.load(data).judge(*examples)
    seconds = time.monotonic() - started
    theirs, trouble = _judged(step, champion, examples)
    metrics = ours.summary()
    checks = [
        *gating.absolute(metrics, params),
        *_against(step, ours, theirs, trouble, digest),
        gating.null_growth(*examples, estimator.filled, params),
        skew.check(step, table, params.max_skew),
        *gating.footprint(len(data), seconds, examples[1].num_rows, params),
    ]
    verdict: Verdict = REJECTED if failed(checks) and params.mode == "enforce" else PROMOTED
    common = {
        "verdict": verdict,
        "mode": params.mode,
        "challenger": digest,
        "champion": champion and champion.digest,
    }
    store(step, GATE_CHECKS, [_row(check) | common for check in checks])
    step.checks += checks
    step.model_digest = digest
    step.facts = GateFacts(
        verdict=verdict,
        mode=params.mode,
        model_version=TrainFacts.of(train).model_version,
        metrics={**metrics},
        slices={**ours.slices(params.metric)},
        champion=champion.digest if champion else None,
        champion_version=champion.version if champion else None,
        champion_metrics={**theirs.summary()} if theirs else None,
        reasons=[str(check) for check in checks if check.name != gating.LATENCY],
    )


def _judged(
    step: Step, champion: Champion | None, examples: tuple[pa.Table, pa.Table]
) -> tuple[Judged | None, str]:
    """(the champion's result on the same holdout, "") or (None, why it cannot be judged).

    The reason is empty if there is no champion. A champion must not block its successor
    because its file is missing or its features no longer exist.
    """
    if champion is None:
        return None, ""
    try:
        return load(step, champion.digest).judge(*examples), ""
    except DataError as error:
        return None, f"the champion {champion.digest[:12]} cannot be judged: {error.what}"


def _against(
    step: Step, ours: Judged, theirs: Judged | None, trouble: str, digest: str
) -> Iterator[Check]:
    """The comparison with the champion; without one, a check that says that only floors decide."""
    if theirs:
        again = digest in promotions.history(step.settings.postgres, step.run.pipeline).rolled_back(
            step.run.date
        )
        yield from gating.against(ours, theirs, step.params(GateParams), again)
    elif trouble:
        yield Check(
            "champion_unfit", False, 0, 1, "warn", f"{trouble}; only the absolute checks decide"
        )
    else:
        yield Check("first_run", True, 1, 0, "warn", "no champion: only the absolute checks decide")


def _row(check: Check) -> dict[str, object]:
    """A check as a row of GATE_CHECKS. Timings have a column of their own, outside the digest."""
    timed = check.name == gating.LATENCY
    return check.as_row() | (
        {"value": None, "measured_ms": check.value} if timed else {"measured_ms": None}
    )
