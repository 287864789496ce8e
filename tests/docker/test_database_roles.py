"""roles.sh on a real PostgreSQL: each database has its own owner, who can open no other one."""

import os
import subprocess
import time
from contextlib import closing

import psycopg2
import pytest

from jobs.core.settings import PROJECT
from jobs.local import place, postgres
from jobs.local.services import start, stop
from jobs.local.state import State

pytestmark = pytest.mark.process

ROLES = ("source", "serving", "mlflow", "airflow")
PASSWORDS = {f"{role.upper()}_PASSWORD": f"{role} 'of' \"its\" own" for role in ROLES}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A PostgreSQL without databases, on which the script has run once."""
    state = State(tmp_path_factory.mktemp("roles"))
    state.prepare()
    postgres.prepare(state)
    service = postgres.service(state)
    try:
        start(service)
        until = time.monotonic() + 60
        while not service.ready() and time.monotonic() < until:
            time.sleep(0.1)
        script(state)
        yield state
    finally:
        stop(service)
        postgres.purge(state)


def script(state):
    environment = PASSWORDS | {
        "PATH": f"{place.programs(state)}:{os.environ['PATH']}",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(state.port("postgres")),
        "PGPASSWORD": state.secret(postgres.ADMIN),
        "POSTGRES_USER": postgres.ADMIN,
    }
    file = PROJECT / "docker" / "postgres" / "roles.sh"
    subprocess.run(["sh", file], env=environment, check=True, capture_output=True, timeout=60)


def connect(state, role, database):
    return closing(
        psycopg2.connect(
            host="127.0.0.1",
            port=state.port("postgres"),
            user=role,
            dbname=database,
            password=PASSWORDS[f"{role.upper()}_PASSWORD"],
        )
    )


@pytest.mark.parametrize("role", ROLES)
def test_a_role_owns_its_database(server, role):
    with connect(server, role, role) as session, session, session.cursor() as cursor:
        cursor.execute("CREATE SCHEMA mine")
        cursor.execute(
            "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = user"
        )
        assert cursor.fetchone() == (False,)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_gets_into_no_other_database(server, role):
    for database in {*ROLES, "postgres", "template1"} - {role}:
        with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
            connect(server, role, database)


def test_they_are_the_databases_of_the_embedded_postgresql():
    assert set(ROLES) == set(postgres.DATABASES)
