"""Boosting in segments: a killed training resumes from its checkpoint, with the same result.

XGBoost itself cannot resume exactly: the random draws of rows and features restart, and so does
early stopping. Here every training, interrupted or not, is a chain of segments of `segment` rounds.
A segment starts from the bytes of the last checkpoint, draws with seed + rounds done, and continues
the state of early stopping. So any process can run any segment, and the bytes are the same.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Protocol, cast

import xgboost as xgb

from jobs.core import log
from jobs.core.digest import json_digest
from jobs.core.errors import StoreError
from jobs.core.failpoint import failpoint
from jobs.core.process import term_waits

LOG = log.logger()
_STATE = "nightshift_progress"  # attribute of a checkpoint's booster, removed from the model


class Checkpoints(Protocol):
    """The checkpoints of one training; `stage` identifies the booster within it."""

    def save(self, stage: str, rounds: int, data: bytes) -> None: ...
    def latest(self, stage: str) -> bytes | None:
        """Return the undamaged checkpoint with the most rounds; None without any."""


class Nowhere:
    """A no-op store, for runs that need no recovery: backtests and tests."""

    def save(self, stage: str, rounds: int, data: bytes) -> None: ...
    def latest(self, stage: str) -> bytes | None:
        return None


@dataclass(frozen=True)
class BoostingPlan:
    """How long to train: at most `rounds`, with a checkpoint every `segment` rounds.

    With `patience`, stop when the last evaluation's metric (larger is better) has not risen for
    that many rounds, and return to the best round.
    """

    rounds: int
    segment: int
    patience: int | None = None

    def segment_from(self, done: int) -> int:
        """Return the number of rounds in the segment after `done` rounds."""
        return min(self.segment, self.rounds - done)


@dataclass
class Progress:
    """The state of early stopping after `rounds` rounds.

    `best_round` counts from 1, 0 before any.
    """

    rounds: int = 0
    best: float = float("-inf")
    best_round: int = 0

    def stopped(self, plan: BoostingPlan) -> bool:
        impatient = plan.patience is not None and self.rounds - self.best_round >= plan.patience
        return impatient or self.rounds >= plan.rounds


Evaluations = Mapping[str, Mapping[str, list[float]]]
"""By data set and metric: the values after each round."""


class _Watch(xgb.callback.TrainingCallback):  # type: ignore[misc]
    """Updates the progress after every round and decides when to stop."""

    def __init__(self, plan: BoostingPlan, progress: Progress, stage: str) -> None:
        self.plan, self.progress, self.stage = plan, progress, stage

    def after_iteration(self, model: xgb.Booster, epoch: int, evals_log: Evaluations) -> bool:
        self.progress.rounds += 1
        if self.plan.patience is not None:
            value = list(list(evals_log.values())[-1].values())[-1][-1]
            if value > self.progress.best:
                self.progress.best, self.progress.best_round = value, self.progress.rounds
        failpoint(f"train.{self.stage}.{self.progress.rounds}")
        return self.progress.stopped(self.plan)


def train(
    parameters: Mapping[str, object],
    matrix: xgb.DMatrix,
    plan: BoostingPlan,
    *,
    stage: str = "fit",
    evaluation: xgb.DMatrix | None = None,
    checkpoints: Checkpoints | None = None,
) -> xgb.Booster:
    """Train from the latest checkpoint of the stage on; return the booster, loaded on the CPU.

    `parameters` contains `seed`. On the CPU, the same parameters, data and plan give the same bytes
    despite interruptions. On SIGTERM it finishes its segment and raises StoreError; the next
    attempt resumes from that checkpoint.
    """
    kept = Nowhere() if checkpoints is None else checkpoints
    seed = parameters["seed"]
    assert isinstance(seed, int)
    # Named by parameters and plan: a plan may depend on an earlier stage, which differs on a GPU.
    name = f"{stage}-{json_digest([dict(parameters), asdict(plan)])[:8]}"
    data, progress = _resumed(kept, name)
    if progress.rounds:
        LOG.info("resumed", stage=stage, rounds=progress.rounds)
    evaluations = [(evaluation, "validation")] if evaluation is not None else []
    while not progress.stopped(plan):
        since, before = time.monotonic(), progress.rounds
        with term_waits() as signals:
            booster = xgb.train(
                {**parameters, "seed": seed + before},
                matrix,
                plan.segment_from(before),
                evals=evaluations,
                callbacks=[_Watch(plan, progress, stage)],
                verbose_eval=False,
                xgb_model=bytearray(data) if data else None,
            )
            booster.set_attr(**{_STATE: json.dumps(asdict(progress))})
            data = bytes(booster.save_raw("ubj"))
            kept.save(name, progress.rounds, data)
        LOG.info(
            "boosted",
            stage=stage,
            rounds=progress.rounds,
            seconds=round(time.monotonic() - since, 2),
        )
        if signals:
            raise StoreError(
                f"stopped by SIGTERM after {progress.rounds} of {plan.rounds} rounds of {stage}, "
                "which are kept",
                remedy="run the step again: it resumes from there",
            )
    return _finished(data, plan, progress)


def _resumed(checkpoints: Checkpoints, stage: str) -> tuple[bytes, Progress]:
    """Return the bytes and progress of the latest checkpoint; empty without one."""
    if not (data := checkpoints.latest(stage)):
        return b"", Progress()
    progress = Progress(**json.loads(_loaded(data).attr(_STATE) or "{}"))
    return data, progress


def _finished(data: bytes, plan: BoostingPlan, progress: Progress) -> xgb.Booster:
    booster = _loaded(data)
    booster.set_attr(**{_STATE: None})
    if plan.patience is not None:
        return cast(xgb.Booster, booster[: progress.best_round])
    return booster


def _loaded(data: bytes) -> xgb.Booster:
    booster = xgb.Booster()
    booster.load_model(bytearray(data))
    return booster
