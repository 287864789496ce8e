"""The embedded services of a home for as long as tests run, and databases on their PostgreSQL."""

from __future__ import annotations

import secrets
from contextlib import closing, contextmanager

import pytest
from psycopg2.sql import SQL, Identifier

from jobs.core import settings
from jobs.local import embedded, postgres
from jobs.local.state import State
from nights import database_of


@contextmanager
def started(home, purge=True):
    """PostgreSQL, Redis and MLflow of the home, their addresses in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NIGHTSHIFT_HOME", str(home))
        config = settings.load()
        try:
            for name, url in embedded.up(config).items():
                patch.setenv(name, url)
            _forget_power_cuts(State(home))
            yield config
        finally:
            embedded.down(config, purge=purge)


def _forget_power_cuts(state):
    """Without fsync a killed server loses nothing, and dropping a database takes a tenth."""
    _administer(state, "ALTER SYSTEM SET fsync = off")
    _administer(state, "SELECT pg_reload_conf()")


@contextmanager
def database(home, role, template="template1"):
    """The address of a new database, dropped when the context ends."""
    dsn = create_database(home, role, template)
    yield dsn
    _administer(State(home), "DROP DATABASE {} WITH (FORCE)", database_of(dsn))


def create_database(home, role, template="template1"):
    """The address of a new database of the role, a copy of the template."""
    state, name = State(home), f"test_{secrets.token_hex(6)}"
    _administer(state, "CREATE DATABASE {} OWNER {} TEMPLATE {}", name, role, template)
    return postgres.dsn(state, name, role)


def _administer(state, statement, *names):
    """On a connection of its own: a test may have killed the server since the last."""
    with closing(postgres.connect_as_admin(state)) as admin:
        admin.autocommit = True
        admin.cursor().execute(SQL(statement).format(*map(Identifier, names)))
