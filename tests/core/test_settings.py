"""Where a URL comes from: environment, then the embedded services, then a default."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.core import settings
from jobs.core.errors import ConfigError

URLS = {
    "lake": settings.LAKE,
    "clickhouse": settings.CLICKHOUSE,
    "source": settings.SOURCE,
    "postgres": settings.POSTGRES,
    "redis": settings.REDIS,
    "mlflow": settings.MLFLOW,
    "spark_master": settings.SPARK_MASTER,
}
NEEDS_A_SERVICE = ["source", "postgres", "redis", "mlflow"]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    for name in (*URLS.values(), "NIGHTSHIFT_PARAMS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NIGHTSHIFT_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(("attribute", "variable"), URLS.items())
def test_environment_beats_endpoints_beats_default(home, monkeypatch, attribute, variable):
    (home / "endpoints.json").write_text(json.dumps({variable: "from-endpoints"}))
    assert getattr(settings.load(), attribute) == "from-endpoints"
    monkeypatch.setenv(variable, "from-environment")
    assert getattr(settings.load(), attribute) == "from-environment"
    monkeypatch.setenv(variable, "")  # as compose files leave it: not set
    assert getattr(settings.load(), attribute) == "from-endpoints"


def test_defaults_need_no_service_and_stay_at_home(home):
    config = settings.load()
    assert config.lake == str(home / "lake")
    assert config.clickhouse == f"chdb:///{home / 'clickhouse'}"
    assert config.spark_master.startswith("local[")


@pytest.mark.parametrize("attribute", NEEDS_A_SERVICE)
def test_an_unknown_url_names_its_variable_and_the_remedy(home, attribute):
    with pytest.raises(ConfigError) as caught:
        getattr(settings.load(), attribute)
    text = str(caught.value)
    assert URLS[attribute] in text and "make up" in text and str(home) in text


def test_an_endpoints_file_that_is_not_json_is_named(home):
    (home / "endpoints.json").write_text('{"NIGHTSHIFT_REDIS_URL": "re')
    with pytest.raises(ConfigError, match=r"endpoints\.json(.|\n)*make up"):
        _ = settings.load().redis


def test_paths_are_absolute_wherever_one_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NIGHTSHIFT_HOME", "state")
    monkeypatch.setenv("NIGHTSHIFT_PARAMS", "my.yaml")
    config = settings.load()
    assert (config.home, config.params_file) == (tmp_path / "state", tmp_path / "my.yaml")


def test_without_variables_all_is_in_the_project(monkeypatch):
    monkeypatch.delenv("NIGHTSHIFT_HOME")
    config = settings.load()
    project = Path(settings.__file__).parents[2]
    assert (config.home, config.params_file) == (project / ".nightshift", project / "params.yaml")
