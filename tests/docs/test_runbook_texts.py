"""Every text that the runbook quotes is one that the platform, or a program under it, says."""

from __future__ import annotations

import re

import pytest

from jobs.core.settings import PROJECT
from quoted_texts import OTHERS, quotes_a_whole_text, quotes_something

RUNBOOK = (PROJECT / "docs" / "runbook.md").read_text()


def spans(text):
    return [" ".join(span.split()).rstrip("… ") for span in re.findall(r"`([^`]+)`", text)]


def quotes_after_see():
    """The quoted texts of the parts "See" that are neither commands nor files."""
    parts = re.findall(r"^- \*\*See\*\* (.*?)(?=^- \*\*|^#|\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
    quotes = {quote for part in parts for quote in spans(part)}
    return sorted(
        quote for quote in quotes if not quote.startswith(("nightshift ", ".nightshift/"))
    )


def other_quotes():
    """The quoted texts outside the parts "See": spans with a space that are no command."""
    prose = re.sub(r"```.*?```", "", RUNBOOK, flags=re.DOTALL)
    quotes = {quote for quote in spans(prose) if " " in quote}.difference(quotes_after_see())
    return sorted(
        quote
        for quote in quotes
        if not quote.startswith(("nightshift ", "make ", "kubectl ", "--"))
    )


@pytest.mark.parametrize("quote", quotes_after_see())
def test_the_code_says_what_the_runbook_quotes_after_see(quote):
    """As a whole, or its sentences and clauses, where the code puts several together."""
    ways = [[quote], quote.split(". "), quote.split("; "), quote.split(": ", 1)]
    assert quote in OTHERS or any(all(map(quotes_something, way)) for way in ways)


@pytest.mark.parametrize("quote", other_quotes())
def test_the_code_says_what_the_runbook_quotes_elsewhere(quote):
    parts = quote.split(": ", 1)
    assert quotes_a_whole_text(quote) or all(
        quotes_a_whole_text(part) or part in OTHERS for part in parts
    ), "no text of jobs/, plugins/ or dags/ reads like this"


def test_the_runbook_quotes_texts():
    assert len(quotes_after_see()) > 60
    assert len(other_quotes()) > 25


@pytest.mark.parametrize(
    "quote",
    [
        "MLflow at http://127.0.0.1:25000: no answer",
        "the source is not reachable",
        "train fell over",
        "transactions.bad_share",
        "the run of 2018-07-09 is idle",
        "waited 9 s to get the lock fraud",
        "fraud_labels is not there",
        "merchant unknown",
    ],
)
def test_a_text_that_the_code_never_says_is_noticed(quote):
    assert not quotes_something(quote)
    assert not quotes_a_whole_text(quote)
