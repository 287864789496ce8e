"""`nightshift demo` ends by naming the serving model, the rejected one and where the logins are."""

from __future__ import annotations

import io

from jobs.cli import demo
from jobs.cli.show import Screen
from jobs.core import schedule, settings
from jobs.local import airflow
from jobs.local.state import State
from nights import DAY


def said(place, act, *arguments):
    stream = io.StringIO()
    with place.settings() as config:
        act(Screen(file=stream), config, *arguments)
    return stream.getvalue()


def test_a_rejected_model_is_named_beside_the_champion_with_the_metrics_of_both(at):
    place = at("gate")
    place.set_params(gate={"floors": {"roc_auc": 1.01}})
    for step in ("gate", "promote"):
        place.run(step)
    facts = place.manifest("gate").facts
    champion, metrics, newest, others, reason = (
        said(place, demo._metrics, "fraud", DAY).strip().splitlines()
    )
    assert champion.startswith(f"Model fraud version {facts['champion_version']} is the champion")
    assert f"roc_auc {facts['champion_metrics']['roc_auc']:.3f}" in metrics and str(DAY) in metrics
    assert f"version {facts['model_version']}, of {DAY}, was not promoted" in newest
    assert f"roc_auc {facts['metrics']['roc_auc']:.3f}" in others
    assert "FAIL floor.roc_auc" in reason


def test_a_promoted_model_is_the_champion_and_no_other_is_named(at):
    place = at("end")
    facts = place.manifest("gate").facts
    champion, metrics = said(place, demo._metrics, "fraud", DAY).strip().splitlines()
    assert f"version {facts['model_version']} is the champion, since {DAY}" in champion
    assert f"roc_auc {facts['metrics']['roc_auc']:.3f}" in metrics


def test_the_end_says_where_the_logins_are_and_that_the_schedule_is_off_and_no_password(
    tmp_path, monkeypatch
):
    for name, value in (
        ("NIGHTSHIFT_HOME", str(tmp_path)),
        (settings.MLFLOW, "http://127.0.0.1:5000"),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(settings.SOURCE, raising=False)
    (tmp_path / "airflow").mkdir()
    passwords = airflow.logins(State(tmp_path)).values()
    schedule.begin_off(settings.load(), schedule.DEMO)
    stream = io.StringIO()
    demo._where(Screen(file=stream), settings.load())
    said = stream.getvalue()
    assert str(airflow.logins_file(State(tmp_path))) in said and not [
        each for each in passwords if each in said
    ]
    assert "schedule" in said and "off: " in said and "nightshift schedule on" in said
