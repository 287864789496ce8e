"""promote: write the gate's verdict into `promotions`, the truth, and then have the MLflow aliases follow it."""

from __future__ import annotations

from jobs.core.errors import StoreError
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
    _project(step, gate.model_digest)


def _project(step: Step, challenger: str | None) -> None:
    """Aliases show the newest date only; that MLflow is down must not cost the day's tables: reconcile mends it."""
    if promotions.newest_date(step.settings.postgres, step.run.pipeline) != step.run.date:
        return
    champion, previous = promotions.pair(step.settings.postgres, step.run.pipeline)
    try:
        registry.project_aliases(step.settings, step.run.pipeline, champion, previous, challenger)
    except StoreError as error:
        step.log.warning("aliases not moved", error=str(error))
        step.facts["aliases"] = "not moved: MLflow did not answer; the next reconcile moves them"
