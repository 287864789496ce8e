"""verify: read back from both stores what D published, as a client does, and report."""

from __future__ import annotations

from typing import NamedTuple

from jobs.core.checks import Check
from jobs.core.facts import PublishFacts, VerifyFacts
from jobs.core.params import VerifyParams
from jobs.serving import publications, stores
from jobs.serving.verify import verify
from jobs.steps.frame import Phases, Requirement, Result, Staged, Step, unchanged
from jobs.steps.publish import read_predictions
from jobs.usecases.discovery import find_usecase


class Verified(NamedTuple):
    facts: VerifyFacts
    checks: list[Check]
    model_digest: str | None


def read(step: Step) -> Verified:
    pipeline, day = step.run.pipeline, step.run.date
    version = PublishFacts.of(step.manifest("publish")).version
    predict = step.manifest("predict")
    predicted = read_predictions(step, predict)
    with stores.connect_serving_stores(
        step.settings.postgres, step.settings.redis, pipeline, find_usecase(pipeline).predictions
    ) as both:
        checks = verify(both, day, version, predicted, step.params(VerifyParams).sample)
        publication = publications.find(both.session, pipeline, version)
    facts = VerifyFacts(
        version=version,
        state=publication.state if publication else "unknown",
        checks=len(checks),
        passed=sum(check.passed for check in checks),
    )
    return Verified(facts, checks, predict.model_digest)


def stage(step: Step, verified: Verified) -> Staged:
    remedy = (
        f"nightshift publish --pipeline {step.run.pipeline} --date {step.run.date} loads the "
        "differing rows again, into both stores"
    )
    return Staged(
        swap=lambda: Result(verified.facts, model_digest=verified.model_digest),
        check=lambda: [Requirement(verified.checks, remedy)],
    )


PHASES = Phases(read, unchanged, stage)
