"""Installations that live for weeks: one champion, then nothing but the checks of drift, on quiet days and on others."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from jobs.core.identity import days
from jobs.steps.records import DRIFT_METRICS
from jobs.stores import clickhouse
from nights import Place, database_of

QUIET_DAYS = 30


def crown(place, day):
    """Take in the days up to `day`, and have a model of it promoted."""
    place.ingest(first_date(place), day)
    for step in ("snapshot", "check_drift", "retrain", "train", "gate", "promote"):
        place.run(step, day)


def live(place, first, last, ingest=True):
    """The facts of check_drift of each day, with one champion throughout."""
    found = {}
    for day in days(first, last):
        if ingest:
            place.ingest(day, day)
        place.run("snapshot", day)
        found[day] = place.run("check_drift", day).facts
    return found


def rows(place, day):
    """The rows of drift_metrics of a day, by (scope, name)."""
    with place.settings() as chosen, clickhouse.connect(chosen) as db:
        found = db.read_partition(place.pipeline, DRIFT_METRICS, day).to_pylist()
    return {(row["scope"], row["name"]): row for row in found}


def branch(stack, databases, place, home, *statements):
    """A copy of the installation, whose operational database these statements have changed."""
    import shutil

    shutil.copytree(
        place.home, home, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("tmp", "logs", "*.log")
    )  # fmt: skip
    serving = stack.enter_context(databases("serving", database_of(place.postgres)))
    source = stack.enter_context(databases("source", database_of(place.source)))
    copy = replace(place, home=home, postgres=serving, source=source)
    for statement in statements:
        copy.upstream(statement)
    return copy


def first_date(place):
    import yaml

    return yaml.safe_load((place.home / "params.yaml").read_text())[place.pipeline]["first_date"]


def after(day, count=1):
    return day + timedelta(days=count)


__all__ = ["QUIET_DAYS", "Place", "after", "branch", "crown", "live", "rows"]
