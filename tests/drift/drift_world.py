"""Installations that run for weeks: one champion, daily drift checks, and copies that diverge."""

from __future__ import annotations

import shutil
from dataclasses import replace

from jobs.core.identity import days
from nights import database_of

QUIET_DAYS = 30


def crown(place, first, day):
    """Take in the days from `first` to `day`, and have a model of it promoted."""
    place.ingest(first, day)
    *_, promoted = [
        place.run(step, day) for step in ("snapshot", "check_drift", "train", "gate", "promote")
    ]
    assert promoted.facts["champion"], promoted.facts


def check(place, day):
    """The facts of check_drift of a day, once the day is taken in."""
    place.ingest(day, day)
    place.run("snapshot", day)
    return place.run("check_drift", day).facts


def detected(place, first, last):
    """(number of the first day with drift, counted from 1; its reasons).

    (None, []) if there is none up to `last`.
    """
    for number, day in enumerate(days(first, last), start=1):
        if reasons := check(place, day)["drifted"]:
            return number, reasons
    return None, []


def branch(stack, databases, place, home, statement):
    """A copy of the installation, with its operational database changed by the statement."""
    ignore = shutil.ignore_patterns("tmp", "logs", "*.log")
    shutil.copytree(place.home, home, symlinks=True, ignore=ignore)
    serving = stack.enter_context(databases("serving", database_of(place.postgres)))
    source = stack.enter_context(databases("source", database_of(place.source)))
    copy = replace(place, home=home, postgres=serving, source=source)
    copy.upstream(statement)
    return copy
