"""retrain: by which reasons a day trains, and that the decision is kept."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from jobs.core.facts import CheckDriftFacts
from jobs.core.params import RetrainParams
from jobs.serving.promotions import ChampionModel
from jobs.steps.records import RETRAIN_DECISIONS
from jobs.steps.retrain import decide
from jobs.stores import clickhouse
from nights import DAY

SATURDAY = date(2018, 7, 14)
YOUNG = ChampionModel("a" * 64, "3", SATURDAY - timedelta(days=2))


def drift(judged=True, drifted=(), decayed=False):
    return CheckDriftFacts(
        report="",
        report_url="",
        judged=judged,
        drifted=list(drifted),
        warnings=[],
        decayed=decayed,
    )


def reasons(policy, found, champion=YOUNG, day=SATURDAY, **params):
    return decide(RetrainParams(policy=policy, **params), day, champion, found)


@pytest.mark.parametrize("policy", ["daily", "on_drift", "weekly"])
def test_without_a_champion_every_policy_trains(policy):
    assert reasons(policy, drift(), champion=None) == ["there is no champion"]


def test_daily_trains_and_on_drift_does_not_without_a_reason():
    assert reasons("daily", drift()) == ["every day trains"]
    assert reasons("on_drift", drift()) == []


def test_on_drift_trains_for_drift_and_for_decay_and_names_both():
    result = reasons("on_drift", drift(drifted=["day amount", "window prediction"], decayed=True))
    assert result == ["the champion has decayed", "drift of day amount, window prediction"]


def test_drift_that_nobody_could_judge_is_a_reason():
    assert reasons("on_drift", None) == ["check_drift of this day has not ended"]
    assert reasons("on_drift", drift(judged=False)) == ["drift could not be judged"]


@pytest.mark.parametrize("policy", ["on_drift", "weekly"])
def test_a_champion_older_than_allowed_is_replaced_whatever_the_policy(policy):
    assert reasons(policy, drift(), max_age_days=2) == []
    assert reasons(policy, drift(), max_age_days=1) == [
        "the champion is 2 days old; the limit is 1"
    ]


def test_weekly_trains_on_its_day_alone():
    assert [reasons("weekly", drift(), weekday=n) for n in range(7)] == [
        ["Saturday trains"] if n == 5 else [] for n in range(7)
    ]


@pytest.mark.parametrize(("policy", "decision"), [("daily", "train"), ("weekly", "keep")])
def test_the_decision_is_a_row_and_a_fact(at, policy, decision):
    place = at("retrain")
    place.set_params(retrain={"policy": policy, "weekday": (DAY.weekday() + 1) % 7})
    manifest = place.run("retrain")
    with place.settings() as settings, clickhouse.connect_clickhouse(settings) as db:
        (row,) = db.read_partition("fraud", RETRAIN_DECISIONS, DAY).to_pylist()
    assert manifest.facts["decision"] == row["decision"] == decision
    assert row["reasons"] == ("every day trains" if decision == "train" else "no retrain needed")
    assert row["policy"] == policy and row["champion_age_days"] == 2


@pytest.mark.slow  # four processes of a night
def test_a_night_that_does_not_train_is_published_with_the_champion_there_is(at):
    place = at("retrain")
    place.set_params(retrain={"policy": "weekly", "weekday": (DAY.weekday() + 1) % 7})
    before = place.manifest("predict", DAY - timedelta(days=1)).model_digest
    process = place.nightshift(
        "run", "fraud", "--date", str(DAY), "--from", "retrain", "--no-catch-up"
    )
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert place.manifest("train") is None and place.manifest("gate") is None
    assert place.manifest("publish").model_digest == before
