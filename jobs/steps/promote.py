"""promote: write the gate's verdict into `promotions`, the truth, and then have the MLflow aliases follow it."""

from __future__ import annotations

from jobs.core.errors import StoreError
from jobs.core.manifest import Manifest
from jobs.steps.frame import Step
from jobs.steps.gate import PROMOTED
from jobs.stores import promotions, registry

LOCK = "pipeline"


def run(step: Step) -> None:
    pipeline, day, dsn = step.run.pipeline, step.run.date, step.settings.postgres
    step.at("window")
    gate = step.manifest("gate")
    step.at("read")
    facts, won = gate.facts, gate.facts["verdict"] == PROMOTED
    step.at("compute")
    step.at("stage")
    step.at("check")
    step.at("swap")
    promotions.record(
        dsn, pipeline, day,
        kind="promotion",
        from_digest=facts["champion"], from_version=facts["champion_version"],
        to_digest=gate.model_digest if won else None, to_version=facts["model_version"] if won else None,
        verdict=facts["verdict"], metrics=facts["metrics"], reasons=facts["reasons"], approved_by="gate",
    )  # fmt: skip
    champion = promotions.champion(dsn, pipeline, day, inclusive=True)
    step.model_digest = champion.digest if champion else None
    step.facts |= {"verdict": facts["verdict"], "champion": step.model_digest}
    move_aliases(step, gate)


def move_aliases(step: Step, gate: Manifest | None = None) -> None:
    """Have the MLflow aliases follow `promotions`, and, after a gate, the challenger's tag `verdict` follow it.

    A date older than the newest row moves no alias. That MLflow is down must not cost the day's tables: the next
    reconcile moves the aliases.
    """
    dsn, pipeline = step.settings.postgres, step.run.pipeline
    champion, previous = promotions.pair(dsn, pipeline)
    challenger = gate.model_digest if gate else None
    try:
        if gate and challenger:
            registry.tag(step.settings, pipeline, challenger, "verdict", gate.facts["verdict"])
        if gate is None or promotions.newest_date(dsn, pipeline) == step.run.date:
            registry.project_aliases(step.settings, pipeline, champion, previous, challenger)
    except StoreError as error:
        step.log.warning("aliases not moved", error=str(error))
        step.facts["aliases"] = "not moved: MLflow did not answer; the next reconcile moves them"
