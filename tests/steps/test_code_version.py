"""The code version of a manifest is that of this project, wherever its folder lies."""

import os
import subprocess

import pytest

import jobs
from jobs.core.settings import PROJECT
from jobs.steps import frame

pytestmark = pytest.mark.process

GIT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b.c",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b.c",
}


def repository(folder):
    """A repository with one commit; returns what it calls that."""
    folder.mkdir(parents=True)
    (folder / "README").write_text("")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True, env=os.environ | GIT)
    words = ["git", "-C", str(folder), "rev-parse", "--short=12", "HEAD"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def test_a_tarball_inside_another_repository_has_the_version_of_the_package(tmp_path, monkeypatch):
    commit = repository(tmp_path / "theirs")
    ours = tmp_path / "theirs" / "nightshift-0.1.0"
    ours.mkdir()
    monkeypatch.setattr(frame, "PROJECT", ours)
    monkeypatch.delenv("NIGHTSHIFT_CODE_VERSION", raising=False)
    assert frame.code_version.__wrapped__() == jobs.__version__ != commit


def test_a_checkout_has_its_own_commit_also_inside_another_and_inside_a_hook(tmp_path, monkeypatch):
    theirs = repository(tmp_path / "theirs")
    (tmp_path / "theirs" / "README").write_text("more")
    repository(tmp_path / "theirs" / " ours [1] ")
    ours = tmp_path / "theirs" / " ours [1] "
    (ours / "more").write_text("")
    for words in (["add", "."], ["commit", "-q", "-m", "second"]):
        subprocess.run(["git", "-C", str(ours), *words], check=True, env=os.environ | GIT)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "theirs" / ".git"))
    commit = frame._commit(ours)
    assert len(commit) == 12 and not theirs.startswith(commit)
    assert frame._commit(tmp_path / "theirs") == f"{theirs}-dirty"


def test_without_git_it_is_the_version_of_the_package(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert frame._commit(PROJECT) == ""
