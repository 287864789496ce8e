"""How a model becomes champion and is replaced, by the real steps on fraud's prepared night."""

from __future__ import annotations

import time

import pytest

from dealt_labels import favour, shuffle_labels
from jobs.serving import promotions
from nights import BEFORE, DAY

pytestmark = [pytest.mark.drift, pytest.mark.timeout(1800)]

STRICT = {"min_margin": 0.0, "floors": {"roc_auc": 0.5}, "max_slice_loss": 1.0}


def champion(place, day=DAY):
    return promotions.history(place.postgres, "fraud").champion(day, inclusive=True).digest


def test_a_challenger_of_shuffled_labels_is_rejected_with_the_reasons(at, scenario):
    place = at("train")
    shuffle_labels(place)
    place.set_params(gate=STRICT)
    place.run("train")
    gate = place.run("gate")
    place.run("promote")
    scenario("gate: shuffled labels", "verdict", "rejected", gate.facts["verdict"])
    said = [
        each for each in gate.facts["reasons"] if each.startswith("FAIL margin.average_precision")
    ]
    scenario("gate: shuffled labels", "reasons that name the margin", 1, len(said))
    scenario(
        "gate: shuffled labels",
        "the champion stays",
        True,
        champion(place) == champion(place, BEFORE),
    )


def test_a_better_challenger_is_promoted(at, scenario):
    place = at("gate")
    place.set_params(gate=STRICT)
    favour(place, DAY, place.manifest("train").model_digest)
    gate = place.run("gate")
    place.run("promote")
    scenario("gate: a better challenger", "verdict", "promoted", gate.facts["verdict"])
    scenario("gate: a better challenger", "is champion", True, champion(place) == gate.model_digest)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [("approved", "promoted"), ("declined", "declined"), ("expired", "expired")],
)
def test_where_a_person_is_asked_the_answer_decides(at, scenario, answer, verdict):
    place = at("promote")
    place.set_params(promote={"approval": "manual", "default": "Reject"})
    place.run("approve", answer=answer, by="ana")
    found = place.run("promote").facts["verdict"]
    scenario(f"approval: {answer}", "verdict", verdict, found)


def test_a_rollback_brings_back_tables_and_model_within_seconds(at, scenario):
    place = at("end")
    left, former = place.serving()["served"]
    model = champion(place, BEFORE)
    started = time.monotonic()
    place.run("rollback", reason="scores are off")
    seconds = time.monotonic() - started
    scenario("rollback: both", "served", former, place.serving()["served"][0])
    scenario("rollback: both", "champion", model, champion(place))
    scenario(f"rollback: both ({seconds:.1f} s)", "within 10 s", True, seconds < 10)
    scenario(
        "rollback: both",
        "the version that was left",
        "withdrawn",
        place.serving()["publications"][left],
    )
