"""What is judged, and on which rows: compared with a loop over users, and on a tampered holdout."""

from __future__ import annotations

from math import log2

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from movie_world import DAY, START, interactions, world

from jobs.usecases.movies import backtest, model
from jobs.usecases.movies.evaluation import SLICES
from jobs.usecases.movies.params import MoviesTrainParams
from jobs.usecases.movies.recommend import ALGORITHMS
from jobs.usecases.movies.split import split

PARAMS = MoviesTrainParams(threads=1, ranker=False, ease_regularisation=20)
LATE = START + 90 * DAY


@pytest.fixture(scope="module")
def halves():
    """Users with 9 to 18 rows, some of whom are cut short, and a holdout with every oddity."""
    early, late = split(world(users=80, each=18), "stratified", 0.75, 0)
    place = early.to_pandas().groupby("user_id").cumcount().to_numpy()
    number = early["user_id"].to_pandas().str[1:].astype(int).to_numpy()
    early = early.filter(
        pa.array((number >= 30) | (place < number % 6))
    )  # u000, u006, … keep nothing
    odd = interactions(
        [
            ("stranger", "m003", LATE, 8),
            ("stranger", "m003", LATE + 1, 2),  # one movie
            ("u040", "nowhere", LATE, 9),  # the catalogue lacks it: missed
            ("nobody", "nowhere", LATE, 9),
            ("again", "m001", LATE, 9),  # seen before: not judged
        ]
    )
    early = pa.concat_tables(
        [early, interactions([("again", "m001", START, 5)]).cast(early.schema)]
    )
    return early, pa.concat_tables([late, odd.cast(late.schema)])


@pytest.fixture(scope="module")
def fitted(halves):
    return model.fit(halves[0], PARAMS)


def pairs(table):
    return set(zip(table["user_id"].to_pylist(), table["movie_id"].to_pylist(), strict=True))


def test_every_figure_is_that_of_a_loop_over_users(halves, fitted):
    known, wanted = (pairs(half) for half in halves)
    users = sorted({user for user, _ in wanted - known})
    assert {"stranger", "nobody", "u040", "u000"} <= set(users) and "again" not in users
    lists = pa.concat_tables(model.score(fitted, halves[0], np.array(users, object))).to_pandas()
    first = lists[lists["rank"] <= 10].groupby(["algorithm", "user_id"])["movie_id"].apply(list)
    values = []
    for user in users:
        activity = sum(name == user for name, _ in known)
        relevant = {movie for name, movie in wanted - known if name == user}
        for algorithm in ALGORITHMS:
            gains = [
                1 / log2(place + 1)
                for place, movie in enumerate(first[algorithm, user], 1)
                if movie in relevant
            ]
            ideal = sum(1 / log2(place + 1) for place in range(1, min(len(relevant), 10) + 1))
            values.append((algorithm, activity, sum(gains) / ideal, len(gains) / len(relevant)))
    brute = pd.DataFrame(values, columns=["algorithm", "activity", "ndcg", "recall"])
    figures = model.judge(fitted, *halves).summary()
    assert figures["users"] == len(users)
    for algorithm, part in brute.groupby("algorithm"):
        assert figures[f"{algorithm}.ndcg_at_10"] == pytest.approx(part["ndcg"].mean())
        assert figures[f"{algorithm}.recall_at_10"] == pytest.approx(part["recall"].mean())
        for name, (least, most) in SLICES.items():
            mine = part[part["activity"].between(least, np.inf if most is None else most)]
            assert figures[f"users.{name}"] == len(mine)
            if len(mine):
                assert figures[f"{algorithm}.{name}.ndcg_at_10"] == pytest.approx(
                    mine["ndcg"].mean()
                )
            else:
                assert f"{algorithm}.{name}.ndcg_at_10" not in figures
    assert {name for name in SLICES if figures[f"users.{name}"]} == {"cold", "light", "medium"}


def test_there_is_a_value_a_user_of_those_that_were_summed(halves, fitted):
    judged = model.judge(fitted, *halves)
    assert judged.users.tolist() == sorted(set(judged.users))
    assert judged.values("hybrid")["ndcg_at_10"].mean() == pytest.approx(
        judged.summary()["ndcg_at_10"]
    )


def test_whom_models_are_judged_by_does_not_depend_on_what_they_know(halves):
    """A champion does not know a movie that a user saw before the holdout and sees again in it."""
    early, late = halves
    back = interactions([("back", "brand new", LATE - DAY, 8), ("back", "brand new", LATE, 8)])
    history = pa.concat_tables([early, back.slice(0, 1).cast(early.schema)])
    holdout = pa.concat_tables([late, back.slice(1).cast(late.schema)])
    champion, challenger = model.fit(early, PARAMS), model.fit(history, PARAMS)
    users = [model.judge(each, history, holdout).users.tolist() for each in (champion, challenger)]
    assert users[0] == users[1] and "back" not in users[0]


def test_nobody_to_judge(halves, fitted):
    figures = model.judge(fitted, halves[0], halves[1].slice(0, 0)).summary()
    assert figures["users"] == 0 and figures["ndcg_at_10"] == 0
    assert model.judge(fitted, halves[0], halves[0]).summary()["users"] == 0  # all of it was seen


def test_nothing_of_the_holdout_reaches_the_model():
    """The rows held out become other users' praise of three movies; the fit must not notice."""
    table, plan = world(), backtest.SplitPlan("time", seed=2)
    early, late = split(table, plan.split, plan.ratio, plan.seed)
    frame = late.to_pandas().assign(value=10.0)
    frame["user_id"] = [f"poison{number}" for number in range(len(frame))]
    frame["movie_id"] = [f"m{number % 3:03}" for number in range(len(frame))]
    tampered = pa.concat_tables(
        [early, pa.Table.from_pandas(frame, late.schema, preserve_index=False)]
    )
    assert split(tampered, plan.split, plan.ratio, plan.seed)[0].equals(early)
    before, after = (backtest.run(each, plan, PARAMS).as_json() for each in (table, tampered))
    assert (before["chosen"], before["validation"]) == (after["chosen"], after["validation"])
    assert before["rows"] != after["rows"]  # while what it is judged by did change
