"""verify: read back from both stores what D published, as a client does, and report."""

from __future__ import annotations

from jobs.core.facts import PublishFacts, VerifyFacts
from jobs.core.params import VerifyParams
from jobs.serving import publications, stores
from jobs.serving.verify import verify
from jobs.steps.frame import Step
from jobs.steps.publish import read_predictions
from jobs.usecases.discovery import find_usecase


def run(step: Step) -> None:
    pipeline, day = step.run.pipeline, step.run.date
    step.at("window")
    version = PublishFacts.of(step.manifest("publish")).version
    predict = step.manifest("predict")
    step.at("read")
    predicted = read_predictions(step, predict)
    with stores.connect(
        step.settings.postgres, step.settings.redis, pipeline, find_usecase(pipeline).predictions
    ) as both:
        step.at("compute")
        checks = verify(both, day, version, predicted, step.params(VerifyParams).sample)
        publication = publications.find(both.session, pipeline, version)
    step.at("stage")
    step.at("check")
    state = publication.state if publication else "unknown"
    step.facts = VerifyFacts(
        version=version,
        state=state,
        checks=len(checks),
        passed=sum(check.passed for check in checks),
    )
    step.model_digest = predict.model_digest
    step.check(
        checks,
        remedy=f"nightshift publish --pipeline {pipeline} --date {day} loads the differing rows "
        "again, into both stores",
    )
    step.at("swap")
