"""Every store under a home with a name that some program misinterprets."""

import json
import os
import shutil
import subprocess
import sys
from datetime import date, timedelta
from typing import NamedTuple

import pyarrow as pa
import pytest
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from jobs.core.errors import ConfigError
from jobs.core.manifest import Manifest, utc_now
from jobs.core.settings import PROJECT, Settings
from jobs.local import airflow, mlflow
from jobs.local.state import State
from jobs.stores import clickhouse, java, snapshots
from jobs.stores import spark as spark_store
from jobs.stores.lake import Lake
from odd_places import NAMES, WORST, another_spark

EACH = pytest.mark.parametrize("name", [*NAMES, WORST])
# For slow cases: the default lane runs all at once, the slow lane one by one, to see which failed.
AT_ONCE = pytest.mark.parametrize(
    "name", [WORST, *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES)]
)
DAY = date(2018, 4, 1)
ROWS = pa.table({"id": pa.array([1, 2], pa.int64()), "text": ["a", "b"]})


@pytest.fixture
def odd(tmp_path, name):
    """An installation in a folder of that name."""
    folder = tmp_path / name
    folder.mkdir()
    return Settings(folder, folder)


@EACH
def test_lake_and_spark_read_what_was_written(odd, spark):
    lake = Lake(odd.lake)
    dataset = lake.write_table(f"fraud/extract/{DAY}", "rows", ROWS, ["id"])
    lake.commit(
        Manifest(
            pipeline="fraud",
            step="extract",
            date=DAY,
            attempt="a",
            inputs=[],
            outputs=[dataset],
            reads={},
            missing_days=[],
            params_digest="",
            code_version="",
            model_digest=None,
            checks=[],
            facts={},
            started=utc_now(),
            ended=utc_now(),
        )
    )
    assert lake.days("fraud", "extract") == [DAY] and lake.steps("fraud") == ["extract"]
    assert lake.read_table(dataset) == ROWS
    assert [file.path for file in lake.listing("fraud")] == sorted(
        [dataset.path, f"fraud/extract/{DAY}/manifest.json"]
    )
    assert spark_store.read(spark, lake, [dataset], ROWS.schema).toArrow().num_rows == 2
    others = [
        lake.write_table(f"fraud/extract/{DAY + timedelta(n)}", "rows", ROWS, ["id"])
        for n in (1, 2)
    ]
    assert spark_store.read(spark, lake, [dataset, *others], ROWS.schema).count() == 6  # not 18
    assert spark_store.frame(spark, ROWS, odd.home / "tmp" / "frame.parquet").count() == 2
    assert {path.name for path in odd.home.iterdir()} == {"lake", "tmp"}


@AT_ONCE
def test_dvc_brings_a_snapshot_back(odd):
    digest, pointer = snapshots.track(odd, "fraud", "set.parquet", b"rows")
    (file := odd.home / "set.dvc").write_text(pointer)
    assert snapshots.restore(odd, file, odd.home / "again") == digest
    assert (odd.home / "again").read_bytes() == b"rows"
    assert (odd.home / "lake" / "snapshots").is_dir()


@pytest.mark.process
@AT_ONCE
def test_clickhouse_keeps_its_data_there(odd):
    with clickhouse.connect_clickhouse(odd) as db:
        db.client.command("CREATE TABLE kept (id Int64) ENGINE = MergeTree ORDER BY id")
        db.client.command("INSERT INTO kept VALUES (1), (2)")
    assert [path.name for path in odd.home.iterdir()] == ["clickhouse"]
    with clickhouse.connect_clickhouse(odd) as db:
        assert db.client.query("SELECT sum(id) FROM kept").result_rows == [(3,)]


@EACH
def test_mlflow_keeps_artifacts_where_it_is_told(odd):
    """The address, built as its server does: the command line names the folder."""
    words = mlflow.service(State(odd.home)).command
    repository = get_artifact_repository(words[words.index("--artifacts-destination") + 1])
    (file := odd.home.parent / "model.bin").write_text("model")
    repository.log_artifact(str(file), "1/run/artifacts")
    assert (odd.home / "mlflow/artifacts/1/run/artifacts/model.bin").read_text() == "model"
    assert [each.path for each in repository.list_artifacts("1/run")] == ["1/run/artifacts"]


def test_clickhouse_refuses_the_one_character_that_it_cannot_have(tmp_path):
    odd = Settings(tmp_path / "what?", tmp_path)
    with pytest.raises(ConfigError, match="question mark"), clickhouse.connect_clickhouse(odd):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
