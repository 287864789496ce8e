"""MovieTweetings: the model on ratings that people gave."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from movie_world import tweets

from jobs.usecases.movies import backtest, model
from jobs.usecases.movies.params import MoviesTrainParams


@pytest.fixture(scope="module")
def data():
    return tweets()


def scores(out):
    return {row["algorithm"]: row["ndcg_at_10"] for row in out["rows"]}


def test_lists_for_the_users_of_some_weeks(data):
    table, movies = data
    some = table.take(pa.array(np.argsort(table["event_time"].to_numpy(), kind="stable")[:8000]))
    fitted = model.fit(some, MoviesTrainParams(threads=1, ranker=False), movies)
    assert len(fitted.scorers.catalogue) == movies.num_rows
    users = np.unique(some["user_id"].to_numpy())[:100]
    lists = pa.concat_tables(model.score(fitted, some, users)).to_pandas()
    assert len(lists) == 100 * 4 * 20
    pairs = set(zip(some["user_id"].to_pylist(), some["movie_id"].to_pylist(), strict=True))
    assert not pairs & set(zip(lists["user_id"], lists["movie_id"], strict=True))
    assert np.isfinite(lists["score"]).all() and lists["title"].ne("").all()


@pytest.mark.slow
def test_on_the_latest_quarter_the_hybrid_is_no_worse_than_collaborative(data):
    table, movies = data
    out = backtest.run(
        table, backtest.SplitPlan("time", 0.75), MoviesTrainParams(), movies
    ).as_json()
    figures = scores(out)
    assert figures["hybrid"] >= figures["collaborative"] > 2 * figures["content"]
    assert figures["hybrid"] >= 0.08  # 0.0842; it was 0.0809 before the half-life was chosen
    assert out["users"] > 7000 > out["cold_users"] > 0
