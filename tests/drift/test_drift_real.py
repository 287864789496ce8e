"""Drift thresholds on real data: 30 quiet days of Handbook transactions and of MovieTweetings.

Only the columns of transactions that need no history are checked; scores and windows are checked on
the simulated weeks.
"""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from drift_world import QUIET_DAYS

from jobs.core.identity import days
from jobs.core.params import CheckDriftParams, load
from jobs.core.settings import PROJECT
from jobs.evaluation import distances, drift
from jobs.evaluation.reference import ROWS, Reference
from jobs.evaluation.sampling import sample
from jobs.usecases.fraud import drift as fraud
from jobs.usecases.movies import drift as movies

pytestmark = [pytest.mark.drift, pytest.mark.timeout(3600)]

DATA = PROJECT.parent / "shared" / "data"
PARAMS = {
    pipeline: CheckDriftParams.model_validate(
        load(PROJECT / "params.yaml")[pipeline]["check_drift"]
    )
    for pipeline in ("fraud", "movies")
}


def between(table, first, last):
    return table.filter(
        (pc.field("date") >= pa.scalar(first)) & (pc.field("date") <= pa.scalar(last))
    )


def reference(examples, key, train, holdout):
    """Of the days of both splits, (first, last)."""
    parts = [sample(between(examples, *each), key, ROWS) for each in (train, holdout)]
    marks = [
        pa.array([name] * part.num_rows)
        for name, part in zip(("train", "holdout"), parts, strict=True)
    ]
    rows = pa.concat_tables(
        [part.append_column("split", mark) for part, mark in zip(parts, marks, strict=True)]
    )
    return Reference(rows, train[1], (holdout[1] - holdout[0]).days + 1, {})


def false_alarms(examples, key, watched, known, first, params):
    """{day: drifted columns} of QUIET_DAYS days from `first`; each is judged with its last week."""
    alarms = {}
    for day in days(first, first + timedelta(days=QUIET_DAYS - 1)):
        scopes = {"day": (day, day), "window": (day - timedelta(days=6), day)}
        now = {
            scope: sample(between(examples, *span), key, params.sample_rows)
            for scope, span in scopes.items()
        }
        wanted = [
            (scope, "feature", each) for each in watched for scope in each.scopes if scope in now
        ]
        outcomes, pairs = drift.compare(wanted, now, known, params)
        measured = distances.measure(pairs)
        outcomes += [distances.outcome(each, measured.values[each.key]) for each in pairs]
        wrong = [each.title for each in outcomes if not each.passed and each.severity == "fail"]
        alarms |= {str(day): wrong} if wrong else {}
    return alarms


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not here")
def test_thirty_quiet_days_of_the_handbook_raise_no_alarm(scenario):
    frame = pd.concat(
        [pd.read_parquet(path) for path in sorted((DATA / "transactions").glob("*.parquet"))]
    )
    examples = pa.table(
        {
            "transaction_id": pa.array(frame["TRANSACTION_ID"].astype(str)),
            "date": pa.array(frame["TX_DATETIME"].dt.date, pa.date32()),
            "amount": pa.array((frame["TX_AMOUNT"].astype(float) * 100).round()),
            "hour": pa.array(frame["TX_DATETIME"].dt.hour),
        }
    )
    watched = [each for each in fraud.FEATURES if each.name in examples.column_names]
    assert [each.name for each in watched] == ["amount", "hour"]
    reference_sample = reference(
        examples,
        ["transaction_id"],
        (date(2018, 4, 18), date(2018, 5, 15)),
        (date(2018, 5, 23), date(2018, 5, 29)),
    )
    alarms = false_alarms(
        examples, ["transaction_id"], watched, reference_sample, date(2018, 6, 6), PARAMS["fraud"]
    )
    scenario("Handbook: 30 quiet days", "days with a false alarm", {}, alarms)


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not here")
def test_thirty_quiet_days_of_movietweetings_raise_no_alarm(scenario):
    ratings = _ratings()
    examples = movies.examples(ratings, date(2013, 2, 28))
    last = date(2013, 7, 15)
    reference_sample = reference(
        examples,
        ["id"],
        (date(2013, 2, 28), last - timedelta(days=7)),
        (last - timedelta(days=6), last),
    )
    alarms = false_alarms(
        examples,
        ["id"],
        movies.FEATURES,
        reference_sample,
        last + timedelta(days=1),
        PARAMS["movies"],
    )
    scenario("MovieTweetings: 30 quiet days", "days with a false alarm", {}, alarms)


def _ratings():
    lines = [
        line.split("::") for line in (DATA / "ratings" / "movies.dat").read_text().splitlines()
    ]
    known = {row[0]: (int(row[1][-5:-1]), row[2] or None) for row in lines}
    rows = [
        line.split("::") for line in (DATA / "ratings" / "ratings.dat").read_text().splitlines()
    ]
    times = pa.array([int(row[3]) for row in rows], pa.timestamp("s", "UTC")).cast(
        pa.timestamp("us", "UTC")
    )
    about = [known.get(row[1], (None, None)) for row in rows]
    return pa.table(
        {
            "id": pa.array([f"{row[0]}:{row[1]}:{row[3]}" for row in rows]),
            "user_id": pa.array([row[0] for row in rows]),
            "event_time": times,
            "date": times.cast(pa.date32()),
            "interaction_type": pa.array(["rating"] * len(rows)),
            "value": pa.array([float(row[2]) for row in rows]),
            "year": pa.array([year for year, _ in about]),
            "genres": pa.array([genres for _, genres in about]),
        }
    )
