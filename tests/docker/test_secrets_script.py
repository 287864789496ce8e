"""secrets.sh: random values, for nobody else's eyes, made once."""

import base64

import pytest

from jobs.core.settings import PROJECT


@pytest.fixture
def file(tmp_path):
    return tmp_path / ".env"


def test_only_the_owner_may_read_them(generate, file):
    file.touch(mode=0o644)
    generate(file)
    assert file.stat().st_mode & 0o777 == 0o600


def test_every_value_is_its_own(generate, file, tmp_path):
    ours, others = generate(file), generate(tmp_path / "other.env")
    assert len({*ours.values(), *others.values()}) == 2 * len(ours)
    assert all(len(value) >= 32 for value in ours.values())


def test_a_second_run_changes_nothing(generate, file):
    generate(file)
    before = file.read_bytes()
    generate(file)
    assert file.read_bytes() == before


def test_a_name_that_is_lacking_is_added_and_the_rest_is_kept(generate, file):
    file.write_text("REDIS_PASSWORD=of-old\n")
    secrets_written = generate(file)
    assert secrets_written["REDIS_PASSWORD"] == "of-old"
    assert secrets_written["POSTGRES_PASSWORD"]


def test_the_keys_have_the_sizes_that_airflow_asks_for(generate, file):
    secrets_written = generate(file)
    assert len(base64.urlsafe_b64decode(secrets_written["AIRFLOW_FERNET_KEY"])) == 32
    assert len(secrets_written["AIRFLOW_JWT_SECRET"]) >= 64


def test_git_and_the_images_ignore_them():
    assert "/docker/.env" in (PROJECT / ".gitignore").read_text().splitlines()
    assert "**/.env" in (PROJECT / ".dockerignore").read_text().splitlines()
