"""retrain: decide by policy, drift and the champion's age whether D trains; store the reasons."""

from __future__ import annotations

from datetime import date

from jobs.core.facts import CheckDriftFacts, RetrainFacts
from jobs.core.params import RetrainParams
from jobs.serving.promotions import ChampionModel
from jobs.steps import records
from jobs.steps.frame import Phases, Result, Staged, Step
from jobs.steps.models import opponent
from jobs.steps.records import RETRAIN_DECISIONS


def read(step: Step) -> tuple[ChampionModel | None, CheckDriftFacts | None]:
    return opponent(step), _drift(step)


def compute(
    step: Step, inputs: tuple[ChampionModel | None, CheckDriftFacts | None]
) -> RetrainFacts:
    champion, drift = inputs
    params = step.params(RetrainParams)
    reasons = decide(params, step.run.date, champion, drift)
    return RetrainFacts(
        policy=params.policy,
        decision="train" if reasons else "keep",
        reasons="; ".join(reasons) or "no retrain needed",
        champion=champion.digest if champion else None,
        champion_age_days=(step.run.date - champion.date).days if champion else None,
    )


def stage(step: Step, decision: RetrainFacts) -> Staged:
    rows = records.as_table(step, RETRAIN_DECISIONS, [decision.to_json()])
    return records.stage(step, {RETRAIN_DECISIONS: rows}, Result(decision))


def decide(
    params: RetrainParams, day: date, champion: ChampionModel | None, drift: CheckDriftFacts | None
) -> list[str]:
    """The reasons to train; [] means no training. With `on_drift`, unknown drift is a reason."""
    if champion is None:
        return ["there is no champion"]
    reasons = []
    if (age := (day - champion.date).days) > params.max_age_days:
        reasons.append(f"the champion is {age} days old; the limit is {params.max_age_days}")
    if params.policy == "daily":
        reasons.append("every day trains")
    if params.policy == "weekly" and day.weekday() == params.weekday:
        reasons.append(f"{day:%A} trains")
    return reasons + (_of_drift(drift) if params.policy == "on_drift" else [])


def _of_drift(drift: CheckDriftFacts | None) -> list[str]:
    if drift is None:
        return ["check_drift of this day has not ended"]
    if not drift.judged:
        return ["drift could not be judged"]
    decayed = ["the champion has decayed"] if drift.decayed else []
    return decayed + ([f"drift of {', '.join(drift.drifted)}"] if drift.drifted else [])


def _drift(step: Step) -> CheckDriftFacts | None:
    """The result of check_drift for the current snapshot; None if there is none."""
    snapshot = step.manifest("snapshot")
    manifest = step.lake.manifest(f"{step.run.pipeline}/check_drift/{step.run.date}")
    if manifest is None or manifest.reads.get(snapshot.name) != snapshot.content:
        return None
    return CheckDriftFacts.of(step.manifest("check_drift"))


PHASES = Phases(read, compute, stage, prepare=Step.wait_for_day_before)
