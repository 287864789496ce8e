"""The rollback DAG with a real scheduler: its form, who may use it, no wait for a busy night."""

from __future__ import annotations

import time

import pytest

from jobs.core.errors import StoreError
from nights import DAY

pytestmark = [pytest.mark.slow, pytest.mark.oncall, pytest.mark.timeout(600)]
ROLLBACK = "rollback"
FORM = {"pipeline": "fraud", "what": "both", "reason": "scores are off", "date": str(DAY)}


@pytest.fixture(scope="module")
def platform(scheduled):
    """An Airflow on an installation with two published days; ClickHouse's pool has no free slot."""
    with scheduled("end") as platform:
        with platform.api() as api:
            pool = {"pool": "clickhouse", "slots": 0, "include_deferred": False}
            api.call("PATCH", "pools/clickhouse", pool, update_mask="slots")
        yield platform


def triggered(platform, user="oncall", key=None, **form):
    with platform.api(user) as api:
        body = {"logical_date": None, "partition_key": key, "conf": form}
        return api.call("POST", f"dags/{ROLLBACK}/dagRuns", body)["dag_run_id"]


def rolled_back(platform, **form):
    """(seconds, log) of a rollback by on-call that ended well."""
    begin = time.monotonic()
    run = triggered(platform, **form)
    state, _ = platform.finish(run, 120, ROLLBACK)
    assert state == "success", platform.logs(run, ROLLBACK)
    with platform.api() as api:
        return time.monotonic() - begin, api.log(ROLLBACK, run, "rollback")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pipeline", "books"),
        ("what", "everything"),
        ("to", "the one before"),
        ("to", "0123abc"),
        ("to", "$(id)"),
        ("reason", "no"),
        ("reason", None),
        ("date", "yesterday"),
        ("dry_run", "perhaps"),
    ],
)
def test_the_form_refuses_what_it_does_not_mean(platform, field, value):
    with pytest.raises(StoreError, match="400"):
        triggered(platform, **(FORM | {field: value}))


def test_the_form_insists_on_a_reason(platform):
    with pytest.raises(StoreError, match="400"):
        triggered(platform, pipeline="fraud")


def test_who_only_looks_may_not_roll_back(platform):
    with pytest.raises(StoreError, match="403"):
        triggered(platform, "analyst", **FORM)


def test_a_dry_run_is_what_the_form_asks_for_by_itself_and_changes_nothing(platform):
    before, digests = platform.place.serving()["served"], platform.place.digests()
    _, said = rolled_back(platform, **FORM)
    assert (
        "dry run, nothing was changed" in said and f"tables     {before[0]} -> {before[1]}" in said
    )
    assert f'"version": "{before[0]}"' in said.rpartition("nightshift served")[2], (
        "the log ends with what is served"
    )
    assert platform.place.digests() == digests


def test_both_go_back_in_seconds_though_clickhouse_is_busy(platform):
    served = platform.place.serving()["served"]
    seconds, said = rolled_back(platform, **FORM, dry_run=False)
    now = platform.place.serving()
    assert now["served"][0] == served[1] and now["redis"][0] == served[1]
    assert f"tables     {served[0]} -> {served[1]}" in said and f"withdrawn  {served[0]}" in said
    assert f'"version": "{served[1]}"' in said.rpartition("nightshift served")[2]
    assert seconds < 60
    kind, by, reasons = platform.place.query(
        "SELECT kind, approved_by, reasons FROM promotions ORDER BY id DESC LIMIT 1"
    )[0]
    assert (kind, by, reasons) == ("rollback", "oncall", ["scores are off"])


def test_the_same_form_again_changes_nothing(platform):
    before = platform.place.serving()
    rolled_back(platform, **FORM, dry_run=False)
    assert platform.place.serving() == before


def test_a_reason_may_begin_like_an_option(platform):
    _, said = rolled_back(
        platform, **(FORM | {"what": "tables", "reason": "--dry-run; $(id) `id`"})
    )
    assert "--reason=--dry-run; $(id) `id`" in said
    assert "uid=" not in said


def test_what_there_is_not_is_named_and_not_tried_again(platform):
    run = triggered(platform, **(FORM | {"to": "20180101-0123456789ab"}))
    state, _ = platform.finish(run, 120, ROLLBACK)
    with platform.api() as api:
        assert state == "failed" and api.tasks(ROLLBACK, run)["rollback"].tries == 1
        assert "there is no version 20180101-0123456789ab to go back to" in api.log(
            ROLLBACK, run, "rollback"
        )
