"""`nightshift backtest`: from an operational database to the requested JSON; no other output."""

from __future__ import annotations

import json
from datetime import date, datetime

import pytest

from jobs.core import settings
from jobs.source.simulation import to_database
from jobs.usecases.fraud.cli import backtest
from jobs.usecases.fraud.operational.day import Reporting
from jobs.usecases.fraud.operational.simulation import FraudSimulation

METRICS = {"roc_auc", "average_precision", "card_precision_at_100"}


@pytest.mark.slow  # the module behind it is tested in tests/fraud
def test_the_figures_of_each_fold_the_mean_and_the_baseline(source_db, monkeypatch, tmp_path):
    monkeypatch.setenv("NIGHTSHIFT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(settings.SOURCE, source_db)
    simulation = FraudSimulation(
        date(2018, 4, 1), days=15, customers=400, merchants=300, seed=3, reporting=Reporting(2, 0)
    )
    to_database(source_db, simulation, lambda done: None)
    out = tmp_path / "figures.json"
    backtest.fraud(
        datetime(2018, 4, 7), folds=2, train_days=4, delay_days=2, test_days=2, json_=out
    )
    document = json.loads(out.read_text())
    assert METRICS == set(document["mean"]) == set(document["baseline"])
    assert [fold["test"] for fold in document["folds"]] == [
        ["2018-04-13", "2018-04-14"],
        ["2018-04-11", "2018-04-12"],
    ]
    for name in METRICS:
        values = [fold[name] for fold in document["folds"]]
        assert 0 < document["mean"][name] <= 1
        assert abs(document["mean"][name] - sum(values) / 2) < 1e-12
    assert not (settings.load().home / "lake").exists()
