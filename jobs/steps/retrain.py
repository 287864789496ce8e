"""retrain: decide by policy, drift and the champion's age whether D trains; store the reasons."""

from __future__ import annotations

from datetime import date

from jobs.core.manifest import Manifest
from jobs.core.params import RetrainParams
from jobs.serving.promotions import Champion
from jobs.steps.frame import Step
from jobs.steps.models import opponent
from jobs.steps.records import RETRAIN_DECISIONS, store

TRAIN, KEEP = "train", "keep"


def run(step: Step) -> None:
    params = step.params(RetrainParams)
    step.at("window")
    step.wait_for_day_before()
    champion = opponent(step)
    step.at("read")
    drift = _drift(step)
    step.at("compute")
    reasons = decide(params, step.run.date, champion, drift)
    decision = TRAIN if reasons else KEEP
    age = (step.run.date - champion.date).days if champion else None
    row = {
        "policy": params.policy,
        "decision": decision,
        "reasons": "; ".join(reasons) or "no retrain needed",
        "champion": champion and champion.digest,
        "champion_age_days": age,
    }
    store(step, RETRAIN_DECISIONS, [row])
    step.facts |= row


def decide(
    params: RetrainParams, day: date, champion: Champion | None, drift: Manifest | None
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


def _of_drift(drift: Manifest | None) -> list[str]:
    if drift is None:
        return ["check_drift of this day has not ended"]
    if not drift.facts["judged"]:
        return ["drift could not be judged"]
    drifted = drift.facts["drifted"]
    decayed = ["the champion has decayed"] if drift.facts["decayed"] else []
    return decayed + ([f"drift of {', '.join(drifted)}"] if drifted else [])


def _drift(step: Step) -> Manifest | None:
    """The result of check_drift for the current snapshot; None if there is none."""
    snapshot = step.manifest("snapshot")
    manifest = step.lake.manifest(f"{step.run.pipeline}/check_drift/{step.run.date}")
    if manifest is None or manifest.reads.get(snapshot.name) != snapshot.content:
        return None
    return step.manifest("check_drift")
