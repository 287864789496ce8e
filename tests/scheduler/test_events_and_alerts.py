"""Outgoing messages with a real scheduler: events for another DAG, webhook alerts, the deadline."""

from __future__ import annotations

import json
import os
import time

import pytest

from jobs.core import settings
from nights import AFTER, DAY
from platform_under_test import DAG
from webhook import Webhook

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
LISTENER, LATE = "listener", "late"
# A team's own DAGs, in a bundle of their own.
DAGS = f"""
import time
from datetime import timedelta

from airflow.sdk import DAG, PartitionedAssetTimetable, get_current_context, task

from nightshift.events import asset
from nightshift.nights import date_field, deadline

published = asset("fraud", "predictions.published")

with DAG("{LISTENER}", schedule=PartitionedAssetTimetable(assets=published)):

    @task
    def hear():
        context = get_current_context()
        (events,) = context["triggering_asset_events"].values()
        extra = [event.extra for event in events]
        return {{"key": context["dag_run"].partition_key, "extra": extra}}

    hear()

with DAG(
    "{LATE}",
    schedule=None,
    params={{"date": date_field()}},
    deadline=deadline("fraud", timedelta(seconds=2)),
):

    @task
    def slow():
        time.sleep(20)

    slow()
"""
HAPPENED = {
    "data.ingested",
    "features.computed",
    "model.trained",
    "model.promoted",
    "predictions.published",
}


@pytest.fixture(scope="module")
def webhook():
    with Webhook().serving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def platform(scheduled, webhook, tmp_path_factory):
    """One Airflow for all tests of this module, which run in order; alerts go to the webhook."""
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "team.py").write_text(DAGS)
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    bundles = [
        {"name": "dags-folder", "classpath": local, "kwargs": {}},
        {"name": "team", "classpath": local, "kwargs": {"path": str(folder)}},
    ]
    variables = {"AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles)}
    with scheduled("extract", lambda place: variables) as platform, platform.api() as api:
        extra = json.dumps({"config": {"path": webhook.address}})
        api.call(
            "POST",
            "connections",
            {"connection_id": "nightshift_alerts", "conn_type": "apprise", "extra": extra},
        )
        deadline = time.monotonic() + 120
        while not (api.knows(LISTENER) and api.knows(LATE)):
            assert time.monotonic() < deadline, "the team's DAGs were not parsed"
            time.sleep(0.5)
        yield platform


@pytest.fixture(scope="module")
def run(platform):
    """The run of the night, by the form's date."""
    with platform.api("oncall") as api:
        run = by_form(api, DAG, DAY)
    platform.finish(run)
    return run


def metadata(platform, statement):
    return platform.place.query(statement, os.environ[settings.AIRFLOW_DB])


def events(platform):
    """(event, partition key, extra) of all that was said of fraud, in order."""
    records = metadata(
        platform,
        "SELECT asset.name, partition_key, asset_event.extra FROM asset_event JOIN asset "
        "ON asset.id = asset_id"
        " WHERE asset.name LIKE 'fraud.%' ORDER BY asset_event.id",
    )
    return [(name.removeprefix("fraud."), key, extra) for name, key, extra in records]


def heard(platform, count):
    """What the listener returned in each of its runs, once there are so many and they are over."""
    deadline = time.monotonic() + 60
    with platform.api() as api:
        while True:
            runs = api.call("GET", f"dags/{LISTENER}/dagRuns", limit=100)["dag_runs"]
            if len(runs) >= count and all(run["state"] in ("success", "failed") for run in runs):
                break
            assert time.monotonic() < deadline, f"{len(runs)} of {count} runs"
            time.sleep(0.5)
        assert len(runs) == count and {run["state"] for run in runs} == {"success"}
        paths = (f"dags/{LISTENER}/dagRuns/{run['dag_run_id']}/taskInstances/hear" for run in runs)
        return [api.call("GET", f"{path}/xcomEntries/return_value")["value"] for path in paths]


def by_form(api, dag, day):
    """Trigger a run with the day in its form; returns the id of the run."""
    return api.call(
        "POST", f"dags/{dag}/dagRuns", {"logical_date": None, "conf": {"date": str(day)}}
    )["dag_run_id"]


def triggered(platform, dag, day):
    """(run, its state when it is over)"""
    with platform.api("oncall") as api:
        run = by_form(api, dag, day)
        return run, api.wait(dag, run, 240)


def test_every_event_of_a_night_is_said_once_for_its_day(platform, run):
    said = events(platform)
    assert {name for name, _, _ in said} == HAPPENED and len(said) == len(HAPPENED), platform.logs(
        run
    )
    assert {key for _, key, _ in said} == {str(DAY)}
    extra = {name: extra for name, _, extra in said}
    place = platform.place
    assert extra["model.promoted"]["version"] == place.manifest("train").model_digest
    published = place.manifest("publish")
    assert extra["predictions.published"] == {
        "pipeline": "fraud",
        "date": str(DAY),
        "version": published.facts["version"],
        "rows": {output.name: output.rows for output in published.outputs},
    }


def test_another_dag_ran_once_on_it_and_knows_the_day(platform, run):
    (event,) = heard(platform, 1)
    assert event["key"] == str(DAY)
    assert [extra["version"] for extra in event["extra"]] == [platform.place.serving()["served"][0]]


def test_a_rejected_challenger_is_not_promoted_and_what_is_published_again_is_said_again(
    platform, run
):
    platform.place.set_params(gate={"floors": {"roc_auc": 1.0}})
    with platform.api("oncall") as api:
        api.clear(DAG, run, "gate")
    state, _ = platform.finish(run)
    platform.place.set_params(gate={"floors": {"roc_auc": 0.0}})
    assert state == "success", platform.logs(run)
    names = [name for name, _, _ in events(platform)]
    assert names.count("model.promoted") == 1 and names.count("predictions.published") == 2
    assert len(heard(platform, 2)) == 2


def test_a_served_day_is_fresh_and_one_that_is_not_reaches_on_call(platform, run, webhook):
    served = platform.place.serving()["served"][0]
    fresh, _ = triggered(platform, "freshness", DAY)
    late, state = triggered(platform, "freshness", AFTER)
    with platform.api() as api:
        assert api.tasks("freshness", fresh)["fraud.freshness"].state == "success"
        tasks = api.tasks("freshness", late)
    assert state == "failed" and tasks["fraud.freshness"].tries == 1, (
        "a day that is late is not tried again"
    )
    posted = webhook.wait(f"fraud {AFTER}: freshness failed on try 1")
    for words in (
        f"{served} of {DAY} is served, for 0 h; of {AFTER} there is nothing",
        f"Served now: {served} of {DAY}",
        f"/dags/freshness/runs/{late.partition('T')[0]}",
        "docs/runbook.md#the-day-is-not-served",
    ):
        assert words in posted["message"]


def test_a_deadline_speaks_of_a_day_that_is_not_served_and_is_silent_of_one_that_is(
    platform, run, webhook
):
    late = f"fraud {AFTER}: its tables are not served"
    for day in (DAY, AFTER):
        triggered(platform, LATE, day)
    # The triggerer's first question for a connection loads an API server of its own.
    posted = webhook.wait(late, limit_s=240)
    assert "the run is running" in posted["message"] and f"/dags/{LATE}/runs/" in posted["message"]
    deadline = time.monotonic() + 60
    while (states := metadata(platform, "SELECT state FROM callback")) != [("success",)] * 2:
        assert time.monotonic() < deadline, states
        time.sleep(0.5)
    assert webhook.titled(late) == [posted]
    assert not webhook.titled(f"fraud {DAY}: its tables are not served")


def test_no_address_is_in_a_log(platform, run, webhook):
    assert webhook.posted, "there was something to log"
    for file in (platform.place.home / "logs").rglob("*.log"):
        assert "not-for-logs" not in file.read_text(errors="replace"), file
