"""What people read when a step stops, and what schedulers get."""

from __future__ import annotations

import os
import pickle

import pytest

from jobs.core.errors import ConfigError, DataError, NightshiftError, StoreError

KINDS = [(DataError, os.EX_DATAERR), (StoreError, os.EX_TEMPFAIL), (ConfigError, os.EX_CONFIG)]


@pytest.mark.parametrize(("kind", "code"), KINDS)
def test_it_says_where_what_which_input_and_what_next(kind, code):
    error = kind(
        "3 rows have no date", remedy="mend the source, run again", input="fraud/extract/2018-07-10"
    )
    error.where = "fraud/validate 2018-07-10"
    assert str(error).splitlines() == [
        "fraud/validate 2018-07-10: 3 rows have no date",
        "  Input: fraud/extract/2018-07-10.",
        "  Next: mend the source, run again",
    ]
    assert isinstance(error, NightshiftError) and error.exit_code == code


def test_exit_codes_tell_the_kinds_apart():
    assert len({kind.exit_code for kind, _ in KINDS} | {NightshiftError.exit_code, 0}) == 5


def test_what_is_not_known_is_not_said():
    assert str(DataError("wrong")) == "wrong"


def test_two_errors_of_the_same_text_are_two():
    assert DataError("wrong") != DataError("wrong")
    assert len({DataError("wrong"), DataError("wrong")}) == 2


def test_it_survives_the_way_between_processes():
    error = DataError("wrong", remedy="mend it", input="x")
    error.where = "fraud/extract 2018-07-10"
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error) and type(copy) is DataError


@pytest.mark.parametrize(
    ("error", "last"),
    [
        (
            DataError("wrong", section="the-first-nights"),
            "  Runbook: docs/runbook.md#the-first-nights",
        ),
        (ConfigError("wrong"), "  Runbook: docs/runbook.md#a-setting-is-wrong"),
        (
            ConfigError("none", section="java-is-missing"),
            "  Runbook: docs/runbook.md#java-is-missing",
        ),
        (StoreError("away"), "away"),
    ],
)
def test_where_the_runbook_has_more_is_its_last_line(error, last):
    assert error.explained().splitlines()[-1] == last and str(error) == error.what
