"""Pages and code are free of the quaint words and the filler that the project's English avoids.

A word is listed if a plainer one always fits: write "with" or "its" for "whose", "again" for
"anew". Add files to COVERED once their prose is plain; add a word once no covered file needs it.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.core.settings import PROJECT

COVERED = (
    "README.md",
    "bench/*.py",
    "dags/*.py",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/*.md",
    "docs/*.py",
    "docs/decisions/*.md",
    "jobs/README.md",
    "jobs/cli/**/*.py",
    "jobs/core/**/*.py",
    "jobs/evaluation/**/*.py",
    "jobs/local/**/*.py",
    "jobs/serving/**/*.py",
    "jobs/source/**/*.py",
    "jobs/stores/**/*.py",
    "jobs/training/**/*.py",
    "jobs/migrations/README.md",
    "jobs/steps/**/*.py",
    "jobs/usecases/*/cli/*.py",
    "jobs/usecases/*/operational/*.py",
    "plugins/README.md",
    "plugins/**/*.py",
    "tests/**/*.py",
    "tests/README.md",
)
GENERATED = {f"docs/{page}.md" for page in ("dags", "params", "reliability", "tables")}
PHRASES = (
    # quaint
    "whose",
    "thereof",
    "thereby",
    "therein",
    "whereby",
    "hereby",
    "hence",
    "anew",
    "beside",
    "whilst",
    "lest",
    "upon",
    "shall",
    "told",
    "in vain",
    "of itself",
    "by itself",
    "by themselves",
    "for want of",
    "so much as",
    "no less",
    # word order and idioms of another language
    "to be had",
    "is said",
    "are said",
    "is to have",
    "are to have",
    "go on with",
    "goes on with",
    "gone on with",
    "goes on there",
    "held against",
    "passed by",
    "need not",
    "who need",
    "under way",
    "the champion there is",
    "by which way",
    # filler
    "in order to",
    "note that",
    "it should be noted",
    "please note",
    "basically",
    "utilize",
    "leverage",
    "seamless",
    "seamlessly",
)
PATTERN = re.compile(rf"\b({'|'.join(PHRASES)})\b".replace(" ", r"\s+"), re.IGNORECASE)


def files() -> list[Path]:
    paths = {path for glob in COVERED for path in PROJECT.glob(glob)}
    generated = {PROJECT / page for page in GENERATED}
    return sorted(paths - generated - {Path(__file__)})  # this file names the words


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """The texts that people read, each with the number of its first line."""
    text = path.read_text()
    if path.suffix == ".md":
        yield 1, re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", blank, text, flags=re.DOTALL)
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def hits(path: Path) -> list[str]:
    return [
        f"{path.relative_to(PROJECT)}:{first + text[: match.start()].count(chr(10))}: {match[0]!r}"
        for first, text in prose(path)
        for match in PATTERN.finditer(text)
    ]


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PROJECT)))
def test_a_covered_file_uses_plain_words(path):
    assert not hits(path), "say it in plain words: " + ", ".join(hits(path))


def test_every_glob_covers_a_file():
    assert all(list(PROJECT.glob(glob)) for glob in COVERED)


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("page.md", "One.\n\n`whose` and\n```sh\nhence\n```\nA lock was not to be\nhad.\n", [7]),
        ("code.py", '"""A step.\n\nHence a model."""\n\nx = 1  # made anew\n', [3, 5]),
    ],
)
def test_a_quaint_word_is_reported_with_its_line(tmp_path, monkeypatch, name, text, lines):
    monkeypatch.setitem(globals(), "PROJECT", tmp_path)
    (tmp_path / name).write_text(text)
    assert [int(hit.split(":")[1]) for hit in hits(tmp_path / name)] == lines


@pytest.mark.parametrize(
    "path",
    [path for path in files() if path.suffix == ".md"],
    ids=lambda path: str(path.relative_to(PROJECT)),
)
def test_a_page_wraps_at_100_columns(path):
    """Rows of tables excepted, which cannot be broken, and a word that alone is longer."""
    long = [
        f"{path.relative_to(PROJECT)}:{number}"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > 100 and not line.startswith("|") and " " in line.strip(" -")
    ]
    assert not long, ", ".join(long)
