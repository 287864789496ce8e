"""`nightshift forget` removes all traces of a day that nothing refers to; it refuses other days."""

from __future__ import annotations

import secrets
from contextlib import suppress
from datetime import date, timedelta

import pyarrow as pa
import pytest
from mlflow.exceptions import MlflowException

from jobs.core import locks
from jobs.core.errors import DataError, StoreError
from jobs.core.failpoint import VARIABLE
from jobs.core.identity import Run
from jobs.core.manifest import Dataset, Manifest, utc_now
from jobs.serving import promotions, publications, schema
from jobs.steps import forget
from jobs.stores import clickhouse, registry
from jobs.usecases.discovery import find_usecase
from nights import Place

DAY = date(2026, 11, 27)
BEFORE, AFTER = DAY - timedelta(days=1), DAY + timedelta(days=1)
STEPS = ("extract", "validate", "build_features", "snapshot")
DAILY = find_usecase("fraud").aggregates[1]


@pytest.fixture
def place(serving_db, redis_url, tmp_path):
    return Place(tmp_path / "home", "", serving_db, redis_url)


def ingested(place, *days):
    """Write what the steps leave for these days: files, quarantine, manifests, a partition.

    The snapshot of a day reads the day before it.
    """
    for day in days:
        for step in STEPS:
            folder = f"fraud/{step}/{day}"
            names = (
                ("transactions", "quarantine-transactions")
                if step == "validate"
                else ("transactions",)
            )
            outputs = [
                Dataset(name=name, path=f"{folder}/{name}-0123.parquet", rows=1, digest="d")
                for name in names
            ]
            for output in outputs:
                place.lake.write_bytes(output.path, b"rows")
            reads = {f"fraud/validate/{day - timedelta(days=1)}": "c"} if step == "snapshot" else {}
            commit(place, step, day, outputs=outputs, reads=reads)
        with place.settings() as settings, clickhouse.connect_clickhouse(settings) as db:
            rows = {field.name: [0] for field in DAILY.schema} | {
                "date": [day],
                "merchant_id": ["M1"],
            }
            db.swap(
                "fraud", db.stage("fraud", DAILY, day, "a1", pa.table(rows, schema=DAILY.schema))
            )


def commit(place, step, day, **more):
    given = {
        "attempt": "a1",
        "params_digest": "p",
        "code_version": "1",
        "started": utc_now(),
        "ended": utc_now(),
    }
    place.lake.commit(Manifest(pipeline="fraud", step=step, date=day, **given, **more))


def left(place):
    """(files of the lake below fraud/, days in ClickHouse)"""
    with place.settings() as settings, clickhouse.connect_clickhouse(settings) as db:
        return [file.path for file in place.lake.listing("fraud")], db.days("fraud", DAILY)


def command(place, *arguments):
    process = place.nightshift("forget", "fraud", *arguments)
    output, _ = process.communicate(timeout=180)
    return process.returncode, output


def test_a_day_goes_without_a_trace_after_a_dry_run(place):
    place.lake.require_schema_version()
    ingested(place, BEFORE)
    before = left(place)
    ingested(place, DAY)
    both = left(place)
    with place.settings() as settings:
        plan = forget.plan(settings, "fraud", DAY)
    assert left(place) == both
    assert {*both[0]} - {*before[0]} == {*plan.files} and plan.partitions == [DAILY]
    with place.settings() as settings:
        assert forget.forget(settings, "fraud", DAY) == plan
        assert forget.forget(settings, "fraud", DAY) == forget.ForgetPlan([], [])
    assert left(place) == before


def test_days_are_forgotten_together_from_the_shell_and_resume_after_a_kill(place):
    place.lake.require_schema_version()
    ingested(place, BEFORE, DAY)
    code, output = command(place, f"{BEFORE}..{DAY}")
    assert code == 0 and "dry run, nothing was removed" in output
    killed = place.nightshift(
        "forget", "fraud", f"{BEFORE}..{DAY}", "--no-dry-run", **{VARIABLE: "forget.removing"}
    )
    assert killed.wait(180) == -9
    # The newest manifest of the newest day went first: whatever is left names only what is there.
    assert place.manifest("snapshot", DAY) is None and place.manifest("validate", DAY) is not None
    code, output = command(place, f"{BEFORE}..{DAY}", "--no-dry-run")
    assert code == 0 and output.startswith("removed:"), output
    assert left(place) == ([], [])


def published(place, day):
    with schema.connect_serving_database(place.postgres) as session:
        publications.begin(session, "fraud", f"{day:%Y%m%d}-0123456789ab", day, {}, {}, utc_now())


def decided(place, day):
    promotions.record(
        place.postgres,
        "fraud",
        day,
        kind="promotion",
        from_digest=None,
        from_version=None,
        to_digest=None,
        to_version=None,
        verdict="rejected",
        metrics={},
        reasons=[],
        approved_by="auto",
    )


@pytest.mark.parametrize(
    ("refer", "reason"),
    [
        (
            lambda place: ingested(place, AFTER),
            f"the manifest fraud/snapshot/{AFTER} names fraud/validate/{DAY}",
        ),
        (
            lambda place: commit(
                place, "snapshot", AFTER, facts={"file": f"fraud/validate/{DAY}/x.parquet"}
            ),
            f"the manifest fraud/snapshot/{AFTER} names fraud/validate/{DAY}",
        ),
        (
            lambda place: published(place, DAY),
            f"the version {DAY:%Y%m%d}-0123456789ab was published",
        ),
        (
            lambda place: decided(place, DAY),
            "a decision of this date is in promotions (promotion, rejected)",
        ),
    ],
    ids=["a window", "a fact", "a publication", "a decision"],
)
def test_a_day_that_something_refers_to_is_refused(place, refer, reason):
    place.lake.require_schema_version()
    ingested(place, DAY)
    refer(place)
    before = left(place)
    with place.settings() as settings, pytest.raises(DataError) as caught:
        forget.forget(settings, "fraud", DAY)
    assert reason in str(caught.value) and "nightshift rollback" in str(caught.value)
    assert left(place) == before


def test_a_day_whose_model_has_an_alias_is_refused(place):
    place.lake.require_schema_version()
    digest = secrets.token_hex(32)
    commit(place, "train", DAY, model_digest=digest)
    with place.settings() as settings:
        assert forget.plan(settings, "fraud", DAY).files == [f"fraud/train/{DAY}/manifest.json"]
        with registry.connect_mlflow(settings) as client:
            with suppress(MlflowException):
                client.create_registered_model("fraud")
            version = client.create_model_version(
                "fraud", "s3://nowhere/model", tags={registry.DIGEST_TAG: digest}
            )
            client.set_registered_model_alias("fraud", "drill", version.version)
        try:
            with pytest.raises(
                DataError, match="the alias drill in MLflow names the model of this day"
            ):
                forget.plan(settings, "fraud", DAY)
        finally:
            with registry.connect_mlflow(settings) as client:
                client.delete_model_version("fraud", version.version)


def test_a_step_under_way_is_named(place, monkeypatch):
    monkeypatch.setattr(forget, "LOCK_SECONDS", 0.0)
    place.lake.require_schema_version()
    ingested(place, DAY)
    run = Run("fraud", "validate", DAY)
    with (
        place.settings() as settings,
        locks.hold(settings.postgres, f"fraud/validate/{DAY}", str(run)),
        pytest.raises(StoreError, match=f"held by fraud/validate {DAY}"),
    ):
        forget.forget(settings, "fraud", DAY)
    assert place.manifest("validate", DAY) is not None
