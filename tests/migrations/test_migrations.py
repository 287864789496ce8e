"""A home of the last release: refused unmigrated, migrated despite kills, served throughout.

The next night publishes on it.
"""

from __future__ import annotations

import re
from contextlib import closing
from datetime import timedelta

import psycopg2
import pyarrow as pa
import pytest
import typer
from last_release import HOLE, NEXT, NIGHTS
from typer.testing import CliRunner

from jobs.cli.discovery import find_tables
from jobs.cli.migrate import migrate as migrate_command
from jobs.core.digest import table_digest
from jobs.core.errors import ConfigError
from jobs.core.failpoint import VARIABLE
from jobs.core.manifest import Manifest, utc_now
from jobs.core.pipelines import PIPELINES
from jobs.core.settings import SOURCE
from jobs.core.settings import load as load_settings
from jobs.migrations import run
from jobs.serving import lookup as client
from jobs.serving import schema
from jobs.source.database import writing
from jobs.source.schema import create
from jobs.steps.records import clickhouse_dataset
from jobs.stores import clickhouse
from jobs.stores import redis as redis_store
from jobs.stores.versions import STORES, migrations, needed
from jobs.usecases.discovery import find_usecase
from jobs.usecases.fraud.operational.tables import TABLES

app = typer.Typer()
app.command("migrate")(migrate_command)
app.callback()(lambda: None)
SCORES = find_usecase("fraud").prediction("transaction_scores")
SERVED = NIGHTS[-1]


def quietly(line):
    """Discards the output of a migration."""


def migrated(place):
    with place.settings() as settings:
        said = []
        run.migrate(settings, said.append)
    return said


def versions(place):
    with place.settings() as settings:
        return run.versions(settings)


def set_version(place, store, number):
    """Note a version in the store itself, as a release that has it would; what is above it goes."""
    with place.settings() as settings:
        if store in ("source", "serving"):
            change = (
                f"DELETE FROM nightshift_migrations WHERE number > {number}; "
                "INSERT INTO nightshift_migrations"
                f" (store, number, name) VALUES ('{store}', {number}, 'later') "
                "ON CONFLICT DO NOTHING"
            )
            place.query(change, settings.source if store == "source" else settings.postgres)
        elif store == "clickhouse":
            with clickhouse.connect_clickhouse(settings, check=False) as db:
                db.client.command(f"DELETE FROM nightshift.migrations WHERE number > {number}")
                db.client.command(
                    f"INSERT INTO nightshift.migrations VALUES ({number}, 'later', now())"
                )
        elif store == "lake":
            place.lake.set_schema_version(number)
        else:
            with redis_store.connect_redis(settings.redis, "fraud") as keys:
                keys.set_schema_version(number)


def scores(place, day):
    with place.settings() as settings, clickhouse.connect_clickhouse(settings) as db:
        return db.read_partition("fraud", SCORES, day)


def upstream_currencies(place, day):
    """transaction_id -> currency, of the good rows in the lake."""
    dataset = place.manifest("validate", day).output("transactions")
    rows = place.lake.read_table(dataset, ["transaction_id", "currency"])
    return dict(zip(*(rows[name].to_pylist() for name in rows.column_names), strict=True))


@pytest.mark.parametrize("store", STORES)
def test_the_migrations_of_a_store_are_numbered_without_gaps(store):
    assert [each.number for each in migrations(store)] == list(range(1, needed(store) + 1))
    assert all(
        re.fullmatch(r"\d{4}_[a-z_]+\.(sql|py)", each.file.name) for each in migrations(store)
    )


def test_a_home_of_the_last_release_is_refused_and_left_as_it_is(old):
    before = old.query("SELECT * FROM publication"), old.redis_content()
    with old.settings() as settings:
        calls = {
            "serving": lambda: schema.connect_serving_database(settings.postgres).__enter__(),
            "clickhouse": lambda: clickhouse.connect_clickhouse(settings).__enter__(),
            "lake": lambda: old.lake.require_schema_version(),
            "source": lambda: writing(settings.source, TABLES).__enter__(),
        }
        for store, call in calls.items():
            with pytest.raises(
                ConfigError, match=f"{store} has schema version 0.*\n.*nightshift migrate"
            ):
                call()
    for step in ("verify", "publish"):
        with pytest.raises(ConfigError, match="nightshift migrate") as caught:
            old.run(step, SERVED)
        assert caught.value.exit_code == 78
    assert (old.query("SELECT * FROM publication"), old.redis_content()) == before
    assert old.query("SELECT to_regclass('nightshift_migrations')") == [(None,)]


