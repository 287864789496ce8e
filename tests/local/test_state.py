import os
import socket
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from jobs.core.errors import ConfigError
from jobs.local import airflow, redis
from jobs.local import state as module
from jobs.local.state import HOST, State


@pytest.fixture
def state(tmp_path):
    home_state = State(tmp_path / "home")
    home_state.prepare()
    return home_state


@pytest.fixture
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def test_files_and_folders_are_the_owners_alone_under_any_umask(tmp_path, open_umask):
    state = State(tmp_path / "home")
    state.prepare()
    redis.prepare(state)
    state.folder("airflow")
    airflow.logins(state)
    module.write(state.endpoints, {"NIGHTSHIFT_REDIS_URL": redis.url(state)})
    every = [state.home, *state.home.rglob("*")]
    assert {path.name for path in every} >= {
        "secrets.json",
        "passwords.json",
        "endpoints.json",
        "redis.conf",
    }
    wrong = {path: mode for path in every if (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077}
    assert wrong == {}


def test_a_home_that_all_could_write_to_no_longer_is_one(tmp_path, open_umask):
    (home := tmp_path / "home").mkdir()
    State(home).prepare()
    assert stat.S_IMODE(home.stat().st_mode) == 0o775


def test_a_secret_is_generated_once_and_differs_between_homes(state, tmp_path):
    other = State(tmp_path / "other")
    other.prepare()
    assert state.secret("redis") == state.secret("redis")
    assert len({state.secret("redis"), state.secret("source"), other.secret("redis")}) == 3


def test_a_port_is_kept_while_it_is_free(state):
    port = state.port("redis")
    state.move("redis")
    assert state.port("redis") == port
    with socket.socket() as other:
        other.bind((HOST, port))
        other.listen()
        state.move("redis")
    assert state.port("redis") != port


def test_an_equal_file_is_not_written_again(state):
    module.write(state.endpoints, {"a": "1"})
    first = state.endpoints.stat()
    module.write(state.endpoints, {"a": "1"})
    assert (state.endpoints.stat().st_ino, state.endpoints.stat().st_mtime_ns) == (
        first.st_ino,
        first.st_mtime_ns,
    )
    module.write(state.endpoints, {"a": "2"})
    assert module.read(state.endpoints) == {"a": "2"}


def test_the_lock_lets_one_in_at_a_time(state):
    inside = []

    def enter(_):
        with state.lock():
            inside.append("in")
            seen = inside.count("in") - inside.count("out")
            inside.append("out")
            return seen

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(enter, range(200))) == {1}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder that is another user's")
def test_a_home_of_another_user_is_refused(tmp_path):
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(ConfigError, match="belongs to nobody"):
        State(tmp_path).prepare()
