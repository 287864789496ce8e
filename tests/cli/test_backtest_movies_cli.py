"""`nightshift backtest movies`: from an operational database to a table, JSON and an MLflow run."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import date

import mlflow
import psycopg2
import pytest
from typer.testing import CliRunner

from jobs.cli.backtest import app
from jobs.core import settings
from jobs.core.errors import ConfigError, DataError
from jobs.source.simulation import to_database
from jobs.usecases.movies.backtest import SplitPlan
from jobs.usecases.movies.cli.rows import read
from jobs.usecases.movies.operational.simulation import MovieSimulation

ALGORITHMS = ["hybrid", "collaborative", "content", "popular"]
MEASURES = {"ndcg_at_5", "map_at_5", "precision_at_5", "recall_at_5"}


@pytest.fixture
def source(source_db, monkeypatch):
    monkeypatch.setenv(settings.SOURCE, source_db)
    simulation = MovieSimulation(date(2018, 4, 1), days=12, users=150, movies=80, seed=3)
    to_database(source_db, simulation, lambda done: None)
    return source_db


def change(dsn, statement, *values):
    with closing(psycopg2.connect(dsn)) as session, session, session.cursor() as cursor:
        cursor.execute(statement, values)


def test_a_row_an_algorithm_on_the_terminal_in_json_and_in_mlflow(source, services, tmp_path):
    out = tmp_path / "figures.json"
    before = {path for path in services.home.rglob("*") if path.parts[-1] in ("lake", "manifests")}
    ran = CliRunner().invoke(
        app, ["movies", "--split", "stratified", "--seed", "4", "--k", "5", "--json", str(out)]
    )
    assert ran.exit_code == 0, ran.output
    summary = json.loads(out.read_text())
    assert [row["algorithm"] for row in summary["rows"]] == ALGORITHMS
    for row in summary["rows"]:
        assert row.keys() >= MEASURES and f"{row['ndcg_at_5']:.4f} ±" in ran.output
        for name in MEASURES:
            low, high = row[f"{name}_interval"]
            assert 0 <= low <= row[name] <= high <= 1
    assert "nDCG of hybrid minus collaborative" in ran.output
    assert before == {
        path for path in services.home.rglob("*") if path.parts[-1] in ("lake", "manifests")
    }

    mlflow.set_tracking_uri(services.mlflow)
    experiment = mlflow.get_experiment_by_name("movies-backtest")
    run = mlflow.search_runs([experiment.experiment_id], output_format="list")[0]
    assert run.data.params["split"] == "stratified" and run.data.params["seed"] == "4"
    assert run.data.params["half_life_days"] == str(summary["chosen"]["half_life_days"])
    assert run.data.metrics["hybrid.ndcg_at_5"] == pytest.approx(summary["rows"][0]["ndcg_at_5"])
    kept = mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/backtest.json")
    assert kept["rows"] == summary["rows"]


def test_bad_rows_are_left_out_and_counted(source, services):
    every = read(settings.load())
    assert not every.left_out
    change(
        source,
        "UPDATE user_interactions SET value = 11 WHERE id IN (SELECT id FROM user_interactions"
        " WHERE interaction_type = 'rating' ORDER BY id LIMIT 3)",
    )
    change(
        source, "DELETE FROM movies WHERE movie_id = (SELECT min(movie_id) FROM user_interactions)"
    )
    dataset = read(settings.load())
    assert dataset.left_out == {"rating outside 0 to 10": 3}
    assert dataset.interactions.num_rows == every.interactions.num_rows - 3
    assert dataset.interactions["title"].null_count > 0 == every.interactions["title"].null_count
    assert dataset.movies.num_rows == every.movies.num_rows - 1


def test_what_cannot_be_done_says_why(source_db, services, monkeypatch):
    monkeypatch.setenv(settings.SOURCE, source_db)
    ran = CliRunner().invoke(app, ["movies"])
    assert isinstance(ran.exception, DataError) and "no table user_interactions" in str(
        ran.exception
    )
    with pytest.raises(ConfigError):
        SplitPlan(k=21)