def test_the_old_version_is_served_and_verified_after_the_migration(old, databases):
    said = migrated(old)
    assert versions(old) == {store: needed(store) for store in STORES}
    for night in NIGHTS:
        assert all(check["passed"] for check in old.run("verify", night).checks)
    # The currency comes from the lake; the day that the lake no longer has is reported.
    wanted = upstream_currencies(old, SERVED)
    rows = scores(old, SERVED)
    assert (
        dict(zip(rows["transaction_id"].to_pylist(), rows["currency"].to_pylist(), strict=True))
        == wanted
    )
    assert set(scores(old, HOLE)["currency"].to_pylist()) == {None}
    assert len([line for line in said if f"the lake has no rows of {HOLE}" in line]) == 2
    for view in ("current", "history"):
        shown = old.query(
            f"SELECT transaction_id, currency FROM transaction_scores_{view} "
            f"WHERE date = '{SERVED}'"
        )
        assert dict(shown) == wanted
        assert old.query(
            f"SELECT count(*), count(currency) FROM transaction_scores_{view} WHERE date = '{HOLE}'"
        ) == [(scores(old, HOLE).num_rows, 0)]
    one = next(iter(wanted))
    with old.settings() as settings:
        answers = [
            client.lookup(settings, "fraud", SCORES, [one], store)
            for store in ("redis", "postgres")
        ]
    assert answers[0] == answers[1] and answers[0]["currency"] == wanted[one]
    assert migrated(old) == []
    # A migration that differs from tables.py fails here: columns, views and indexes equal those of
    # a new database.
    shape = """
        SELECT c.oid::regclass::text, c.relkind::text, coalesce(pg_get_viewdef(c.oid), ''), array(
            SELECT a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || a.attnotnull
            FROM pg_attribute AS a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        LEFT JOIN pg_index AS i ON i.indexrelid = c.oid
        LEFT JOIN pg_class AS t ON t.oid = i.indrelid
        WHERE n.nspname IN ('public', 'fraud') AND c.relkind IN ('r', 'p', 'v', 'i')
            AND NOT coalesce(t.relispartition, c.relispartition) ORDER BY 1
    """
    with databases("serving") as fresh, schema.connect_serving_database(fresh) as session:
        schema.ensure(session, "fraud", find_usecase("fraud").predictions)
        assert old.query(shape) == old.query(shape, fresh)
        rows = "SELECT store, number, name FROM nightshift_migrations ORDER BY 1, 2"
        assert old.query(rows) == old.query(rows, fresh)


def test_the_next_day_is_published_beside_the_old_version_and_rolled_back_to_it(old):
    migrated(old)
    before = old.query("SELECT version FROM served")[0][0]
    predict(old, NEXT)
    assert old.run("publish", NEXT).facts["served"]
    assert all(check["passed"] for check in old.run("verify", NEXT).checks)
    shown = old.query(
        f"SELECT transaction_id, currency FROM transaction_scores_current WHERE date = '{NEXT}'"
    )
    wanted = upstream_currencies(old, SERVED)
    assert dict(shown) == {f"next-{key}": currency for key, currency in wanted.items()}
    old.run("rollback", NEXT, what="tables", to=None, reason="a drill", by="a test", dry_run=False)
    assert old.query("SELECT version FROM served")[0][0] == before == old.redis_content()[0]
    assert all(check["passed"] for check in old.run("verify", SERVED).checks)
    # Publishing the old day again reuses its version, although the digest algorithm of rows
    # changed.
    again = old.run("publish", SERVED)
    assert (again.facts["version"], again.facts["loaded"]) == (before, [])
    # And what retention dropped of a version is loaded again, under its name and its digest.
    version = old.manifest("publish", HOLE).facts["version"]
    partition = f"fraud.transaction_scores_{version.replace('-', '_')}"
    old.query(f"ALTER TABLE fraud.transaction_scores DETACH PARTITION {partition}")
    dropped = old.run("publish", HOLE)
    assert (dropped.facts["version"], dropped.facts["loaded"]) == (version, ["transaction_scores"])
    assert all(check["passed"] for check in old.run("verify", HOLE).checks)


KILLED = (
    "clickhouse.0002_transaction_currency",
    "clickhouse.0003_wide_squares",
    "serving.0002_transaction_currency",
    "redis.0002_transaction_currency",
)


def test_a_migration_that_is_killed_anywhere_resumes(old):
    """One home, killed between each change and its note; readers see the served day throughout."""
    served = old.query("SELECT count(*), min(version) FROM transaction_scores_current")
    for point in KILLED:
        process = old.nightshift("migrate", **{VARIABLE: f"{point}.applied"})
        assert process.wait(120) == -9, process.stdout.read()
        assert old.query("SELECT count(*), min(version) FROM transaction_scores_current") == served
    migrated(old)
    assert versions(old) == {store: needed(store) for store in STORES}
    assert all(check["passed"] for check in old.run("verify", SERVED).checks)
    with old.settings() as settings, clickhouse.connect_clickhouse(settings) as db:
        assert db.staging("fraud") == {}


