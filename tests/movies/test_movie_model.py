"""The model: same interactions and parameters, same bytes; it recommends well, and nothing seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from movie_world import DAY, START, interactions, world

from jobs.core.errors import DataError
from jobs.usecases.movies import backtest, model, ranking
from jobs.usecases.movies.hybrid import FEATURES, Candidates, Hybrid, ValidationWindow, fit_ranker
from jobs.usecases.movies.interactions import deduplicate
from jobs.usecases.movies.params import MoviesTrainParams
from jobs.usecases.movies.split import split

PARAMS = MoviesTrainParams(threads=1, ranker_rounds=10, ease_regularisation=20)
UNSEEN = pa.table(
    {
        "movie_id": ["new", "bare"],
        "title": ["Film ☃ « né »", None],
        "year": pa.array([2001, None], pa.int32()),
        "genres": ["Drama", None],
    }
)


@pytest.fixture(scope="module")
def table():
    return world()


@pytest.fixture(scope="module")
def fitted(table):
    return model.fit(table, PARAMS, UNSEEN)


@pytest.fixture(scope="module")
def rows(fitted, table):
    users = np.array(["u000", "u001", "stranger"], object)
    return pa.concat_tables(
        model.score(fitted, table, users, np.array(["", "", "Drama"]))
    ).to_pandas()


def test_same_rows_in_any_order_same_bytes(table, fitted):
    order = np.random.default_rng(1).permutation(table.num_rows)
    assert model.fit(table.take(order), PARAMS, UNSEEN).to_bytes() == fitted.to_bytes()


def test_what_was_written_recommends_as_it_did(table, fitted):
    data = fitted.to_bytes()
    loaded, users = model.load(data), np.unique(table["user_id"].to_numpy())
    assert loaded.to_bytes() == data
    one, other = (pa.concat_tables(model.score(each, table, users)) for each in (fitted, loaded))
    assert one.equals(other)


def test_lists_are_ranked_and_hold_nothing_seen(rows, table):
    assert set(rows["algorithm"]) == {"hybrid", "collaborative", "content", "popular"}
    seen = set(zip(table["user_id"].to_pylist(), table["movie_id"].to_pylist(), strict=True))
    assert not seen & set(zip(rows["user_id"], rows["movie_id"], strict=True))
    for _, part in rows.groupby(["user_id", "algorithm"]):
        assert part["rank"].tolist() == list(range(1, 21))
        assert part["movie_id"].is_unique and part["score"].is_monotonic_decreasing


def test_strangers_get_what_is_popular_in_their_genre_first(rows):
    mine = rows[rows["user_id"] == "stranger"]
    lists = [part["movie_id"].tolist() for _, part in mine.groupby("algorithm")]
    assert lists[0] == lists[1] == lists[2] == lists[3]
    first = mine[mine["algorithm"] == "popular"]["reason"].tolist()
    assert first[0] == "popular in Drama" and first == sorted(first, reverse=True)
    assert first[-1] == "popular"


def test_reasons_name_a_movie_seen(rows, table):
    titles = dict(zip(table["movie_id"].to_pylist(), table["title"].to_pylist(), strict=True))
    for user in ("u000", "u001"):
        seen = {
            titles[movie]
            for movie in table.filter(pc.equal(table["user_id"], user))["movie_id"].to_pylist()
        }
        for reason in rows[(rows["user_id"] == user) & (rows["algorithm"] != "popular")]["reason"]:
            assert reason == "popular" or reason.removeprefix("because you rated ") in seen
    assert (rows[rows["algorithm"] == "popular"]["reason"].str.startswith("popular")).all()


def test_content_knows_movies_without_interactions(fitted, table):
    place = fitted.scorers.catalogue.ids.tolist().index("new")
    similar = fitted.scorers.content.pairs(
        np.arange(len(fitted.scorers.catalogue)), np.full(62, place)
    )
    dramas = fitted.scorers.catalogue.genres == "Drama"
    assert similar[dramas].min() > 0.3 and similar[place] == pytest.approx(1, abs=1e-5)
    assert not fitted.scorers.content.pairs(
        np.arange(62), np.full(62, 0 + fitted.scorers.catalogue.ids.tolist().index("bare"))
    ).any()


def test_a_user_of_thousands_and_one_who_has_seen_it_all(table):
    more = pa.table(
        {
            "movie_id": [f"x{n:04}" for n in range(4000)],
            "title": [f"Film {n}" for n in range(4000)],
            "year": [2000] * 4000,
            "genres": ["Drama"] * 4000,
        }
    )
    fitted = model.fit(table, PARAMS.model_copy(update={"ranker": False}), more)
    ids = fitted.scorers.catalogue.ids
    everything = interactions([("all", movie, START, 9) for movie in ids])
    most = interactions([("most", movie, START, 9) for movie in ids[5:3990]])
    history = pa.concat_tables([everything, most])
    recommended = pa.concat_tables(
        model.score(fitted, history, np.array(["all", "most"], object))
    ).to_pandas()
    assert set(recommended["user_id"]) == {"most"}
    assert not set(recommended["movie_id"]) & set(ids[5:3990])
    assert (recommended.groupby("algorithm").size() == 20).all()


def test_the_backtest_learns_tastes_and_repeats():
    plan = backtest.SplitPlan("stratified", seed=3)
    out = backtest.run(world(), plan, PARAMS).as_json()
    scores = {row["algorithm"]: row["ndcg_at_10"] for row in out["rows"]}
    assert scores["collaborative"] > 1.2 * scores["popular"] > 0
    assert all(
        row["ndcg_at_10_interval"][0] <= row["ndcg_at_10"] <= row["ndcg_at_10_interval"][1]
        for row in out["rows"]
    )
    assert backtest.run(world(), plan, PARAMS).as_json() == out


def test_splits_do_not_overlap(table):
    early, late = split(table, "time", 0.75, 0)
    assert max(early["event_time"].to_pylist()) < min(late["event_time"].to_pylist())
    early, late = split(table, "stratified", 0.75, 0)
    assert early.num_rows + late.num_rows == table.num_rows and late.num_rows == 120 * 3


def test_a_ranker_serves_blocks_of_users_at_once(monkeypatch):
    """XGBoost may be asked by several threads, but not while it is being set up."""
    table = world(users=150)
    params = MoviesTrainParams(threads=2, ranker_rounds=5, ease_regularisation=20)
    chance = np.random.default_rng(0)
    features, labels = (
        chance.random((50, 30, len(FEATURES)), np.float32),
        chance.random((50, 30)) < 0.1,
    )
    window = ValidationWindow(
        Candidates(np.tile(np.arange(30), (50, 1)), features), labels, labels.sum(axis=1)
    )
    fitted = replace(model.fit(table, params), hybrid=Hybrid(ranker=fit_ranker([window], params)))
    users = np.unique(table["user_id"].to_numpy())
    monkeypatch.setattr(ranking, "CELLS", 120)  # two users
    alone = replace(fitted, params=params.model_copy(update={"threads": 1}))
    whole = pa.concat_tables(model.score(alone, table, users))
    for _ in range(5):
        again = model.load(fitted.to_bytes())
        assert pa.concat_tables(model.score(again, table, users)).equals(whole)


def test_popularity_is_that_of_the_day_on_which_is_recommended():
    """Two days after the fit everybody turns to one movie."""
    table = world(users=60)
    fitted = model.fit(table, MoviesTrainParams(threads=1, ranker=False, ease_regularisation=20))
    craze = interactions([(f"new{user}", "m059", START + 62 * DAY, 8) for user in range(40)])
    events = pa.concat_tables([table, craze.cast(table.schema)])
    best = [
        pa.concat_tables(model.score(each, events, np.array(["nobody"], object)))["movie_id"][
            0
        ].as_py()
        for each in (fitted, model.refreshed(fitted, events))
    ]
    assert best[0] != best[1] == "m059"


def test_who_comes_back_to_a_movie_is_not_known_to_before_the_cut():
    rows = [("a", "m1", START, 5), ("b", "m2", START + DAY, 5), ("a", "m1", START + 9 * DAY, 8)]
    early, late = split(interactions([*rows, ("a", "m3", START + 9 * DAY, 8)]), "time", 0.5, 0)
    assert early["movie_id"].to_pylist() == ["m1", "m2"] and early["value"].to_pylist() == [
        5.0,
        5.0,
    ]
    assert late["movie_id"].to_pylist() == ["m3"]


def test_the_last_interaction_counts():
    rows = interactions(
        [("a", "m", START + DAY, 9), ("a", "m", START, 2), ("a", "m", START + DAY, 4)]
    )
    kept, dropped = deduplicate(rows)
    assert (kept["value"].to_pylist(), dropped) == ([4.0], 2)


@pytest.mark.parametrize(
    "rows",
    [
        [("a", "m", START, 9)],
        [(f"u{n}", "m", START + n, 9) for n in range(9)],
        [("a", f"m{n}", START, 9) for n in range(9)],
    ],
)
def test_too_little_to_compare_is_an_error(rows):
    with pytest.raises(DataError, match="nothing to compare") as caught:
        model.fit(interactions(rows), PARAMS)
    assert "min_interactions" in caught.value.remedy


def test_no_rows_are_an_error():
    with pytest.raises(DataError, match="no interactions"):
        model.fit(world().slice(0, 0), PARAMS)


def test_movies_without_a_title_are_not_recommended_unless_none_has_one(table):
    unknown = pc.equal(table["movie_id"], "m000")
    assert pc.sum(unknown).as_py() > 50  # it would be the most popular
    place = table.schema.get_field_index("title")
    titles = pc.if_else(unknown, pa.scalar(None, pa.string()), table["title"])
    ids = model.fit(table.set_column(place, "title", titles), PARAMS, UNSEEN).scorers.catalogue.ids
    assert "m000" not in ids and len(ids) == 61
    bare = table.set_column(place, "title", pa.nulls(table.num_rows, pa.string()))
    assert "m000" in model.fit(bare, PARAMS).scorers.catalogue.ids
