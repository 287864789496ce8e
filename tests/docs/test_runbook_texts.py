"""Every text that the runbook quotes after "See" is one that the platform, or a program under it, says."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from jobs.core.params import AlertParams
from jobs.core.pipelines import PIPELINES
from jobs.core.settings import PROJECT
from jobs.core.steps import STEPS
from jobs.usecases.discovery import parameters

# What other programs say: PostgreSQL and the kernel, the client of Redis, pydantic, Kubernetes, Python, Airflow.
OTHERS = (
    "connection refused",
    "Connection refused",
    "Error 111 connecting to 127.0.0.1:24000.",
    "Input should be greater than 0",
    "Unschedulable",
    "0/3 nodes are available",
    "3 Insufficient nvidia.com/gpu",
    "ImagePullBackOff",
    "CreateContainerConfigError",
    "KeyError",
    "scheduled",
    "API request to",
    "Expecting value",
    "line 1 column 1 (char 0)",
)
# Values that are plain words; any other value has a digit or a sign in it.
WORDS = {
    *PIPELINES,
    *STEPS,
    "postgres",
    "redis",
    "running",
    "None",
    "transactions",
    "text",
    "holdout",
    "fitting",
    "serving",
    "process",
    "money",
}
VARIABLE = None  # of a text, where the code puts a value

Text = tuple[str | None, ...]


def seen():
    """The quoted texts of the parts "See" that are neither commands nor files."""
    page = (PROJECT / "docs" / "runbook.md").read_text()
    parts = re.findall(r"^- \*\*See\*\* (.*?)(?=^- \*\*|^#|\Z)", page, re.MULTILINE | re.DOTALL)
    quotes = [
        " ".join(quote.split()).rstrip("… ")
        for part in parts
        for quote in re.findall(r"`([^`]+)`", part)
    ]
    return sorted(
        {quote for quote in quotes if not quote.startswith(("nightshift ", ".nightshift/"))}
    )


@cache
def texts() -> dict[Text, None]:
    """The texts of the code, docstrings left out: what is fixed in them, and VARIABLE between."""
    found: list[Text] = [(name,) for name in parameter_names()]
    found += [(f"{pipeline}.{step}",) for pipeline in PIPELINES for step in STEPS]
    for folder in ("jobs", "plugins", "dags"):
        for file in sorted((PROJECT / folder).rglob("*.py")):
            tree = ast.parse(file.read_text())
            described = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            for node in ast.walk(tree):
                if isinstance(node, ast.JoinedStr):
                    found.append(tuple(part for value in node.values for part in pieces(value)))
                elif (
                    isinstance(node, ast.Constant)
                    and isinstance(node.value, str)
                    and id(node) not in described
                ):
                    found.append(tuple(pieces(node)))
    return dict.fromkeys(found)


def parameter_names():
    """The keys of params.yaml, by which the runbook calls them."""
    sections = {
        "alerts": AlertParams,
        **{step: model for each in PIPELINES for step, model in parameters(each).items()},
    }
    return [f"{section}.{key}" for section, model in sections.items() for key in model.model_fields]


def pieces(node):
    if not isinstance(node, ast.Constant):
        yield VARIABLE
        return
    for n, fixed in enumerate(
        re.split(r"%[sd]|\{\w*\}", " ".join(re.split(r"\s*\n\s*", node.value)))
    ):
        if n:
            yield VARIABLE
        if fixed:
            yield fixed


def says(text: Text, quote: str) -> bool:
    """Whether the text, with some values, contains the quote."""
    if not any(
        piece and (piece in quote or quote in piece or shared(piece, quote)) for piece in text
    ):
        return False  # a short cut
    for at, piece in enumerate(text):
        if piece is VARIABLE:
            if goes_on(text, at, quote, 0):
                return True
            continue
        if quote in piece:
            return True
        for cut in range(len(piece)):
            if quote.startswith(piece[cut:]) and goes_on(
                text, at + 1, quote[len(piece) - cut :], len(piece) - cut
            ):
                return True
    return False


def shared(piece: str, quote: str) -> bool:
    """Whether they have a word in common."""
    return not set(re.findall(r"\w+", piece)).isdisjoint(re.findall(r"\w+", quote))


def goes_on(text: Text, at: int, rest: str, fixed: int) -> bool:
    """Whether the rest of a quote is what comes of the text from `at` on; `fixed` characters of it were the code's."""
    if not rest:
        return fixed >= MIN_FIXED
    if at == len(text):
        return False
    piece = text[at]
    if piece is VARIABLE:
        return any(
            value(rest[:end]) and goes_on(text, at + 1, rest[end:], fixed)
            for end in range(1, len(rest) + 1)
        )
    if piece.startswith(rest):
        return fixed + len(rest) >= MIN_FIXED
    return rest.startswith(piece) and goes_on(text, at + 1, rest[len(piece) :], fixed + len(piece))


MIN_FIXED = 5  # characters: what is only values is no text of the code


def value(text: str) -> bool:
    """Whether a piece of a quote can be a value: names and numbers, a text of the code, or what another program says."""
    if " " in text and (text,) in texts():
        return True
    for said in OTHERS:
        text = text.replace(said, "")
    words = text.split()
    return all(word in WORDS or not word.strip(":;,.'").isalpha() for word in words)


@pytest.mark.parametrize("quote", seen())
def test_what_the_runbook_quotes_is_said(quote):
    """As a whole, or its sentences and clauses, where the code puts several together."""
    ways = [[quote], quote.split(". "), quote.split("; "), quote.split(": ", 1)]
    assert quote in OTHERS or any(
        all(any(says(text, part) for text in texts()) for part in way) for way in ways
    )


@pytest.mark.parametrize(
    "quote",
    [
        "MLflow at http://127.0.0.1:25000: no answer",
        "the source is not reachable",
        "train fell over",
        "transactions.bad_share",
        "the run of 2018-07-09 is idle",
    ],
)
def test_what_nobody_says_is_noticed(quote):
    assert not any(says(text, quote) for text in texts())