def test_the_plan_is_shown_and_two_migrations_take_turns(old):
    with old.settings():
        plan, check = (
            CliRunner().invoke(app, ["migrate", option]) for option in ("--dry-run", "--check")
        )
    names = re.findall(r"would apply (\w+) (\w+)", plan.output)
    assert names == [(each.store, each.name) for store in STORES for each in migrations(store)]
    assert isinstance(check.exception, ConfigError) and check.exception.exit_code == 78
    both = [old.nightshift("migrate") for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sum("every store has the schema of this release" in output for output in outputs) == 1
    assert sum(f"applied {len(names)} migrations" in output for output in outputs) == 1
    with old.settings():
        assert CliRunner().invoke(app, ["migrate", "--check"]).exit_code == 0


@pytest.fixture
def source(source_db, tmp_path, monkeypatch):
    """Settings with an empty source."""
    monkeypatch.setenv("NIGHTSHIFT_HOME", str(tmp_path))
    monkeypatch.setenv(SOURCE, source_db)
    return load_settings()


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_source_with_the_tables_of_one_use_case_has_a_version_and_takes_those_of_others(
    pipeline, source
):
    assert run._source_version(source) is None
    for name in (pipeline, *PIPELINES):
        with writing(source.source, find_tables(name)) as cursor:
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            present = {table for (table,) in cursor.fetchall()}
        assert present >= {table.name for table in find_tables(name)}
        assert run._source_version(source) == needed("source")


@pytest.mark.parametrize(
    ("pipeline", "table"),
    [(name, table) for name in PIPELINES for table in find_tables(name)],
    ids=lambda value: getattr(value, "name", value),
)
def test_any_operational_table_without_a_version_is_of_the_last_release(pipeline, table, source):
    with closing(psycopg2.connect(source.source)) as session, session, session.cursor() as cursor:
        create(cursor, table)
    assert run._source_version(source) == 0
    with (
        pytest.raises(ConfigError, match="source has schema version 0"),
        writing(source.source, find_tables(pipeline)),
    ):
        pass


def test_a_store_of_another_release_is_refused(old):
    """Each store in turn, from the last in migration order, so that only one differs at a time."""
    migrated(old)
    with old.settings() as settings, redis_store.connect_redis(settings.redis, "fraud") as keys:
        keys.client.delete("ns:fraud:schema")
    with pytest.raises(ConfigError, match="redis has schema version 0"):
        old.run("publish", SERVED)
    for store in reversed(STORES):
        set_version(old, store, needed(store) + 1)
        message = (
            f"{store} has schema version {needed(store) + 1}, "
            f"and this code supports only up to version {needed(store)}"
        )
        with old.settings() as settings, pytest.raises(ConfigError, match=message):
            run.migrate(settings, quietly)
        with pytest.raises(ConfigError, match=message):
            old.run(
                "extract" if store == "source" else "publish", NEXT if store == "source" else SERVED
            )
        set_version(old, store, needed(store))


def test_a_reader_in_the_way_delays_the_migration_and_not_other_readers(old):
    with closing(psycopg2.connect(old.postgres)) as session, session.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM transaction_scores_current")
        process = old.nightshift("migrate")
        with pytest.raises(Exception, match="timed out"):
            process.wait(4)
        assert len(old.query("SELECT * FROM transaction_scores_current LIMIT 1")) == 1
        session.rollback()
    assert process.wait(60) == 0


def predict(place, day):
    """What this release's predict writes for `day`: the scores of the day before, shifted."""
    outputs = []
    with place.settings() as settings, clickhouse.connect_clickhouse(settings) as db:
        for table in find_usecase("fraud").predictions:
            rows = moved(db.read_partition("fraud", table, day - timedelta(days=1)), table)
            db.swap("fraud", db.stage("fraud", table, day, "a1", rows))
            outputs.append(
                clickhouse_dataset(
                    "fraud", table.name, rows.num_rows, table_digest(rows, table.key)
                )
            )
    before = place.manifest("predict", day - timedelta(days=1))
    place.lake.commit(
        Manifest(**dict(before) | {"date": day, "outputs": outputs, "ended": utc_now()})
    )


def moved(rows, table):
    columns = {name: rows[name] for name in rows.column_names}
    columns["date"] = pa.array([NEXT] * rows.num_rows, pa.date32())
    if table is SCORES:
        columns["transaction_id"] = pa.array(
            [f"next-{each}" for each in rows["transaction_id"].to_pylist()]
        )
    return pa.table(columns, schema=table.schema)
