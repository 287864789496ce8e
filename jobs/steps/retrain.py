"""retrain: decide whether D trains a challenger, by policy, drift and the champion's age, and store the reasons."""

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
    told = "; ".join(reasons) or "nothing asks for it"
    age = (step.run.date - champion.date).days if champion else None
    row = {
        "policy": params.policy,
        "decision": decision,
        "reasons": told,
        "champion": champion and champion.digest,
        "champion_age_days": age,
    }
    store(step, RETRAIN_DECISIONS, [row])
    step.facts |= row


def decide(
    params: RetrainParams, day: date, champion: Champion | None, drift: Manifest | None
) -> list[str]:
    """Why D trains; no reason, no training. Drift that could not be judged counts as a reason of `on_drift`."""
    if champion is None:
        return ["there is no champion"]
    reasons = []
    if (age := (day - champion.date).days) > params.max_age_days:
        reasons.append(f"the champion is {age} days old, {params.max_age_days} are allowed")
    if params.policy == "daily":
        reasons.append("every day trains")
    if params.policy == "weekly" and day.weekday() == params.weekday:
        reasons.append(f"{day:%A} trains")
    return reasons + (_of_drift(drift) if params.policy == "on_drift" else [])


def _of_drift(drift: Manifest | None) -> list[str]:
    if drift is None:
        return ["check_drift of this day did not end"]
    if not drift.facts["judged"]:
        return ["drift could not be judged"]
    drifted = drift.facts["drifted"]
    decayed = ["the champion has decayed"] if drift.facts["decayed"] else []
    return decayed + ([f"drift of {', '.join(drifted)}"] if drifted else [])


def _drift(step: Step) -> Manifest | None:
    """What check_drift found on today's snapshot; None when it failed, so that a manifest of an earlier try stands there."""
    snapshot = step.manifest("snapshot")
    found = step.lake.manifest(f"{step.run.pipeline}/check_drift/{step.run.date}")
    if found is None or found.reads.get(snapshot.name) != snapshot.content:
        return None
    return step.manifest("check_drift")
