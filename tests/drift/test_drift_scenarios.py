"""Simulated weeks by the real steps: 30 quiet days raise no alarm; drift is detected at once.

"At once" is the first day on which its size allows detection.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import date, timedelta

import pytest
from drift_world import QUIET_DAYS, branch, check, crown, detected

from jobs.core.identity import days
from jobs.source.simulation import to_database
from jobs.usecases.fraud.operational.day import Reporting
from jobs.usecases.fraud.operational.simulation import FraudSimulation
from jobs.usecases.movies.operational.simulation import MovieSimulation
from nights import DEFAULTS, Place

pytestmark = [pytest.mark.drift, pytest.mark.timeout(5400)]

FIRST, CROWNED = date(2018, 4, 1), date(2018, 5, 6)
LAST = CROWNED + timedelta(days=QUIET_DAYS)
TURN = CROWNED + timedelta(days=8)  # the window before it is whole
LIVED = (LAST - FIRST).days + 1
WORLDS = {
    # About 2,400 transactions a day.
    "fraud": FraudSimulation(
        FIRST, LIVED, customers=1250, merchants=2500, seed=1, reporting=Reporting(7, 0)
    ),
    "movies": MovieSimulation(FIRST, LIVED, users=1500, movies=400, seed=1),
}
PARAMS = {
    "fraud": {
        "snapshot": {"train_days": 10, "gap_days": 5, "holdout_days": 7, "label_delay_days": 7},
        "predict": {"label_delay_days": 7},
        "check_drift": {"min_rows": 500, "metric": "roc_auc"},
    },
    "movies": {
        "snapshot": {"train_days": 28, "holdout_days": 7},
        "predict": {"history_days": 40},
        "check_drift": {"min_rows": 200, "metric": "ndcg_at_10"},
    },
}
HASH = "(hashtext({} || 'drift') & 2147483647)"
TREBLED = f"UPDATE transactions SET amount = amount * 3 WHERE event_time >= '{TURN}'"
# Twenty unknown merchants take a twentieth of all transactions.
RING = f"""UPDATE transactions
           SET merchant_id = 'ring-' || {HASH.format("transaction_id")} / 20 % 20
           WHERE event_time >= '{TURN}' AND {HASH.format("transaction_id")} % 20 = 0"""
# Half of all interactions are with movies of one genre.
GENRE = f"""UPDATE user_interactions i
            SET movie_id = g.ids[1 + {HASH.format("i.id")} / 2 % cardinality(g.ids)]
            FROM (SELECT array_agg(movie_id ORDER BY movie_id) AS ids FROM movies
                  WHERE genres LIKE '%Horror%') g
            WHERE "timestamp" >= '{TURN}' AND {HASH.format("i.id")} % 2 = 0"""


@pytest.fixture(scope="module")
def lived(services, databases, tmp_path_factory):
    """`lived(pipeline)`: (installation with a champion and QUIET_DAYS days, facts of each day)."""
    made = {}
    with ExitStack() as stack:

        def make(pipeline):
            if pipeline not in made:
                made[pipeline] = live(stack, databases, services, tmp_path_factory, pipeline)
            return made[pipeline]

        yield make


def live(stack, databases, services, folders, pipeline):
    source, serving = (stack.enter_context(databases(role)) for role in ("source", "serving"))
    to_database(source, WORLDS[pipeline], lambda done: None)
    place = Place(folders.mktemp(pipeline), source, serving, services.redis, pipeline)
    place.set_params(**PARAMS[pipeline])
    crown(place, DEFAULTS[pipeline]["first_date"], CROWNED)
    return place, {day: check(place, day) for day in days(CROWNED + timedelta(days=1), LAST)}


@pytest.fixture
def turned(lived, databases, tmp_path):
    """`turned(pipeline, statement)`: the installation, had its world changed on TURN."""
    with ExitStack() as stack:
        yield lambda pipeline, statement: branch(
            stack, databases, lived(pipeline)[0], tmp_path / "home", statement
        )


@pytest.mark.parametrize("pipeline", WORLDS)
def test_thirty_quiet_days_raise_no_alarm(lived, scenario, pipeline):
    alarms = {
        str(day): facts["drifted"] for day, facts in lived(pipeline)[1].items() if facts["drifted"]
    }
    scenario(f"{pipeline}: {QUIET_DAYS} quiet days", "days with a false alarm", {}, alarms)


def test_recommendations_of_a_model_that_is_never_replaced_decay(lived, scenario):
    """Each week brings movies that the model has never seen: no drift, but a reason to train."""
    facts = list(lived("movies")[1].values())
    fresh = [each["decayed"] for each in facts[:7]]
    scenario("movies: a model in its first week", "decayed", False, any(fresh))
    scenario(f"movies: a model {QUIET_DAYS} days old", "decayed", True, facts[-1]["decayed"])


def test_trebled_amounts_are_drift_on_their_first_day(turned, scenario):
    """One day is 2,400 amounts, and they move by more than a standard deviation."""
    day, reasons = detected(turned("fraud", TREBLED), TURN, TURN + timedelta(days=6))
    scenario("fraud: amounts x 3", "first day detected", 1, day)
    assert "day amount" in reasons


def test_a_new_ring_of_merchants_is_drift_on_its_first_day(turned, scenario):
    """5 % of the transactions are with unknown merchants; usually it is a few in a thousand."""
    day, reasons = detected(turned("fraud", RING), TURN, TURN + timedelta(days=6))
    scenario("fraud: a ring of 20 new merchants, 5 %", "first day detected", 1, day)
    assert "day merchant_unproven" in reasons


def test_a_genre_that_takes_over_is_drift_on_its_first_day(turned, scenario):
    """Half of 1,400 interactions are with movies of one genre, which had an eighth."""
    day, reasons = detected(turned("movies", GENRE), TURN, TURN + timedelta(days=6))
    scenario("movies: a genre takes half", "first day detected", 1, day)
    assert "day genre" in reasons
