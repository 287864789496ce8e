"""The images: linted, pinned, not root, and made of files that are there."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest

from jobs.core.settings import PROJECT

DOCKERFILES = sorted((PROJECT / "docker").rglob("Dockerfile"))
HADOLINT = Path(sys.prefix) / "bin" / "hadolint"
each = pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)


def lint(dockerfile):
    return subprocess.run(
        [HADOLINT, "--no-color", dockerfile], capture_output=True, text=True, check=False
    )


def last_stage(dockerfile):
    return re.split(r"^FROM ", dockerfile.read_text(), flags=re.MULTILINE)[-1]


@pytest.mark.process
@each
def test_hadolint_has_nothing_to_say(dockerfile):
    assert lint(dockerfile).stdout == ""


@pytest.mark.process
def test_hadolint_finds_what_is_wrong(tmp_path):
    wrong = tmp_path / "Dockerfile"
    wrong.write_text("FROM debian:latest\nRUN cd /tmp\n")
    assert "DL3007" in lint(wrong).stdout


@each
def test_every_base_is_pinned_by_an_exact_tag(dockerfile):
    text = dockerfile.read_text()
    bases = dict(re.findall(r"^ARG (\w+)=(.+)$", text, re.MULTILINE))
    assert {found[2:-1] for found in re.findall(r"^FROM (\S+)", text, re.MULTILINE)} == set(bases)
    assert all(re.search(r":\d+\.\d+\.\d+-[\w.-]+$", base) for base in bases.values())


@each
def test_it_runs_as_a_user_of_its_own(dockerfile):
    assert re.findall(r"^USER (.+)$", last_stage(dockerfile), re.MULTILINE) == ["10001:10001"]


@each
def test_it_says_what_it_is_made_of(dockerfile):
    stage = last_stage(dockerfile)
    for line in (
        'org.opencontainers.image.version="${VERSION}"',
        'org.opencontainers.image.revision="${COMMIT}"',
        "NIGHTSHIFT_CODE_VERSION=${VERSION}-${COMMIT}",
        "PYTHONDONTWRITEBYTECODE=1",
    ):
        assert line in stage


@each
def test_what_it_copies_exists_and_reaches_the_builder(dockerfile):
    allowed = {
        line[1:].rstrip("/")
        for line in (PROJECT / ".dockerignore").read_text().splitlines()
        if line[:1] == "!"
    }
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile.read_text(), re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert copied
    for source in copied:
        assert (PROJECT / source).exists(), source
        assert source.partition("/")[0] in allowed, source


def test_spark_reads_s3_by_the_hadoop_of_its_own_wheel():
    pom = ElementTree.parse(PROJECT / "docker" / "airflow" / "pom.xml")
    version = pom.find(".//{*}dependency/{*}version").text
    jars = Path(find_spec("pyspark").origin).parent / "jars"
    assert (jars / f"hadoop-client-api-{version}.jar").is_file()
