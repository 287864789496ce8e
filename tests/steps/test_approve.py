"""approve and promote, the real steps: which answer counts, for which model, in which run."""

from __future__ import annotations

import pytest

from jobs.core.errors import DataError
from jobs.serving import promotions
from nights import AFTER, BEFORE, DAY

RUN, OTHER = "manual__1", "manual__2"


def champion_of(place, day=DAY):
    return promotions.history(place.postgres, place.pipeline).champion(day, inclusive=True).digest


@pytest.fixture
def place(at):
    """The gate let the challenger pass, and params ask a person."""
    place = at("promote")
    place.set_params(promote={"approval": "manual", "default": "Reject"})
    return place


def refused(place, match, **options):
    """promote refuses, and the champion stays."""
    before = champion_of(place, BEFORE)
    with pytest.raises(DataError, match=match):
        place.run("promote", **options)
    assert champion_of(place) == before
    assert not [row for row in promotions.history(place.postgres, "fraud") if row.date == DAY]


@pytest.mark.parametrize("answer", ["approved", "declined", "expired"])
def test_the_answer_of_the_run_decides_and_is_recorded_with_its_author(place, answer):
    before, by = champion_of(place, BEFORE), "" if answer == "expired" else "ana"
    place.run("approve", dag_run=RUN)
    place.run("approve", dag_run=RUN, answer=answer, by=by, comment="seen the slices")
    done = place.run("promote", dag_run=RUN)
    last = promotions.history(place.postgres, "fraud")[-1]
    assert done.facts["verdict"] == last.verdict == {"approved": "promoted"}.get(answer, answer)
    assert last.approved_by == ("nobody" if answer == "expired" else "ana")
    assert (champion_of(place) != before) == (answer == "approved")
    assert any("seen the slices" in reason for reason in last.reasons) == (answer != "expired")


def test_an_answer_in_a_shell_counts_for_every_run(place):
    place.run("approve", answer="approved", by="ana")
    assert place.run("promote", dag_run=RUN).facts["promoted"]


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([], id="nobody was asked: approve was marked as success"),
        pytest.param([{"dag_run": RUN}], id="nobody has answered"),
        pytest.param(
            [
                {"dag_run": RUN},
                {"dag_run": RUN, "answer": "approved", "by": "ana"},
                {"dag_run": RUN},
            ],
            id="asked again",
        ),
        pytest.param(
            [{"dag_run": OTHER}, {"dag_run": OTHER, "answer": "approved", "by": "ana"}],
            id="answered in another run",
        ),
        pytest.param(
            [{"answer": "approved", "by": "ana"}, {"dag_run": RUN}],
            id="asked again after a shell's answer",
        ),
    ],
)
def test_without_an_answer_of_this_run_promote_refuses(place, records):
    for record in records:
        place.run("approve", **record)
    refused(place, "waits for a person's approval", dag_run=RUN)


def test_an_answer_about_another_challenger_promotes_nobody(place):
    place.run("approve", dag_run=RUN)
    asked = place.manifest("approve")
    place.lake.commit(asked.model_copy(update={"model_digest": "f" * 64}))
    with pytest.raises(DataError, match="but the gate judged"):
        place.run("approve", dag_run=RUN, answer="approved", by="ana")
    answered = {**asked.facts, "answer": "approved", "by": "ana"}
    place.lake.commit(asked.model_copy(update={"model_digest": "f" * 64, "facts": answered}))
    refused(place, "but the gate judged", dag_run=RUN)


@pytest.mark.parametrize("asked", [[], [OTHER]])
def test_a_run_that_did_not_ask_cannot_answer(place, asked):
    for run in asked:
        place.run("approve", dag_run=run)
    with pytest.raises(DataError, match="did not ask"):
        place.run("approve", dag_run=RUN, answer="approved", by="ana")


def test_an_approval_has_an_author(place):
    with pytest.raises(DataError, match="does not say who gave it"):
        place.run("approve", answer="approved")


def test_a_decline_counts_though_params_ask_nobody(at):
    place = at("promote")
    before = champion_of(place, BEFORE)
    place.run("approve", answer="declined", by="ana")
    done = place.run("promote")
    assert (
        done.facts["verdict"] == "declined"
        and not done.facts["promoted"]
        and champion_of(place) == before
    )


def test_an_answer_after_a_later_night_comes_too_late(place):
    before = champion_of(place)
    place.query(
        "INSERT INTO promotions (pipeline, date, kind, verdict, metrics, reasons, approved_by)"
        f" VALUES ('fraud', '{AFTER}', 'promotion', 'rejected', '{{}}', '[]', 'gate')"
    )
    place.run("approve", answer="approved", by="ana", comment="good")
    done = place.run("promote")
    assert done.facts["verdict"] == "expired" and champion_of(place) == before
    (row,) = [row for row in promotions.history(place.postgres, "fraud") if row.date == DAY]
    assert row.approved_by == "ana" and f"answered after the night of {AFTER}" in row.reasons
