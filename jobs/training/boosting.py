"""Boosting in segments: a training that died goes on at its last checkpoint, and ends in the same bytes.

Continuing an XGBoost training is never the training that was not interrupted: what draws rows and features starts
anew, and so does early stopping. Here every training, interrupted or not, is a chain of segments of `segment` rounds:
each begins with the bytes of the checkpoint before it, draws by seed + rounds done, and carries on with the state of
early stopping. So it does not matter in which process a segment runs.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import Any, Protocol, cast

import xgboost as xgb

from jobs.core import log
from jobs.core.digest import json_digest
from jobs.core.errors import StoreError
from jobs.core.failpoint import failpoint
from jobs.core.process import term_waits

LOG = log.logger()
_STATE = "nightshift_progress"  # attribute of a checkpoint's booster; no model keeps it


class Checkpoints(Protocol):
    """Where the checkpoints of one training are; `stage` tells apart the boosters that it fits."""

    def save(self, stage: str, rounds: int, data: bytes) -> None: ...
    def latest(self, stage: str) -> bytes | None:
        """The one of most rounds that is whole; None without any."""


class Nowhere:
    """For who need not survive: a backtest, a test."""

    def save(self, stage: str, rounds: int, data: bytes) -> None: ...
    def latest(self, stage: str) -> bytes | None:
        return None


@dataclass(frozen=True)
class Plan:
    """How long to train: `rounds` at most, a checkpoint every `segment` of them; with `patience`, until the last
    evaluation's metric (larger is better) has not risen for so many rounds, and then back to its best round."""

    rounds: int
    segment: int
    patience: int | None = None

    def segment_from(self, done: int) -> int:
        """How many rounds the segment after `done` rounds has."""
        return min(self.segment, self.rounds - done)


@dataclass
class Progress:
    """Where early stopping stands after `rounds` rounds; `best_round` counts from 1, 0 before the first."""

    rounds: int = 0
    best: float = float("-inf")
    best_round: int = 0

    def stopped(self, plan: Plan) -> bool:
        impatient = plan.patience is not None and self.rounds - self.best_round >= plan.patience
        return impatient or self.rounds >= plan.rounds


class _Watch(xgb.callback.TrainingCallback):  # type: ignore[misc]
    """Keeps the progress, round by round, and says when to stop."""

    def __init__(self, plan: Plan, progress: Progress, stage: str) -> None:
        self.plan, self.progress, self.stage = plan, progress, stage

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        self.progress.rounds += 1
        if self.plan.patience is not None:
            value = list(list(evals_log.values())[-1].values())[-1][-1]
            if value > self.progress.best:
                self.progress.best, self.progress.best_round = value, self.progress.rounds
        failpoint(f"train.{self.stage}.{self.progress.rounds}")
        return self.progress.stopped(self.plan)


def train(
    parameters: dict[str, Any],
    matrix: xgb.DMatrix,
    plan: Plan,
    *,
    stage: str = "fit",
    evaluation: xgb.DMatrix | None = None,
    checkpoints: Checkpoints | None = None,
) -> xgb.Booster:
    """The booster after the plan's rounds, from the latest checkpoint of the stage on, on the CPU from now on.

    `parameters` holds `seed`. Same parameters, data and plan: same bytes on the CPU, whatever was interrupted.
    Told to end (SIGTERM), it finishes its segment and raises StoreError: another attempt goes on there.
    """
    kept = Nowhere() if checkpoints is None else checkpoints
    # Of this very training: a plan may follow from what came before, and on a GPU that need not repeat.
    name = f"{stage}-{json_digest([parameters, asdict(plan)])[:8]}"
    data, progress = _resumed(kept, name)
    if progress.rounds:
        LOG.info("resumed", stage=stage, rounds=progress.rounds)
    evaluations = [(evaluation, "validation")] if evaluation is not None else []
    while not progress.stopped(plan):
        since, before = time.monotonic(), progress.rounds
        with term_waits() as told:
            booster = xgb.train(
                parameters | {"seed": parameters["seed"] + before},
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
        if told:
            raise StoreError(
                f"told to end after {progress.rounds} of {plan.rounds} rounds of {stage}; they are kept",
                remedy="run the step again: it goes on there",
            )
    return _finished(data, plan, progress)


def _resumed(checkpoints: Checkpoints, stage: str) -> tuple[bytes, Progress]:
    """The latest checkpoint's bytes and progress; nothing and none without one."""
    if not (data := checkpoints.latest(stage)):
        return b"", Progress()
    progress = Progress(**json.loads(_loaded(data).attr(_STATE) or "{}"))
    return data, progress


def _finished(data: bytes, plan: Plan, progress: Progress) -> xgb.Booster:
    booster = _loaded(data)
    booster.set_attr(**{_STATE: None})
    if plan.patience is not None:
        return cast(xgb.Booster, booster[: progress.best_round])
    return booster


def _loaded(data: bytes) -> xgb.Booster:
    booster = xgb.Booster()
    booster.load_model(bytearray(data))
    return booster
