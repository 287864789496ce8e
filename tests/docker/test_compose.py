"""compose.yaml is well-formed, exposes nothing, and gives Airflow and the steps all they need."""

import json
import re
import tomllib
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

from jobs.core import settings
from jobs.core.settings import PROJECT

COMPOSE = yaml.safe_load((PROJECT / "docker" / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
VERSION = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
AIRFLOW = ("prepare", "api-server", "scheduler", "dag-processor", "triggerer")
every = pytest.mark.parametrize("name", SERVICES)


@pytest.fixture
def secrets(generate, tmp_path):
    """What secrets.sh generates, by name."""
    return generate(tmp_path / ".env")


def interpolate(text, values):
    """Interpolate `${NAME:?…}` and `${NAME:-default}` as compose does.

    Raises KeyError for a required name without a value.
    """
    names = re.sub(r"\$\{(\w+):\?[^}]*\}", lambda match: values[match[1]], text)
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", names)


def environment(name):
    return SERVICES[name].get("environment", {})


def test_the_file_follows_the_compose_specification():
    package = Path(find_spec("check_jsonschema").origin).parent
    schema = json.loads((package / "builtin_schemas" / "vendor" / "compose-spec.json").read_text())
    jsonschema.validate(COMPOSE, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(COMPOSE | {"services": {"redis": {"imagge": "redis"}}}, schema)


@every
def test_every_image_is_pinned_by_an_exact_tag(name):
    image = interpolate(SERVICES[name]["image"], {})
    assert re.search(r":\d+\.\d+(\.\d+)*(-[a-z]+)?$", image), image
    assert not image.startswith("nightshift-") or image.endswith(f":{VERSION}")


@every
def test_every_service_has_no_more_rights_than_it_needs(name):
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"cap_add", "privileged", "pid", "network_mode", "devices"} & set(service)
    assert service.get("read_only", name == "clickhouse")
    assert "docker.sock" not in str(service)


@every
def test_every_service_says_whether_it_is_well_or_ends(name):
    waits = [after.get("depends_on", {}).get(name, {}) for after in SERVICES.values()]
    ends = {"condition": "service_completed_successfully"} in waits
    assert ends or SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == ("on-failure:3" if ends else "unless-stopped")


@every
def test_ports_are_published_on_loopback_alone(name):
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@every
def test_what_a_service_refers_to_is_there(name):
    service = SERVICES[name]
    for volume in service.get("volumes", []):
        source = volume.partition(":")[0]
        assert source in COMPOSE["volumes"] or (PROJECT / "docker" / source).is_file(), source
    assert set(service["networks"]) <= set(COMPOSE["networks"])
    for other, how in service.get("depends_on", {}).items():
        wants_health = how["condition"] == "service_healthy"
        assert not wants_health or "test" in SERVICES[other]["healthcheck"]


def test_every_secret_is_required_and_generated(secrets):
    text = (PROJECT / "docker" / "compose.yaml").read_text()
    assert set(re.findall(r"\$\{(\w+):\?", text)) == set(secrets)
    assert set(re.findall(r"\$\{(\w+)", text)) == {*secrets, "IMAGE_TAG"}


@every
def test_no_secret_is_written_down(name):
    for key, value in environment(name).items():
        if re.search(r"(PASSWORD|SECRET|KEY)$", key):
            assert re.fullmatch(r"\$\{\w+:\?[^}]*\}", value), key
        if password := re.search(r"://[^/@]*:([^/]*)@", value):
            assert re.fullmatch(r"\$\{\w+:\?[^}]*\}", password[1]), key


def test_a_password_stands_in_an_address_as_it_is(secrets):
    found = {
        name: urlsplit(interpolate(value, secrets))
        for name, value in environment("scheduler").items()
        if "@" in value
    }
    assert len(found) == 5
    for name, address in found.items():
        assert address.password in secrets.values(), name
        assert address.hostname in SERVICES, name
        assert address.port, name


def test_the_logins_are_the_json_that_airflow_reads(secrets):
    logins = json.loads(interpolate(environment("prepare")["LOGINS"], secrets))
    assert logins == {
        user: secrets[f"{user.upper()}_PASSWORD"] for user in ("admin", "oncall", "analyst")
    }


@pytest.mark.parametrize("name", AIRFLOW)
def test_airflow_is_given_what_its_settings_take(name):
    wanted = set(re.findall(r"\$\{(\w+)\}", (PROJECT / "airflow.cfg").read_text()))
    image = (PROJECT / "docker" / "airflow" / "Dockerfile").read_text()
    assert wanted <= {*environment(name), *re.findall(r"^\s+(\w+)=", image, re.MULTILINE)}


def test_the_steps_are_given_every_store():
    stores = {
        settings.LAKE,
        settings.CLICKHOUSE,
        settings.SOURCE,
        settings.POSTGRES,
        settings.REDIS,
        settings.MLFLOW,
    }
    assert stores <= set(environment("scheduler"))


def test_the_roles_of_postgresql_are_given_their_passwords():
    script = (PROJECT / "docker" / "postgres" / "roles.sh").read_text()
    roles = re.search(r"for name in ([a-z ]+);", script)[1].split()
    variables = environment("postgres")
    assert {f"{role.upper()}_PASSWORD" for role in roles} <= set(variables)
    for name in AIRFLOW[1:]:
        assert variables["AIRFLOW_PASSWORD"] in environment(name)["NIGHTSHIFT_AIRFLOW_DB"]