def test_airflow_takes_its_folders_as_they_are(tmp_path):
    """In one process, because Airflow takes seconds to import."""
    code = (
        "import json, os, sys; from airflow.configuration import conf\n"
        "for name in json.load(sys.stdin):\n"
        "    os.environ['NIGHTSHIFT_PROJECT'] = os.environ['NIGHTSHIFT_HOME'] = f'/x/{name}'\n"
        "    assert conf.get('core', 'dags_folder') == f'/x/{name}/dags', name\n"
        "    assert conf.get('core', 'plugins_folder') == f'/x/{name}/plugins', name\n"
        "    assert conf.get('logging', 'base_log_folder') == f'/x/{name}/logs/airflow', name\n"
    )
    variables = {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW_CONFIG": str(PROJECT / "airflow.cfg"),
        "NIGHTSHIFT_PROJECT": "/p",
        "NIGHTSHIFT_HOME": "/h",
        "NIGHTSHIFT_AIRFLOW_PORT": "1",
        "NIGHTSHIFT_AIRFLOW_DB": "sqlite:////tmp/x",
        "NIGHTSHIFT_AIRFLOW_FERNET_KEY": "x" * 43 + "=",
        "NIGHTSHIFT_AIRFLOW_API_SECRET": "a",
        "NIGHTSHIFT_AIRFLOW_JWT_SECRET": "b",
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps([*NAMES, WORST]),
        env=os.environ | variables,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


class Mount(NamedTuple):
    """What the kernel says of a mount."""

    f_flag: int


@pytest.mark.parametrize("name", ["a$HOME", "${HOME}", "$NIGHTSHIFT_HOME"])
def test_a_path_that_airflow_would_change_is_refused_before_anything_is_made(
    name, tmp_path, monkeypatch
):
    monkeypatch.setenv("NIGHTSHIFT_HOME", "elsewhere")
    with pytest.raises(ConfigError, match="environment variable") as error:
        airflow.prepare(State(tmp_path / name))
    assert error.value.input == str(tmp_path / name) and list(tmp_path.iterdir()) == []


@pytest.mark.process
def test_our_java_and_spark_win_whatever_is_set_for_another(tmp_path):
    """Also below the worst of all names, to which the JVM's own temporary folder belongs."""
    home = tmp_path / WORST
    home.mkdir()
    code = (
        "from jobs.core.environment import settle; settle()\n"
        "import json; from jobs.core import settings; from jobs.stores import spark\n"
        "session = spark.session(settings.load()); "
        "java = session._jvm.java.lang.System.getProperty\n"
        "rows = session.range(100000).repartition(3)"
        ".selectExpr('upper(\"title\") AS t').distinct().toArrow()\n"
        "print(json.dumps([java('java.home'), java('java.io.tmpdir'), java('sun.jnu.encoding'), "
        "session.version,"
        " session.conf.get('spark.sql.session.timeZone'), rows['t'].to_pylist()]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        check=False,
        env=os.environ | another_spark(tmp_path) | {"NIGHTSHIFT_HOME": str(home)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr == ""  # what Spark and the JVM print while they start is for traces only
    import pyspark

    where, temporary, encoding, version, zone, rows = json.loads(done.stdout)
    assert where == str(java.home().resolve()) and version == pyspark.__version__
    assert (temporary, encoding, zone) == (str(home / "tmp"), "UTF-8", "UTC")
    assert rows == ["TITLE"]


def test_libraries_are_unpacked_where_they_may_run(monkeypatch, tmp_path):
    """A mount that forbids it is skipped; only the kernel's answer about the mount is faked."""
    scratch = tmp_path / "home"
    scratch.mkdir()

    monkeypatch.setattr(spark_store.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    for forbidden, wanted in (
        (tmp_path / "tmp", scratch),
        (scratch, tmp_path / "tmp"),
        (tmp_path, scratch),
    ):
        noexec = [each for each in (scratch, tmp_path / "tmp") if each.is_relative_to(forbidden)]
        monkeypatch.setattr(
            spark_store.os,
            "statvfs",
            lambda path, noexec=noexec: Mount(os.ST_NOEXEC if path in noexec else 0),
        )
        assert spark_store._temporary(scratch) == (f"-Djava.io.tmpdir={wanted}",)


@pytest.mark.process
@pytest.mark.parametrize("name", [name for name in NAMES if not set(name) & set(':"$`\\')])
def test_a_checkout_may_have_any_name_that_pip_can_write_scripts_into(name, tmp_path):
    assert place(tmp_path / name) == (0, "")


@pytest.mark.process
@pytest.mark.parametrize("character", [*':"$`\\'])
def test_set_up_refuses_the_names_of_a_checkout_that_it_cannot(character, tmp_path):
    code, said = place(tmp_path / f"a{character}b")
    assert code and f"Input: {tmp_path}/a{character}b.\n  Next: move or clone" in said


def place(folder):
    """(exit code, what it said) of the check that `make setup` begins with."""
    folder.mkdir()
    shutil.copy(PROJECT / "Makefile", folder)
    done = subprocess.run(
        ["make", "place"], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr
