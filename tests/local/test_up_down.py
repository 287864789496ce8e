"""A real up and down: PostgreSQL, Redis, MLflow and at last Airflow under a home of their own."""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg2
import pytest
import redis

import astray
from jobs.core import libpq
from jobs.core.errors import ConfigError
from jobs.core.settings import AIRFLOW_DB, MLFLOW, POSTGRES, PROJECT, REDIS, SOURCE, Settings
from jobs.local import embedded, mlflow, place, postgres
from jobs.local import redis as embedded_redis
from jobs.local.state import HOST, State

pytestmark = pytest.mark.process

UP = "from jobs.core import settings; from jobs.local import embedded; embedded.up(settings.load())"
DOWN = (
    "from jobs.core import settings; from jobs.local import embedded; "
    "embedded.down(settings.load(), purge=True)"
)
NOBODY = 65534
is_root = os.geteuid() == 0


def run(code, home, *before, **options):
    """Call `up` or `down` in a process of its own, which has ended when this returns."""
    environment = {**os.environ, "NIGHTSHIFT_HOME": str(home), **options.pop("env", {})}
    subprocess.run([*before, sys.executable, "-c", code], env=environment, check=True, **options)


def modes(path):
    return {str(each): (each.stat().st_mode, each.stat().st_uid) for each in path.parents}


@pytest.fixture(scope="module")
def parents():
    """The modes of the folders above the home, before and after its life."""
    return {}


@pytest.fixture(scope="module")
def own(parents):
    """Settings of this module's own home, in a folder that nobody else may enter.

    The process that started it is gone.
    """
    private = Path(tempfile.mkdtemp(prefix="nightshift-"))
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    settings = Settings(home=private / "home", params_file=PROJECT / "params.yaml")
    parents["before"] = modes(settings.home)
    try:
        run(UP, settings.home, start_new_session=True)
        yield settings
    finally:
        embedded.down(settings, purge=True)
        shutil.rmtree(private)


@pytest.fixture
def state(own):
    return State(own.home)


def endpoints(settings):
    return json.loads(settings.endpoints_file.read_text())


def servers(state):
    return {
        each.name: each
        for each in (postgres.service(state), embedded_redis.service(state), mlflow.service(state))
    }


def pids(state):
    return {name: service.leader and service.leader.pid for name, service in servers(state).items()}


def query(dsn, statement):
    with (
        closing(libpq.session(dsn, "a test")) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else None


def tracking(url, path, body):
    request = urllib.request.Request(
        f"{url}/api/2.0/mlflow/{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def experiments(url):
    listed = tracking(url, "experiments/search", {"max_results": 100})["experiments"]
    return {each["name"]: each["artifact_location"] for each in listed}


def kill(process):
    process.kill()
    psutil.wait_procs([process], timeout=10)


def processes_of(home):
    """Every process that names the home, or its folder for PostgreSQL, or works in one of them."""
    places = [str(home), str(place.folder(State(home))), place.digest(State(home))]
    processes = []
    for process in psutil.process_iter():
        try:
            words = " ".join([*process.cmdline(), process.cwd()])
        except psutil.Error:
            continue
        if any(each in words for each in places):
            processes.append(words)
    return processes


def test_all_three_answer_after_the_process_that_started_them_is_gone(own):
    addresses = endpoints(own)
    assert query(addresses[POSTGRES], "SHOW server_version")[0][0].startswith("18.")
    assert query(addresses[SOURCE], "SHOW timezone") == [("UTC",)]
    assert query(addresses[AIRFLOW_DB], "SELECT current_user, current_database()") == [
        ("airflow", "airflow")
    ]
    with closing(redis.Redis.from_url(addresses[REDIS])) as client:
        assert client.set("answer", "42") and client.get("answer") == b"42"
    tracking(addresses[MLFLOW], "experiments/create", {"name": "answer"})
    assert experiments(addresses[MLFLOW])["answer"].startswith("mlflow-artifacts:")


def test_postgres_keeps_its_promises_about_durability_and_size(own):
    for name, value in {
        "fsync": "on",
        "synchronous_commit": "on",
        "max_connections": "200",
    }.items():
        assert query(endpoints(own)[SOURCE], f"SHOW {name}") == [(value,)]


def test_a_second_up_changes_nothing_and_is_quick(own, state):
    before = pids(state), own.endpoints_file.stat()
    heard, start = [], time.monotonic()
    assert embedded.up(own, lambda service, doing: heard.append(doing)) == endpoints(own)
    assert time.monotonic() - start < 10
    assert set(heard) == {"ready"}
    after = pids(state), own.endpoints_file.stat()
    assert (before[0], before[1].st_ino, before[1].st_mtime_ns) == (
        after[0],
        after[1].st_ino,
        after[1].st_mtime_ns,
    )


def test_running_names_what_runs(own, tmp_path):
    assert sorted(embedded.running(own)) == ["mlflow", "postgres", "redis"]
    nowhere = Settings(home=tmp_path / "none", params_file=own.params_file)
    assert embedded.running(nowhere) == []
    embedded.down(nowhere)
    assert not nowhere.home.exists()


def test_two_homes_run_side_by_side(own, services):
    mine, theirs = endpoints(own), endpoints(services)
    assert {urlsplit(url).port for url in mine.values()}.isdisjoint(
        {urlsplit(url).port for url in theirs.values()}
    )
    query(mine[SOURCE], "CREATE TABLE mine (id int)")
    assert query(theirs[SOURCE], "SELECT to_regclass('mine')") == [(None,)]
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(
            mine[SOURCE].replace(
                f":{urlsplit(mine[SOURCE]).port}", f":{urlsplit(theirs[SOURCE]).port}"
            )
        )


def test_no_folder_above_the_home_has_changed(own, parents):
    assert modes(own.home) == parents["before"]
    assert stat.S_IMODE(own.home.stat().st_mode) == 0o700


def test_what_holds_a_password_is_the_owners_alone(own):
    secrets = [*own.home.rglob("*.json"), own.home / "redis" / "redis.conf"]
    assert {path.name for path in secrets} >= {
        "endpoints.json",
        "secrets.json",
        "ports.json",
        "redis.conf",
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}


def test_no_command_line_and_no_log_shows_a_password(own):
    passwords = json.loads((own.home / "secrets.json").read_text()).values()
    processes = processes_of(own.home)
    assert len(processes) >= 3
    processes += [log.read_text() for log in (own.home / "logs").iterdir()]
    assert [line for line in processes for password in passwords if password in line] == []


def test_everything_listens_on_loopback_alone(own, state):
    for service in servers(state).values():
        connections = [
            each for process in service.members() for each in process.net_connections(kind="inet")
        ]
        assert {each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN} == {
            HOST
        }
        assert not [
            each
            for process in service.members()
            for each in process.net_connections(kind="unix")
            if each.laddr
        ]


@pytest.mark.parametrize("role", postgres.DATABASES)
def test_a_role_enters_its_own_database_and_no_other(own, state, role):
    assert query(postgres.dsn(state, role), "SELECT current_user") == [(role,)]
    rights = (
        "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
    )
    assert query(postgres.dsn(state, role), rights) == [(False,)]
    for other in {"postgres", "template1", *postgres.DATABASES} - {role}:
        with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
            psycopg2.connect(postgres.dsn(state, other, role))


def test_postgres_killed_amid_work_is_healed_and_keeps_its_data(own, state, services):
    dsn = endpoints(own)[POSTGRES]
    query(dsn, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS id")
    ended = []

    def work():
        with pytest.raises(psycopg2.Error) as error:
            query(dsn, "SELECT pg_sleep(600)")
        ended.append(error)

    busy = threading.Thread(target=work)
    busy.start()
    while not query(dsn, "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'"):
        time.sleep(0.05)
    server = postgres.service(state)
    kill(server.leader)
    # The number of the killed server has gone to another process of the same user.
    pidfile = server.folder / "postmaster.pid"
    other = postgres.service(State(services.home)).leader.pid
    pidfile.write_text("\n".join([str(other), *pidfile.read_text().splitlines()[1:], ""]))

    assert embedded.up(own)[POSTGRES] == dsn
    busy.join()
    assert ended
    assert query(dsn, "SELECT count(*) FROM kept") == [(1000,)]
    assert postgres.service(State(services.home)).leader.pid == other


def test_redis_killed_is_healed_and_keeps_its_data(own, state):
    url = endpoints(own)[REDIS]
    with closing(redis.Redis.from_url(url)) as client:
        client.set("kept", "1")
    kill(embedded_redis.service(state).leader)
    assert embedded.running(own) == ["postgres", "mlflow"]
    assert embedded.up(own)[REDIS] == url
    with closing(redis.Redis.from_url(url)) as client:
        assert client.get("kept") == b"1"


def test_ups_at_once_start_one_of_each(own, state):
    before = pids(state)
    kill(embedded_redis.service(state).leader)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(run, [UP] * 3, [own.home] * 3))
    assert len(embedded_redis.service(state).members()) == 1
    assert pids(state) == before | {"redis": embedded_redis.service(state).leader.pid}


def test_mlflow_killed_is_healed_and_follows_postgres_to_another_port(own, state, monkeypatch):
    """Whatever the shell says of other databases."""
    for name, value in astray.LIBPQ.items():
        monkeypatch.setenv(name, value)
    before = endpoints(own)
    tracking(before[MLFLOW], "experiments/create", {"name": "kept"})
    kill(mlflow.service(state).leader)
    assert mlflow.service(state).members(), "its worker holds the port and must not be in the way"
    kill(postgres.service(state).leader)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((HOST, urlsplit(before[POSTGRES]).port))
        other.listen()
        after = embedded.up(own)
    assert after == endpoints(own) and after[POSTGRES] != before[POSTGRES]
    assert after[MLFLOW] == before[MLFLOW] and "kept" in experiments(after[MLFLOW])


@pytest.mark.skipif(not (is_root and shutil.which("setpriv")), reason="needs root and setpriv")
def test_root_that_may_not_inspect_others_still_knows_its_postgres(own, state):
    """As in a container, where root may not read the working folder of another user's process."""
    server = postgres.service(state)
    assert len(server.members()) > 5
    code = (
        "from jobs.core import settings; from jobs.local import postgres, services, state;"
        "server = postgres.service(state.State(settings.load().home));"
        "assert server.leader and server.current and len(server.members()) > 5; "
        "services.stop(server)"
    )
    run(code, own.home, "setpriv", "--bounding-set=-sys_ptrace")
    assert not server.members()
    embedded.up(own)
    assert query(endpoints(own)[SOURCE], "SELECT 1") == [(1,)]


def test_a_moved_home_is_told_where_its_database_is(own, tmp_path):
    if not is_root:
        pytest.skip("only root's data lies outside the home")
    moved = State(tmp_path)
    moved.prepare()
    (tmp_path / "postgres").symlink_to(own.home.joinpath("postgres").readlink())
    with pytest.raises(ConfigError, match="was moved or copied"):
        postgres.prepare(moved)


def test_up_says_where_the_logins_are_and_prints_no_secret(own):
    environment = {**os.environ, **astray.LIBPQ, **astray.AIRFLOW, "NIGHTSHIFT_HOME": str(own.home)}
    command = [sys.executable, "-m", "jobs", "up"]
    first, second = (
        subprocess.run(
            command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
        )
        for _ in range(2)
    )
    logins = json.loads((own.home / "airflow" / "passwords.json").read_text())
    assert set(logins) == {"admin", "oncall", "analyst"}
    assert str(own.home / "airflow" / "passwords.json") in first.stdout
    passwords = set(json.loads((own.home / "secrets.json").read_text()).values())
    logs = [log.read_text() for log in (own.home / "logs").iterdir() if log.is_file()]
    outputs = [each for run in (first, second) for each in (run.stdout, run.stderr)]
    texts = [*outputs, *logs, *processes_of(own.home)]
    secrets = passwords | set(logins.values())
    assert not [secret for secret in secrets for text in texts if secret in text]


def test_down_leaves_no_process_and_purge_no_data(own, state):
    """The last test of this home, with Airflow running."""
    query(endpoints(own)[POSTGRES], "CREATE TABLE before_down AS SELECT 1 AS id")
    data = postgres.service(state).folder
    assert processes_of(own.home)
    embedded.down(own)
    assert processes_of(own.home) == [] and embedded.running(own) == []
    assert not own.endpoints_file.exists() and data.exists()
    embedded.down(own)
    lake = own.home / "lake"
    lake.mkdir()
    embedded.down(own, purge=True)
    assert not data.exists()
    assert not (place.SHARED / place.digest(state)).exists()
    assert {path.name for path in own.home.iterdir()} == {"run", "lake"}


def python_for(user, packages):
    """An interpreter that `user` may run with the packages of this one, None when there is none."""
    for program in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        try:
            as_user = {
                "user": user,
                "group": user,
                "extra_groups": [],
                "cwd": "/",
                "env": {"PYTHONPATH": packages},
            }
            subprocess.run(
                [program, "-c", "import psutil, jobs"], **as_user, check=True, capture_output=True
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return program
    return None


@pytest.mark.skipif(not is_root, reason="the other tests ran as an ordinary user already")
def test_an_ordinary_user_has_everything_under_the_home():
    packages = f"{PROJECT}:{Path(psutil.__file__).parents[1]}"
    if (program := python_for(NOBODY, packages)) is None:
        pytest.skip("the project or its Python lies where an ordinary user may not go")
    private = Path(tempfile.mkdtemp(prefix="nightshift-"))
    os.chown(private, NOBODY, NOBODY)
    home = private / "home"
    before = modes(home)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": packages,
        "NIGHTSHIFT_HOME": str(home),
        "HOME": str(private),
    }
    as_user = {
        "user": NOBODY,
        "group": NOBODY,
        "extra_groups": [],
        "cwd": "/",
        "env": environment,
        "check": True,
    }
    try:
        subprocess.run([program, "-c", UP], **as_user)
        document = json.loads((home / "endpoints.json").read_text())
        assert query(document[SOURCE], "SELECT current_user") == [("source",)]
        assert (home / "postgres").is_dir() and not (home / "postgres").is_symlink()
        assert {path.owner() for path in home.iterdir()} == {"nobody"}
        assert modes(home) == before
    finally:
        subprocess.run([program, "-c", DOWN], **as_user)
    assert processes_of(home) == []
    shutil.rmtree(private)
