"""An alert says what on-call needs, reaches a real webhook, and never costs a task anything."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import socket
import sys
import time
from collections import deque
from contextlib import closing
from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest

from jobs.core import settings
from jobs.serving import publications, schema
from webhook import Webhook

DAY = "2018-07-10"
CONNECTION = "AIRFLOW_CONN_NIGHTSHIFT_ALERTS"


@pytest.fixture
def notifier(airflow_variables):
    return importlib.import_module("nightshift.notifier")


@pytest.fixture
def alerts(notifier, monkeypatch):
    """With limits that a busy machine keeps."""
    loaded = importlib.import_module("nightshift.alerts")
    for module in (notifier, loaded):
        monkeypatch.setattr(module, "LIMIT_S", 120)
    return loaded


@pytest.fixture
def webhook():
    with Webhook().serving() as receiver:
        yield receiver


@pytest.fixture
def connected(webhook, monkeypatch):
    connect(monkeypatch, webhook.address)
    return webhook


@pytest.fixture
def serving(serving_db, monkeypatch):
    """PostgreSQL serves a version of DAY."""
    monkeypatch.setenv(settings.POSTGRES, serving_db)
    now, version = datetime.now(UTC), "20180710-0123456789ab"
    with schema.connect_serving_database(serving_db) as session:
        publications.begin(session, "fraud", version, date(2018, 7, 10), {}, {}, now)
        with session, session.cursor() as cursor:
            publications.ready(cursor, "fraud", version)
        publications.flip(session, "fraud", version, ("a" * 64, "3"), "publish", now)
    return version


def connect(monkeypatch, *addresses):
    config = [{"path": address, "tag": "alerts"} for address in addresses]
    connection = {"conn_type": "apprise", "extra": {"config": config}}
    monkeypatch.setenv(CONNECTION, json.dumps(connection))


def failed(
    step="publish",
    error="fraud/publish 2018-07-10: no disk\n  Next: make room",
    own="fraud",
    **form,
):
    """The context of a task that has failed."""
    task = SimpleNamespace(
        pipeline=own, dag=SimpleNamespace(tasks=[SimpleNamespace(pipeline="fraud")])
    )
    ti = SimpleNamespace(
        dag_id="fraud_scores", task_id=step, try_number=4, log_url="http://airflow/log", task=task
    )
    return {
        "ti": ti,
        "dag_run": SimpleNamespace(partition_key=DAY),
        "params": form,
        "exception": RuntimeError(error),
    }


def late(day=DAY, state="running", **conf):
    """What a deadline that has passed says of its run."""
    run = {
        "partition_key": day,
        "conf": conf,
        "dag_id": "fraud_scores",
        "dag_run_id": "a run",
        "state": state,
    }
    return {"dag_run": run, "deadline": {"id": "1", "deadline_time": "2018-07-11T06:00:00Z"}}


def test_an_alert_says_what_failed_what_is_served_and_where_to_read(alerts, connected, serving):
    alerts.report_failure(failed())
    (posted,) = connected.posted
    assert (posted["title"], posted["type"]) == (
        "fraud 2018-07-10: publish failed on try 4",
        "failure",
    )
    assert posted["message"].splitlines() == [
        "fraud/publish 2018-07-10: no disk",
        "  Next: make room",
        f"Served now: {serving} of 2018-07-10, published 0 min ago, by model 3.",
        "Log: http://airflow/log",
        alerts.advice("publish"),
    ]


def test_every_address_of_the_connection_is_told(alerts, webhook, serving, monkeypatch):
    with Webhook().serving() as other:
        connect(monkeypatch, webhook.address, other.address)
        alerts.report_failure(failed())
        assert webhook.posted == other.posted != []


def test_without_a_connection_an_alert_is_one_line_of_the_log(alerts, serving, caplog):
    caplog.set_level(logging.INFO)
    alerts.report_failure(failed())
    said = [record.getMessage() for record in caplog.records if record.name == "nightshift.alerts"]
    assert len(said) == 1 and f"publish failed on try 4. Served now: {serving}" in said[0]
    assert "no disk" not in said[0], "the log of the task has its error already"
    assert "\n" not in said[0] and "Log: http://airflow/log Runbook: http://" in said[0]
    assert "the connection nightshift_alerts does not exist: alerts are only logged" in caplog.text


@pytest.mark.process
def test_an_address_that_does_not_answer_costs_a_task_seconds_and_never_its_end(
    notifier, monkeypatch, caplog
):
    limit = 2
    monkeypatch.setattr(notifier, "LIMIT_S", limit)
    with closing(
        socket.create_server(("127.0.0.1", 0))
    ) as silent:  # takes the call and says nothing
        connect(monkeypatch, f"json://127.0.0.1:{silent.getsockname()[1]}/?rto=60")
        since = time.monotonic()
        notifier.send("nightshift_alerts", "title", "text")
    assert limit <= time.monotonic() - since < 30, "it waits for an answer for 60 s"
    assert "the alert was not sent within 2 s" in caplog.text


@pytest.mark.process
@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (
            {"config": {"path": "json://secret-user:secret-word@127.0.0.1:1/secret-token"}},
            "did not answer",
        ),
        ({"config": {"path": "nonsense://secret-token"}}, "did not answer"),
        ({"config": "{secret-token"}, "JSONDecodeError"),
        ({}, "KeyError"),
    ],
)
def test_a_connection_that_is_wrong_is_said_without_its_secrets(
    alerts, monkeypatch, caplog, extra, said
):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(CONNECTION, json.dumps({"conn_type": "apprise", "extra": extra}))
    alerts.send("nightshift_alerts", "title", "text")
    assert (
        said in caplog.text
        and "alerts-do-not-arrive" in caplog.text
        and "secret" not in caplog.text
    )


def test_no_password_leaves_with_an_alert(alerts, connected, serving, caplog):
    dsn = "postgresql://serving:pass@word@host:5432/x"
    alerts.report_failure(failed(error=f"could not open {dsn}\nhost=h password=pass@word dbname=x"))
    assert "postgresql://***@host:5432/x" in connected.posted[0]["message"]
    for text in (connected.posted[0]["message"], caplog.text):
        assert "pass@word" not in text and "not-for-logs" not in text


@pytest.mark.process
@pytest.mark.parametrize("name", ["http_proxy", "ALL_PROXY"])
def test_an_alert_to_this_machine_passes_by_the_proxy_to_others(
    alerts, connected, monkeypatch, name
):
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    alerts.send("nightshift_alerts", "title", "text")
    assert connected.posted == [connected.wait("title")]


@pytest.mark.process
def test_the_process_of_an_alert_gets_its_addresses_and_proxies_and_nothing_else(
    alerts, monkeypatch, tmp_path
):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nenv > {tmp_path}/environment\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("NIGHTSHIFT_POSTGRES_DSN", "postgresql://serving:not-for-alerts@host/x")
    monkeypatch.setenv(
        CONNECTION, json.dumps({"conn_type": "apprise", "extra": {"config": {"path": "json://h"}}})
    )
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    alerts.send("nightshift_alerts", "title", "text")
    names = {line.partition("=")[0] for line in (tmp_path / "environment").read_text().splitlines()}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {
        "PATH",
        "APPRISE_URLS",
        "https_proxy",
        "no_proxy",
        "NO_PROXY",
    }  # those four are the shell's own


@pytest.mark.parametrize(
    ("error", "section"),
    [
        (
            "fraud.train = 3: wrong\n  Next: mend it\n"
            "  Runbook: docs/runbook.md#a-setting-is-wrong",
            "a-setting-is-wrong",
        ),
        ("fraud/train 2018-07-10: no disk\n  Next: make room", "training-failed"),
    ],
)
def test_an_alert_has_every_part_of_the_error_and_one_link_to_its_section(
    alerts, steps, connected, serving, error, section
):
    context = failed("train")
    context["exception"] = steps.failure("fraud/train", 78, deque(f"error: {error}".splitlines()))
    alerts.report_failure(context)
    lines = connected.posted[0]["message"].splitlines()
    assert lines[:2] == error.splitlines()[:2]
    assert [line for line in lines if "Runbook: " in line] == [
        alerts.advice("train", context["exception"])
    ]
    assert f"docs/runbook.md#{section}" in lines[-1]


def test_what_an_error_quotes_from_data_is_plain_text_in_an_alert(
    alerts, connected, serving, caplog
):
    alerts.report_failure(failed(error="device_type \x1b[2J\u202eevil"))
    assert "device_type \\x1b[2J\\u202eevil" in connected.posted[0]["message"]
    assert "\x1b" not in caplog.text


def test_a_long_error_is_cut(alerts, connected, serving):
    alerts.report_failure(failed(error="\n".join(f"line {n} {'x' * 300}" for n in range(99))))
    message = connected.posted[0]["message"]
    assert message.startswith("line 0") and "line 5" not in message and len(message) < 1_500


@pytest.mark.process
def test_a_store_that_is_down_does_not_keep_the_alert_back(alerts, connected, monkeypatch):
    monkeypatch.setenv(settings.POSTGRES, "postgresql://nobody@127.0.0.1:1/nothing")
    alerts.report_failure(failed())
    assert (
        "Served now: unknown, because `nightshift served fraud` did not answer."
        in connected.posted[0]["message"]
    )


@pytest.mark.process
@pytest.mark.parametrize(
    ("own", "form", "title"),
    [
        (None, {}, "fraud 2018-07-10"),
        (None, {"pipeline": "movies"}, "movies 2018-07-10"),
        ("fraud", {"pipeline": "all"}, "fraud 2018-07-10"),
    ],
)
def test_an_alert_knows_its_pipeline(alerts, monkeypatch, own, form, title):
    said = []
    monkeypatch.setattr(alerts, "send", lambda _, title, text: said.append(title))
    alerts.report_failure(failed("watcher", own=own, **form))
    assert said[0].startswith(title)


def test_a_task_of_all_pipelines_is_named_by_its_dag(alerts, monkeypatch):
    said = []
    monkeypatch.setattr(alerts, "send", lambda _, title, text: said.append((title, text)))
    context = failed("orphan_pods", own=None)
    context["ti"].task.dag.tasks.append(SimpleNamespace(pipeline="movies"))
    alerts.report_failure(context)
    assert said[0][0].startswith("fraud_scores 2018-07-10") and "Served now" not in said[0][1]


def test_a_deadline_says_what_is_late(alerts, connected, serving):
    asyncio.run(alerts.report_late("fraud", late("2018-07-11")))
    (posted,) = connected.posted
    assert posted["title"] == "fraud 2018-07-11: its tables are not served"
    for words in (
        "due at 2018-07-11T06:00:00Z",
        f"Served now: {serving}",
        "/dags/fraud_scores/runs/a%20run",
        "docs/runbook.md#the-day-is-not-served",
    ):
        assert words in posted["message"]


@pytest.mark.parametrize(
    "context",
    [
        late(),
        late("2018-07-09"),
        late(None, date=DAY),
        late(None),
        late("2018-07-11", steps="ingest"),
        late("2018-07-11", "failed"),
        late("2018-07-11", "success"),
    ],
    ids=[
        "served",
        "a later day is",
        "by the form",
        "no day",
        "only ingested",
        "failed before",
        "ended well",
    ],
)
def test_a_deadline_is_silent_when_nothing_is_late(alerts, connected, serving, context):
    asyncio.run(alerts.report_late("fraud", context))
    assert connected.posted == []


def test_wrong_parameters_of_alerts_do_not_keep_the_dags_from_being_parsed(
    alerts, tmp_path, monkeypatch
):
    wrong = tmp_path / "params.yaml"
    monkeypatch.setenv("NIGHTSHIFT_PARAMS", str(wrong))
    assert alerts.parameters().published_by_hour == 6, "no file at all"
    wrong.write_text("alerts: {published_by_hour: 7, connection: ops}\n")
    assert (alerts.parameters().published_by_hour, alerts.parameters().connection) == (7, "ops")
    wrong.write_text("alerts: {published_by_hour: noon}\n")
    assert alerts.parameters().published_by_hour == 6


def test_nothing_served_is_said(alerts, connected, serving_db, monkeypatch):
    monkeypatch.setenv(settings.POSTGRES, serving_db)
    alerts.report_failure(failed())
    assert "Served now: nothing." in connected.posted[0]["message"]
