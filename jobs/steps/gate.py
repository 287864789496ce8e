"""gate: compare challenger and champion on one holdout. A rejected challenger is not an error."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final, NamedTuple

import pyarrow as pa

from jobs.core.checks import Check, failed
from jobs.core.errors import DataError
from jobs.core.facts import GateFacts, TrainFacts
from jobs.core.params import GateParams
from jobs.evaluation import gating
from jobs.evaluation.judged import Judged
from jobs.serving import promotions
from jobs.serving.promotions import ChampionModel
from jobs.steps import records, skew
from jobs.steps.frame import Phases, Result, Staged, Step
from jobs.steps.models import load, model_path, split
from jobs.steps.records import GATE_CHECKS
from jobs.usecases.discovery import find_usecase

PROMOTED: Final = "promoted"
REJECTED: Final = "rejected"


class GateInputs(NamedTuple):
    """The challenger, the training set to judge it on, and the champion to compare it with."""

    challenger: TrainFacts
    digest: str
    data: bytes
    examples: tuple[pa.Table, pa.Table]
    champion: ChampionModel | None
    rolled_back: bool  # whether the challenger was rolled back before
    skew: Check


class Judgement(NamedTuple):
    facts: GateFacts
    checks: list[Check]
    digest: str


def read(step: Step) -> GateInputs:
    pipeline = step.run.pipeline
    train, snapshot = step.manifest("train"), step.manifest("snapshot")
    history = promotions.history(step.settings.postgres, pipeline)
    if train.reads.get(snapshot.name) != snapshot.content:
        raise DataError(
            "the challenger was trained on another snapshot than the current one",
            remedy="run train again",
            input=train.name,
        )
    digest, table = train.output("model").digest, step.read_table(snapshot.output("training_set"))
    return GateInputs(
        TrainFacts.of(train),
        digest,
        step.lake.read_bytes(model_path(pipeline, digest)),
        split(table),
        history.champion(step.run.date, inclusive=False),
        digest in history.rolled_back(step.run.date),
        skew.check(step, table, step.params(GateParams).max_skew),
    )


def compute(step: Step, inputs: GateInputs) -> Judgement:
    params, estimator = step.params(GateParams), find_usecase(step.run.pipeline).estimator()
    champion, examples = inputs.champion, inputs.examples
    started = time.monotonic()
    ours = estimator.load(inputs.data).judge(*examples)
    seconds = time.monotonic() - started
    theirs, trouble = _judged(step, champion, examples)
    metrics = ours.summary()
    checks = [
        *gating.absolute(metrics, params),
        *_against(params, ours, theirs, trouble, inputs.rolled_back),
        gating.null_growth(*examples, estimator.filled, params),
        inputs.skew,
        *gating.footprint(len(inputs.data), seconds, examples[1].num_rows, params),
    ]
    facts = GateFacts(
        verdict=REJECTED if failed(checks) and params.mode == "enforce" else PROMOTED,
        mode=params.mode,
        model_version=inputs.challenger.model_version,
        metrics={**metrics},
        slices={**ours.slices(params.metric)},
        champion=champion.digest if champion else None,
        champion_version=champion.version if champion else None,
        champion_metrics={**theirs.summary()} if theirs else None,
        reasons=[str(check) for check in checks if check.name != gating.LATENCY],
    )
    return Judgement(facts, checks, inputs.digest)


def stage(step: Step, judgement: Judgement) -> Staged:
    facts, checks, digest = judgement
    common = {
        "verdict": facts.verdict,
        "mode": facts.mode,
        "challenger": digest,
        "champion": facts.champion,
    }
    rows = records.as_table(step, GATE_CHECKS, [_row(check) | common for check in checks])
    result = Result(facts, model_digest=digest, checks=checks)
    return records.stage(step, {GATE_CHECKS: rows}, result)


def _judged(
    step: Step, champion: ChampionModel | None, examples: tuple[pa.Table, pa.Table]
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
    params: GateParams, ours: Judged, theirs: Judged | None, trouble: str, rolled_back: bool
) -> Iterator[Check]:
    """The comparison with the champion; without one, a check that says that only floors decide."""
    if theirs:
        yield from gating.against(ours, theirs, params, rolled_back)
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


PHASES = Phases(read, compute, stage, prepare=Step.wait_for_day_before)
