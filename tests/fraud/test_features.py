"""Features equal a reference in plain Python, and none of them comes from the future."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import replace
from datetime import date, timedelta
from math import isclose

import numpy as np
import pyarrow as pa
import pytest
from fraud_world import DAYS, FIRST, LAST, World, at, twin
from pydantic import ValidationError

from jobs.core.identity import days
from jobs.usecases.fraud import columns, features, model
from jobs.usecases.fraud.params import (
    LARGEST_AMOUNT,
    MOST_A_DAY,
    FraudPredictParams,
    FraudSnapshotParams,
    FraudTrainParams,
    FraudValidateParams,
)
from jobs.usecases.fraud.tables import AGGREGATES, SQUARES

DELAY = 7
SNAPSHOT = FraudSnapshotParams(train_days=5, holdout_days=2, gap_days=1, label_delay_days=3)
# Exact but for what a square root, a difference of large numbers, or a second division rounds.
ROUNDED = {name for name in columns.FEATURES if "std" in name or "_z" in name or "over" in name}


def sliced(world, daily, asked, frame):
    """Frames of the asked-for days and of no other, as a step reads them from the lake."""
    tables, made = world.tables(), {}
    for name, wanted in asked.items():
        table = (
            daily.get(name) or tables["transactions" if name == features.MATURED_TODAY else name]
        )
        time = {"fraud_labels": "reported_at"}.get(name, "event_time")
        dates = table["date" if name in daily else time].to_pylist()
        keep = [(value if name in daily else value.date()) in set(wanted) for value in dates]
        made[name] = frame(table.filter(pa.array(keep, pa.bool_())))
    return made


def everything(world, daily, frame):
    span = list(days(FIRST - timedelta(days=60), LAST + timedelta(days=60)))
    names = ("transactions", features.MATURED_TODAY, "fraud_labels", *daily)
    return sliced(world, daily, dict.fromkeys(names, span), frame)


def by_id(result) -> dict[str, dict]:
    """Rows by transaction; every id once."""
    rows = result.toArrow().to_pylist()
    by_key = {row["transaction_id"]: row for row in rows}
    assert len(by_key) == len(rows)
    return by_key


def only_features(rows):
    return {key: {name: row[name] for name in columns.FEATURES} for key, row in rows.items()}


def differences(actual, expected):
    """(feature, transaction, found, expected) where the two are not equal."""
    return [
        (name, key, actual[key][name], expected[key][name])
        for key in expected
        for name in columns.FEATURES
        if not same(name, actual[key][name], expected[key][name])
    ]


def same(name, value, expected):
    if value is None or expected is None or isinstance(value, str):
        return value == expected
    # Variances are differences of sums of squares near 1e14; doubles keep nine digits of them.
    return (
        isclose(value, expected, rel_tol=1e-9, abs_tol=1e-9)
        if name in ROUNDED
        else value == float(expected)
    )


@pytest.fixture(scope="module")
def computed(world, daily, frame):
    return by_id(features.with_features(everything(world, daily, frame), DELAY))


@pytest.fixture(scope="module")
def training(world, daily, frame):
    asked = features.training_days(LAST, SNAPSHOT)
    return by_id(features.training_set(sliced(world, daily, asked, frame), LAST, SNAPSHOT))


def test_the_twin_knows_every_feature(world):
    assert set(columns.FEATURES) <= set(twin(world, world.transactions[0], DELAY))


def test_the_world_holds_the_cases_that_matter(world, computed):
    """Guards the comparison below against a world in which nothing happens."""
    for name in columns.FEATURES:
        assert len({row[name] for row in computed.values()}) > 1, name
    for name in (
        "customer_std_1",
        "seconds_since_previous",
        "genuine_mean",
        "merchant_fraud_streak_days",
    ):
        assert None in {row[name] for row in computed.values()}, name
    times = [(row.customer_id, row.event_time) for row in world.transactions]
    assert len(set(times)) < len(times)
    reported = {(row.merchant_id, row.reported_at) for row in world.labels if row.is_fraud}
    assert reported & {(row.merchant_id, row.event_time) for row in world.transactions}


def test_every_feature_equals_its_twin(world, computed):
    expected = {row.transaction_id: twin(world, row, DELAY) for row in world.transactions}
    assert computed.keys() == expected.keys()  # rows out = rows in
    assert differences(computed, expected) == []


@pytest.mark.parametrize(
    ("table", "entity"), zip(AGGREGATES, ("customer_id", "merchant_id"), strict=True)
)
def test_aggregates_equal_their_twin(table, entity, world, daily):
    names = table.schema.names[2:]
    made, reported = defaultdict(list), defaultdict(list)
    for row in world.transactions:
        made[row.event_time.date(), getattr(row, entity)].append(row)
    for row in world.labels:
        if row.is_fraud:
            reported[row.reported_at.date(), getattr(row, entity)].append(row.amount_minor)

    def expected(rows, frauds):
        amounts = [row.amount_minor for row in rows]
        values = {
            "transactions": len(rows),
            "amount_sum": sum(amounts),
            "amount_sum_of_squares": sum(amount**2 for amount in amounts),
            "amount_max": max(amounts, default=0),
            "night_transactions": sum(row.event_time.hour <= 6 for row in rows),
            "last_event_time": max((row.event_time for row in rows), default=None),
            "reported_frauds": len(frauds),
            "reported_fraud_sum": sum(frauds),
            "reported_fraud_sum_of_squares": sum(amount**2 for amount in frauds),
        }
        return {name: values[name] for name in names}

    aggregates = daily[table.name].select(table.schema.names).cast(table.schema).to_pylist()
    cells = made.keys() | reported.keys()
    assert len(aggregates) == len(cells)
    assert {
        (row["date"], row[entity]): {name: row[name] for name in names} for row in aggregates
    } == {cell: expected(made[cell], reported[cell]) for cell in cells}


def test_amounts_at_the_bound_go_through_to_scores(world, aggregated, frame):
    """The largest amount that params allow, a third of it, and cents, in every window."""
    amounts = itertools.cycle((LARGEST_AMOUNT, LARGEST_AMOUNT // 3, 9_244_551_664, 1))
    rows = [replace(row, amount_minor=next(amounts)) for row in world.transactions]
    paid = {row.transaction_id: row.amount_minor for row in rows}
    labels = [replace(row, amount_minor=paid.get(row.transaction_id, 1)) for row in world.labels]
    large = World(rows, labels)
    frames = everything(large, aggregated(large), frame)
    feature_rows = by_id(features.with_features(frames, DELAY))
    expected = {row.transaction_id: twin(large, row, DELAY) for row in rows[::7]}
    assert differences(feature_rows, expected) == []
    table = features.training_set(frames, LAST, SNAPSHOT).toArrow()
    fitted = model.fit(
        table, FraudTrainParams(n_estimators=5, validation_days=1, checkpoint_rounds=5)
    )
    scores = model.score(fitted, table)
    assert np.isfinite(scores).all() and len(scores) == table.num_rows > 0


def test_the_bound_is_the_largest_amount_whose_sums_have_64_bits():
    most = (columns.LONGEST + 1) * MOST_A_DAY
    assert most * LARGEST_AMOUNT < 2**63 <= most * (LARGEST_AMOUNT + 1)
    assert most * LARGEST_AMOUNT**2 < 10**SQUARES.precision
    FraudValidateParams(max_amount_minor=LARGEST_AMOUNT)
    with pytest.raises(ValidationError, match="less than or equal to"):
        FraudValidateParams(max_amount_minor=LARGEST_AMOUNT + 1)


def test_a_window_at_the_bound_has_its_exact_sums(world, frame):
    """A customer and a merchant with the most transactions allowed on every day of the window."""
    one = replace(world.transactions[0], event_time=at(LAST, hours=12), amount_minor=LARGEST_AMOUNT)
    before = days(LAST - timedelta(days=columns.LONGEST), LAST - timedelta(days=1))
    counts = dict.fromkeys(before, MOST_A_DAY)
    counts[LAST - timedelta(days=1)] += (
        MOST_A_DAY - 1
    )  # those of the day itself but for one, without their rows
    ids = {"customer_daily": one.customer_id, "merchant_daily": one.merchant_id}
    daily = {
        table.name: pa.Table.from_pylist(
            [
                {
                    table.key[0]: ids[table.name],
                    "date": day,
                    "transactions": count,
                    "amount_max": LARGEST_AMOUNT,
                    "amount_sum": count * LARGEST_AMOUNT,
                    "amount_sum_of_squares": count * LARGEST_AMOUNT**2,
                    "night_transactions": 0,
                    "last_event_time": at(day, hours=1),
                    "reported_frauds": 0,
                    "reported_fraud_sum": 0,
                    "reported_fraud_sum_of_squares": 0,
                }
                for day, count in counts.items()
            ],
            schema=table.schema,
        )
        for table in AGGREGATES
    }
    rows = [one, replace(one, transaction_id="later", event_time=at(LAST, hours=13))]
    (row,) = [
        feature_rows
        for feature_rows in features.with_features(everything(World(rows, []), daily, frame), DELAY)
        .toArrow()
        .to_pylist()
        if feature_rows["transaction_id"] == "later"
    ]
    assert (
        row["customer_sum_30"]
        == row["merchant_sum_30"]
        == (columns.LONGEST + 1) * MOST_A_DAY * LARGEST_AMOUNT
    )
    assert row["customer_squares_30"] == (columns.LONGEST + 1) * MOST_A_DAY * LARGEST_AMOUNT**2
    assert row["customer_mean_30"] == row["customer_max_30"] == LARGEST_AMOUNT


def test_training_set_equals_the_twin(world, training):
    train, holdout = features.split_days(LAST, SNAPSHOT)
    rows = {row.transaction_id: row for row in world.on(train + holdout)}
    assert training.keys() == rows.keys()
    assert (
        differences(
            training,
            {key: twin(world, row, SNAPSHOT.label_delay_days) for key, row in rows.items()},
        )
        == []
    )
    for key, row in rows.items():
        split = "train" if row.event_time.date() in train else "holdout"
        known = [
            each
            for each in world.labels
            if each.transaction_id == key and each.reported_at.date() <= LAST
        ]
        last = max(known, key=lambda each: (each.reported_at, each.is_fraud), default=None)
        assert (training[key]["split"], training[key]["is_fraud"]) == (
            split,
            bool(last and last.is_fraud),
        )
    assert {row["is_fraud"] for row in training.values()} == {True, False}


def test_scoring_set_gives_a_row_the_features_that_training_gave_it(world, daily, training, frame):
    params = FraudPredictParams(label_delay_days=SNAPSHOT.label_delay_days)
    train, holdout = features.split_days(LAST, SNAPSHOT)
    for day in (train[0], holdout[-1]):
        asked = features.scoring_days(day, params)
        feature_rows = by_id(features.scoring_set(sliced(world, daily, asked, frame), day, params))
        assert feature_rows.keys() == {row.transaction_id for row in world.on([day])}
        assert only_features(feature_rows) == only_features(
            {key: training[key] for key in feature_rows}
        )


def test_another_future_changes_nothing(world, computed, aggregated, frame):
    """Every other row at or after t and every label reported at or after t is another one."""
    crowd = [
        row
        for row in world.transactions
        if row.event_time.hour == 12 and row.event_time.date() > FIRST + timedelta(35)
    ]
    row = next(
        one
        for one in crowd
        if sum(
            o.customer_id == one.customer_id and o.event_time == one.event_time
            for o in world.transactions
        )
        > 1
    )
    other = world.poisoned(row.event_time, row)
    feature_rows = by_id(features.with_features(everything(other, aggregated(other), frame), DELAY))
    past = {one.transaction_id for one in world.transactions if one.event_time < row.event_time}
    kept = past | {row.transaction_id}
    assert len(kept) < len(world.transactions)
    assert only_features({key: feature_rows[key] for key in kept}) == only_features(
        {key: computed[key] for key in kept}
    )
    assert (
        feature_rows["twin"]["customer_count_1"]
        == feature_rows[row.transaction_id]["customer_count_1"]
    )
    later = [one for one in computed if one not in kept and one in feature_rows]
    assert any(
        feature_rows[key]["customer_mean_30"] != computed[key]["customer_mean_30"] for key in later
    )


def test_a_label_reported_after_the_day_is_not_in_its_training_set(world, training):
    """The world contains later labels and aggregates of them; the references above ignore them."""
    latest = {
        one.transaction_id: one.is_fraud
        for one in sorted(world.labels, key=lambda one: one.reported_at)
    }
    contradicted = [
        key for key in training.keys() & latest if training[key]["is_fraud"] != latest[key]
    ]
    assert len(contradicted) > 10


@pytest.mark.parametrize("day", [date(2024, 3, 1), date(2024, 12, 31), LAST])
@pytest.mark.parametrize(
    "params",
    [
        SNAPSHOT,
        FraudSnapshotParams(),
        FraudSnapshotParams(gap_days=0, holdout_days=1, label_delay_days=1),
    ],
)
def test_split_days_neither_overlap_nor_leave_a_hole(day, params):
    train, holdout = features.split_days(day, params)
    assert (len(train), len(holdout)) == (params.train_days, params.holdout_days)
    span = list(days(train[0], holdout[-1]))
    gap = span[len(train) : len(span) - len(holdout)]
    assert (span[: len(train)], span[len(span) - len(holdout) :]) == (train, holdout)
    assert len(gap) == params.gap_days
    assert day - holdout[-1] == timedelta(days=params.label_delay_days)


def test_no_day_is_asked_for_that_is_still_to_come():
    for asked in (
        features.training_days(LAST, SNAPSHOT),
        features.scoring_days(LAST, FraudPredictParams()),
    ):
        assert {max(wanted) for wanted in asked.values()} <= set(days(FIRST, LAST))
        assert all(len(set(wanted)) == len(wanted) for wanted in asked.values())


@pytest.mark.parametrize("what", ["training", "scoring"])
def test_windows_reach_as_far_as_is_asked_for(what, world, daily, training, frame):
    """The twins above show that no earlier day is needed; here the oldest day of each input is."""
    if what == "training":
        day, params, whole = LAST, SNAPSHOT, training
        ask, make = features.training_days, features.training_set
    else:
        day, params = LAST, FraudPredictParams(label_delay_days=DELAY)
        ask, make = features.scoring_days, features.scoring_set
        whole = {row.transaction_id: twin(world, row, DELAY) for row in world.on([day])}
    oldest = min(ask(day, params)["merchant_daily"])
    asked = {
        name: [each for each in wanted if each > oldest]
        for name, wanted in ask(day, params).items()
    }
    feature_rows = by_id(make(sliced(world, daily, asked, frame), day, params))
    changed = {name for name, *_ in differences(feature_rows, whole)}
    assert oldest > FIRST and len(list(days(oldest, LAST))) < DAYS
    assert "merchant_risk_30" in changed and "amount_over_genuine" in changed
    assert not changed & {
        "customer_count_30",
        "customer_mean_30",
        "merchant_frauds_30",
        "merchant_risk_7",
    }
