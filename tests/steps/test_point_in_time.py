"""Poisoned futures, late rows, missing and empty days: what changes, and what must not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pyarrow.compute as pc
import pytest

from jobs.core.errors import DataError
from jobs.stores import clickhouse
from jobs.usecases.discovery import find_usecase
from nights import AFTER, BEFORE, DAY, FIRST, INGEST
from prepared_night import EACH

ABSURD = 99_999.99
TODAY = f"event_time >= '{DAY}' AND event_time < '{AFTER}'"
LATE = f"{DAY} 22:00Z"
REST = "customer_id, merchant_id, {amount}, currency, country, device_type, card_last_4"
ONE_OF = (
    "transaction_id = (SELECT min(transaction_id) FROM transactions"
    " WHERE event_time >= '{day}' AND event_time < date '{day}' + 1)"
)
PARTITIONS = ("customer_daily", "merchant_daily")


def poison(place, moment):
    """From `moment` on, everybody spends absurd amounts and every old transaction is a fraud."""
    place.upstream(
        "INSERT INTO transactions SELECT 'late-' || transaction_id, "
        f"timestamptz '{moment}' + interval '1 hour',"
        f" {REST.format(amount=ABSURD)} FROM transactions WHERE {TODAY}"
    )
    place.upstream(
        "INSERT INTO fraud_labels SELECT transaction_id, true, "
        f"timestamptz '{moment}' + interval '1 hour'"
        f" FROM transactions WHERE event_time < '{DAY}' ON CONFLICT DO NOTHING"
    )


def poison_movies(place, moment):
    """From `moment` on everybody loves one movie, which is new, and has watched it for days."""
    place.upstream("INSERT INTO movies VALUES ('craze', 'Craze', 2018, 'Craze')")
    place.upstream(
        "INSERT INTO user_interactions "
        "SELECT DISTINCT ON (user_id) 'late-' || id, user_id, 'craze', 'rating', 10,"
        f" timestamptz '{moment}' + interval '1 hour', '{{\"watch_time_s\": 999999}}'::jsonb "
        "FROM user_interactions"
    )
    place.upstream(
        "UPDATE movies SET title = 'another', genres = 'Craze', year = 1900 "
        "WHERE movie_id <> 'craze'"
    )


def fraud_is_poisoned(place):
    daily = table(place, "customer_daily", AFTER)
    assert pc.max(daily["amount_max"]).as_py() == 9_999_999
    assert pc.sum(daily["reported_frauds"]).as_py() > 1000


def movies_are_poisoned(place):
    preferences = table(place, "user_preferences_daily", AFTER)
    assert pc.max(preferences["total_watch_time"]).as_py() > 900_000
    assert set(preferences["genre"].to_pylist()) == {"Craze"}


POISONS = {"fraud": (poison, fraud_is_poisoned), "movies": (poison_movies, movies_are_poisoned)}


def table(place, name, day=DAY):
    usecase = find_usecase(place.pipeline)
    every = {each.name: each for each in (*usecase.aggregates, *usecase.predictions)}
    with place.settings() as settings, clickhouse.connect_clickhouse(settings) as db:
        return db.read_partition(place.pipeline, every[name], day)


def remove(place, step, *days):
    for day in days:
        (place.home / "lake" / "fraud" / step / str(day) / "manifest.json").unlink()


@EACH
def test_what_comes_after_the_day_changes_nothing_of_it(at, pipeline):
    place, (poisoned, is_poisoned) = at("end", own_source=True), POISONS[pipeline]
    before = place.digests()
    poisoned(place, f"{AFTER} 00:00Z")
    place.set_params(validate={"min_volume_fraction": 0.0})
    place.ingest(AFTER, AFTER)
    is_poisoned(place)
    for step in (*INGEST, "snapshot", "predict"):
        place.run(step)
    after = place.digests()
    assert {name: after[name] for name in before} == before


def test_what_comes_later_on_the_day_changes_no_score_before_it(at):
    place = at("end", own_source=True)
    scores = table(place, "transaction_scores")
    poison(place, LATE)
    place.ingest(DAY, DAY)
    place.run("predict")
    changed = table(place, "transaction_scores")
    assert changed.num_rows == 2 * scores.num_rows
    earlier = pc.less(changed["event_time"], datetime(*DAY.timetuple()[:3], 23, tzinfo=UTC))
    known = scores.filter(
        pc.is_in(scores["transaction_id"], changed.filter(earlier)["transaction_id"])
    )
    assert changed.filter(earlier).equals(known) and known.num_rows > 100


def test_a_missing_day_is_named(at):
    place = at("snapshot")
    day = DAY - timedelta(days=6)
    remove(place, "build_features", day)
    with pytest.raises(DataError, match=f"build_features has not run for {day}") as raised:
        place.run("snapshot")
    assert (
        raised.value.where == f"fraud/snapshot {DAY}"
        and "--to build_features" in raised.value.remedy
    )


def test_days_before_the_first_date_are_no_holes(at):
    """The window of 30 days begins before the source did."""
    manifest = at("train").manifest("snapshot")
    days = {date.fromisoformat(name.rpartition("/")[2]) for name in manifest.reads}
    assert min(days) == FIRST and manifest.missing_days == []


def test_missing_scores_are_let_pass_and_recorded_as_far_as_params_allow(at):
    place = at("predict")
    remove(place, "predict", BEFORE)
    place.set_params(predict={"max_missing_days": 0})
    with pytest.raises(DataError, match=rf"predict has not run for {BEFORE} \(0 missing allowed\)"):
        place.run("predict")
    place.set_params(predict={"max_missing_days": 1})
    assert place.run("predict").missing_days == [BEFORE]


def test_an_empty_day_is_a_day(at):
    """Its partition goes, its manifests say 0 rows, and it is scored, published and served."""
    place = at("end", own_source=True)
    place.upstream(f"DELETE FROM transactions WHERE {TODAY}")
    place.upstream(
        f"DELETE FROM fraud_labels WHERE reported_at >= '{DAY}' AND reported_at < '{AFTER}'"
    )
    place.set_params(validate={"quiet_days": [DAY]})
    assert table(place, "customer_daily").num_rows
    place.ingest(DAY, DAY)
    assert [each.rows for each in place.manifest("build_features").outputs] == [0, 0]
    with place.settings() as settings, clickhouse.connect_clickhouse(settings) as db:
        assert all(DAY not in db.days("fraud", each) for each in find_usecase("fraud").aggregates)
    predict = place.run("predict")
    assert (
        predict.output("transaction_scores").rows == 0
        and predict.output("customer_risk").rows > 100
    )
    version = place.run("publish").facts["version"]
    assert place.run("verify").facts["state"] == "current"
    assert place.serving()["served"][0] == place.serving()["redis"][0] == version


def test_late_rows_mark_what_was_made_without_them_and_change_it_alone(at):
    place = at("end", own_source=True)
    day = DAY - timedelta(days=3)  # in the holdout of the night of DAY
    before = place.clickhouse_digests()
    place.run("extract", day)
    assert place.stale() == set()
    place.upstream(
        "INSERT INTO transactions SELECT 'late-' || transaction_id, event_time, "
        f"{REST.format(amount=12.5)}"
        f" FROM transactions WHERE {ONE_OF.format(day=day)}"
    )
    place.upstream(
        f"INSERT INTO fraud_labels SELECT transaction_id, true, timestamptz '{day} 23:00Z' "
        "FROM transactions"
        f" WHERE transaction_id LIKE 'late-%'"
    )
    place.run("extract", day)
    assert place.stale() == {("validate", day)}
    place.run("validate", day)
    stale = place.stale()
    assert ("build_features", day) in stale and ("snapshot", DAY) in stale
    assert not any(step == "build_features" and other != day for step, other in stale)
    place.run("build_features", day)
    changed = {
        name for name, digest in place.clickhouse_digests().items() if digest != before[name]
    }
    assert changed == {f"{name} {day}" for name in PARTITIONS}
    assert {("snapshot", DAY), ("predict", DAY)} <= place.stale()
    old = place.manifest("snapshot")
    new = place.run("snapshot")
    assert new.facts["snapshot_md5"] != old.facts["snapshot_md5"]
    assert new.output("training_set").rows == old.output("training_set").rows + 1
    assert ("train", DAY) in place.stale() and ("snapshot", DAY) not in place.stale()


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", ["movies"], indirect=True)
def test_late_interactions_mark_what_was_made_without_them_and_change_it_alone(at):
    place = at("end", own_source=True)
    before = place.clickhouse_digests()
    place.upstream(
        "INSERT INTO user_interactions SELECT 'late-' || id, user_id, movie_id, interaction_type, "
        "value, timestamp"
        f" FROM user_interactions WHERE timestamp >= '{BEFORE}' AND timestamp < '{DAY}' LIMIT 20"
    )
    rows = place.manifest("extract", BEFORE).output("user_interactions").rows
    assert place.run("extract", BEFORE).output("user_interactions").rows == rows + 20
    assert place.stale() == {("validate", BEFORE)}
    place.run("validate", BEFORE)
    stale = place.stale()
    assert {
        ("build_features", BEFORE),
        ("predict", BEFORE),
        ("snapshot", DAY),
        ("predict", DAY),
    } <= stale
    assert not any(step == "build_features" and day != BEFORE for step, day in stale)
    place.run("build_features", BEFORE)
    changed = {
        name for name, digest in place.clickhouse_digests().items() if digest != before[name]
    }
    assert changed == {f"user_preferences_daily {BEFORE}", f"movie_daily {BEFORE}"}
    old = place.manifest("snapshot").output("training_set")
    assert place.run("snapshot").output("training_set").rows == old.rows + 20
    assert ("train", DAY) in place.stale() and ("snapshot", DAY) not in place.stale()
