"""When Airflow starts, what an earlier release left in its database is changed."""

from __future__ import annotations

import importlib

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.orm import Session

OLD = "nightshift_alerts.report_late"
NEW = "nightshift.alerts.report_late"


@pytest.fixture
def deadlines(airflow_variables):
    return importlib.import_module("nightshift.deadlines")


@pytest.fixture
def models(airflow_variables):
    """The module of callbacks. SQLAlchemy resolves relationships only with all models imported."""
    importlib.import_module("airflow.models").import_all_models()
    return importlib.import_module("airflow.models.callback")


@pytest.fixture
def session(models):
    engine = create_engine("sqlite://")
    models.Base.metadata.create_all(engine, [models.Callback.__table__])
    with Session(engine) as session:
        yield session
    engine.dispose()


@pytest.fixture
def stored(models, session):
    """Stores a callback of the triggerer; the session holds no copy of it."""

    def store(path, state):
        callback = models.TriggererCallback(_Definition(path))
        callback.state = state
        session.add(callback)
        session.commit()
        session.expunge_all()

    return store


class _Definition:
    def __init__(self, path):
        self.path = path
        self.kwargs = {"pipeline": "fraud"}

    def serialize(self):
        return {"path": self.path, "kwargs": self.kwargs}


@pytest.fixture
def paths(models, session):
    """The path of each stored callback by its state."""

    def read():
        session.expire_all()
        return {
            callback.state: callback.data["path"] for callback in session.query(models.Callback)
        }

    return read


def test_callbacks_that_wait_get_the_new_name(deadlines, session, stored, paths):
    for state in ("scheduled", "pending"):
        stored(OLD, state)
    assert deadlines.rename_callbacks(session) == 2
    session.commit()
    assert paths() == {"scheduled": NEW, "pending": NEW}


def test_callbacks_that_were_started_are_history(deadlines, session, stored, paths):
    history = ("queued", "running", "success", "failed")
    for state in history:
        stored(OLD, state)
    assert deadlines.rename_callbacks(session) == 0
    session.commit()
    assert paths() == dict.fromkeys(history, OLD)


def test_callbacks_of_others_keep_their_name(deadlines, session, stored, paths):
    stored("others.report_late", "scheduled")
    assert deadlines.rename_callbacks(session) == 0
    session.commit()
    assert paths() == {"scheduled": "others.report_late"}


def test_only_callbacks_that_wait_are_read(deadlines, models, session, stored):
    for state in ("scheduled", "success", "failed"):
        stored(OLD, state)
    read = []

    def note(callback, _):
        read.append(callback.state)

    event.listen(models.Callback, "load", note, propagate=True)
    try:
        deadlines.rename_callbacks(session)
    finally:
        event.remove(models.Callback, "load", note)
    assert read == ["scheduled"]


def test_the_arguments_of_a_renamed_callback_stay(deadlines, models, session, stored):
    stored(OLD, "scheduled")
    deadlines.rename_callbacks(session)
    session.commit()
    (callback,) = session.query(models.Callback)
    assert callback.data["kwargs"] == {"pipeline": "fraud"}
