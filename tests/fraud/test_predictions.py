"""What is published from scores, against loops over plain rows."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from jobs.core.digest import table_digest
from jobs.usecases.fraud import predictions
from jobs.usecases.fraud.params import FraudPredictParams
from jobs.usecases.fraud.tables import AGGREGATES, PREDICTIONS

DAY = date(2024, 3, 31)
PARAMS = FraudPredictParams()
SCORES, CUSTOMERS, MERCHANTS = PREDICTIONS
THRESHOLD = 0.5


def daily(entity, rows):
    """Aggregates of (days before DAY, who, transactions)."""
    table = next(each for each in AGGREGATES if each.key == (entity,))
    values = [
        {field.name: 0 for field in table.schema}
        | {
            "date": DAY - timedelta(days=ago),
            entity: who,
            "transactions": count,
            "last_event_time": None,
        }
        for ago, who, count in rows
    ]
    return pa.Table.from_pylist(values, schema=table.schema)


def events(rows):
    """Transactions (id, customer, merchant) of DAY as scoring_set returns them, with a feature."""
    return pa.table(
        {
            "date": pa.array([DAY] * len(rows), pa.date32()),
            "transaction_id": pa.array([row[0] for row in rows], pa.string()),
            "event_time": pa.array(
                [datetime(2024, 3, 31, number % 24, tzinfo=UTC) for number in range(len(rows))],
                pa.timestamp("us", "UTC"),
            ),
            "customer_id": pa.array([row[1] for row in rows], pa.string()),
            "merchant_id": pa.array([row[2] for row in rows], pa.string()),
            "amount_minor": pa.array(range(len(rows)), pa.int64()),
            "currency": pa.array(
                [("EUR", "USD", None)[number % 3] for number in range(len(rows))], pa.string()
            ),
            "amount": pa.array([1.0] * len(rows), pa.float64()),
        }
    )


def past(rows):
    """Published scores (days before DAY, id, customer, merchant, score)."""
    values = [
        {
            "date": DAY - timedelta(days=ago),
            "transaction_id": key,
            "customer_id": customer,
            "merchant_id": merchant,
            "amount_minor": 5,
            "score": score,
            "flagged": score >= 0.5,
            "event_time": datetime(2024, 3, 31, tzinfo=UTC) - timedelta(days=ago),
        }
        for ago, key, customer, merchant, score in rows
    ]
    return pa.Table.from_pylist(values, schema=SCORES.schema)


def build(made, scores, before, customers, merchants):
    seen = {
        "customer_daily": daily("customer_id", customers),
        "merchant_daily": daily("merchant_id", merchants),
    }
    today = predictions.transaction_scores(events(made), np.array(scores), THRESHOLD)
    return predictions.contents(today, past(before), seen, DAY, PARAMS)


def one(rows):
    (row,) = rows.to_pylist()
    return row


def world(seed=2):
    chance = random.Random(seed)
    made = [(f"t{n:03}", f"c{chance.randrange(20)}", f"m{chance.randrange(6)}") for n in range(80)]
    scores = [chance.choice((0.5, 0.4999999, chance.random())) for _ in made]
    before = [
        (
            chance.randrange(1, 7),
            f"p{n:03}",
            f"c{chance.randrange(25)}",
            f"m{chance.randrange(6)}",
            chance.random(),
        )
        for n in range(200)
    ]
    entities = []
    for column, name in ((1, "c"), (2, "m")):
        days = {(0, row[column]) for row in made} | {(row[0], row[column + 1]) for row in before}
        days |= {(chance.randrange(40), f"{name}{chance.randrange(40)}") for _ in range(60)}
        entities.append([(ago, who, chance.choice((1, 2))) for ago, who in sorted(days)])
    return made, scores, before, *entities


def test_scores_are_one_row_a_transaction_by_id():
    made, scores, *_ = world()
    order = random.Random(1).sample(range(len(made)), len(made))
    shuffled = events(made).take(order)
    money = {
        row["transaction_id"]: (row["amount_minor"], row["currency"])
        for row in shuffled.to_pylist()
    }
    scored = predictions.transaction_scores(shuffled, np.array(scores)[order], 0.5)
    assert scored.schema == SCORES.schema
    rows = scored.to_pylist()
    assert [row["transaction_id"] for row in rows] == sorted(key for key, *_ in made)
    for row, (key, customer, merchant), score in zip(rows, made, scores, strict=True):
        assert (row["transaction_id"], row["customer_id"], row["merchant_id"]) == (
            key,
            customer,
            merchant,
        )
        assert (row["score"], row["flagged"], row["date"]) == (score, score >= 0.5, DAY)
        assert (row["amount_minor"], row["currency"]) == money[row["transaction_id"]]


def test_risk_equals_its_twin():
    made, scores, before, customers, merchants = case = world()
    tables_built = build(*case)
    for table, column, seen in ((CUSTOMERS, 1, customers), (MERCHANTS, 2, merchants)):
        (entity,) = table.key
        own = defaultdict(list)
        for row, score in zip(made, scores, strict=True):
            own[row[column]].append(score)
        for row in before:
            own[row[column + 1]].append(row[-1])
        last = defaultdict(lambda: 99)
        for ago, who, _ in seen:
            last[who] = min(last[who], ago)
        alive = sorted(who for who, ago in last.items() if ago < 30)
        rows = tables_built[table.name].to_pylist()
        assert tables_built[table.name].schema == table.schema
        assert [row[entity] for row in rows] == alive
        for row in rows:
            mine = own[row[entity]]
            assert row["transactions"] == len(mine)
            assert row["mean_score"] == (
                pytest.approx(sum(mine) / len(mine), rel=1e-12) if mine else None
            )
            assert row["max_score"] == max(mine, default=None)
            assert row["flagged"] == sum(score >= 0.5 for score in mine)
            assert (row["days_since_last"], row["date"]) == (last[row[entity]], DAY)
        assert any(not own[who] for who in alive)


def test_the_order_of_rows_does_not_change_the_digest():
    made, scores, before, customers, merchants = case = world()
    chance = random.Random(8)
    pairs = chance.sample([*zip(made, scores, strict=True)], len(made))
    # The hour of an event is made from its place, so events are shuffled after they are made.
    first = build(*case)
    order = [made.index(row) for row, _ in pairs]
    seen = {
        "customer_daily": daily("customer_id", chance.sample(customers, len(customers))),
        "merchant_daily": daily("merchant_id", chance.sample(merchants, len(merchants))),
    }
    today = predictions.transaction_scores(
        events(made).take(order), np.array(scores)[order], THRESHOLD
    )
    other = predictions.contents(today, past(chance.sample(before, len(before))), seen, DAY, PARAMS)
    for table in PREDICTIONS:
        assert table_digest(first[table.name], table.key) == table_digest(
            other[table.name], table.key
        )
        assert first[table.name].equals(other[table.name])


@pytest.mark.parametrize(
    ("ago", "listed"), [(0, True), (29, True), (30, False), (31, False), (-1, False)]
)
def test_who_was_seen_within_thirty_days_is_listed(ago, listed):
    """D is one of the thirty days: the first is 29 days before it, and no row is in the future."""
    risk = build([], [], [], [(ago, "c", 3)], [])[CUSTOMERS.name]
    if listed:
        assert one(risk) == {
            "date": DAY,
            "customer_id": "c",
            "transactions": 0,
            "mean_score": None,
            "max_score": None,
            "flagged": 0,
            "days_since_last": ago,
        }
    assert risk.num_rows == listed


def test_a_reported_fraud_alone_is_no_sight():
    risk = build([], [], [], [(3, "c", 0), (5, "c", 1), (2, "label-only", 0)], [])[CUSTOMERS.name]
    assert (one(risk)["customer_id"], one(risk)["days_since_last"]) == ("c", 5)


def test_nobody_is_an_empty_table_of_each_kind():
    tables_built = build([], [], [], [], [])
    assert {name: table.num_rows for name, table in tables_built.items()} == {
        table.name: 0 for table in PREDICTIONS
    }
    assert [tables_built[table.name].schema for table in PREDICTIONS] == [
        table.schema for table in PREDICTIONS
    ]


def test_days_looked_back_are_those_of_the_scores_less_the_day():
    assert predictions.look_back(PARAMS) == (6, PARAMS.max_missing_days)
    assert predictions.look_back(FraudPredictParams(score_days=1)).days == 0
