"""What people delete in MLflow is restored or created again: a night does not stop for it."""

from __future__ import annotations

import secrets

import pytest

from jobs.core import settings
from jobs.stores import registry


@pytest.fixture
def client(services):
    with registry.connect_mlflow(settings.load()) as opened:
        yield opened


@pytest.fixture
def name():
    return f"fraud_{secrets.token_hex(4)}"


def log(name):
    return registry.log_run(settings.load(), name, {"a": 1}, {"b": 2.0}, {})


def runs(client, name):
    experiment = client.get_experiment_by_name(name)
    return {run.info.run_id for run in client.search_runs([experiment.experiment_id])}


def version(client, name, digest):
    """A registered version that carries the digest; its files do not matter here."""
    client.create_registered_model(name)
    run = log(name)
    return client.create_model_version(
        name, f"runs:/{run}/model", run, {registry.DIGEST_TAG: digest}
    )


def test_an_experiment_that_was_deleted_is_restored_with_its_runs(client, name):
    before = log(name)
    client.delete_experiment(client.get_experiment_by_name(name).experiment_id)
    after = log(name)
    assert runs(client, name) == {before, after}
    assert client.get_experiment_by_name(name).lifecycle_stage == "active"


def test_a_drift_report_restores_its_experiment_too(client, name):
    files = {"drift.html": b"<html>"}
    registry.log_report(settings.load(), name, "2018-07-10", {"x": 1.0}, files)
    client.delete_experiment(client.get_experiment_by_name(name).experiment_id)
    link = registry.log_report(settings.load(), name, "2018-07-10", {"x": 2.0}, files)
    assert len(runs(client, name)) == 1 and link.endswith("drift.html")


def test_an_experiment_that_was_renamed_is_made_anew(client, name):
    before = log(name)
    client.rename_experiment(client.get_experiment_by_name(name).experiment_id, f"{name}_old")
    after = log(name)
    assert runs(client, name) == {after} and runs(client, f"{name}_old") == {before}


def test_aliases_that_somebody_removed_are_set_again(client, name):
    number = version(client, name, "d1").version
    for _ in range(2):
        registry.project_aliases(settings.load(), name, champion="d1", previous=None)
        assert client.get_model_version_by_alias(name, registry.CHAMPION).version == number
        client.delete_registered_model_alias(name, registry.CHAMPION)


@pytest.mark.parametrize("gone", ["version", "model"])
def test_a_version_or_model_that_was_deleted_stops_nothing(client, name, gone):
    number = version(client, name, "d1").version
    client.delete_model_version(
        name, number
    ) if gone == "version" else client.delete_registered_model(name)
    registry.project_aliases(settings.load(), name, champion="d1", previous=None)
    registry.tag(settings.load(), name, "d1", "verdict", "promoted")
    registry.describe(settings.load(), name, "d1", "a card")
    assert client.get_registered_model(name).aliases == {}
    assert registry.version_of(client, name, "d1") is None  # train registers it again


def test_a_card_restores_the_run_of_its_version(client, name):
    made = version(client, name, "d1")
    client.delete_run(made.run_id)
    registry.describe(settings.load(), name, "d1", "a card")
    assert client.get_run(made.run_id).info.lifecycle_stage == "active"
    assert client.get_model_version(name, made.version).description == "a card"
