"""`nightshift status` says what a person needs in few, short lines; `served` gives the same age."""

from __future__ import annotations

import json
import logging
import re
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from jobs.cli import served, status
from jobs.core.identity import days, ranges
from jobs.core.manifest import Manifest, utc_now
from jobs.stores import lineage
from nights import BEFORE, DAY, FIRST
from terminal import on_a_terminal

FAR = DAY + timedelta(days=3_000)


def said(place, capsys, act, *arguments, **options):
    with place.settings():
        act(*arguments, **options)
    return capsys.readouterr().out


def line(text, name):
    """The line of `status` that begins with that name."""
    [shown] = [line for line in text.splitlines() if re.match(rf"  {name}\b", line)]
    return shown


def test_status_and_served_agree_on_the_age_of_a_version_that_a_rollback_brought_back(at, capsys):
    place = at("end")
    place.query("UPDATE publication SET created_at = now() - interval '3 hours'")
    place.run("rollback", what="tables", to=None, reason="scores are off", by="ana", dry_run=False)
    shown = said(place, capsys, status.status)
    assert json.loads(said(place, capsys, served.served, "fraud"))["age"] == "3 h"
    assert f"of {BEFORE}, published 3 h ago" in shown
    assert line(shown, "since").split()[1:3] == ["0", "min"] and "scores are off" in line(
        shown, "since"
    )


def test_a_range_before_the_first_training_and_a_mistyped_date_make_few_lines(at, capsys):
    place = at("end")
    for step in ("extract", "validate"):
        place.run(step, FAR, force=True)
    shown = said(place, capsys, status.status, range_=f"2010-01-01..{FAR}")
    gap = f"{DAY + timedelta(days=1)}..{FAR - timedelta(days=1)} (2999 days)"
    assert line(shown, "extract").endswith(f"holes: {gap}"), "and no day before the first date"
    trained = BEFORE - timedelta(days=1)
    rest = f"{DAY + timedelta(days=1)}..{FAR} (3000 days)"
    assert line(shown, "train").endswith(f"holes: {BEFORE}, {rest}"), (
        "and no day before the first training"
    )
    assert f"{trained} to {DAY}" in line(shown, "train")
    assert line(shown, "no rows").endswith(f"in the source on {FAR}")
    assert len(shown) < 4_000


def test_it_fits_a_terminal_of_100_columns_and_rounds_its_numbers(at):
    place = at("end")
    place.set_params(validate={"max_bad_fraction": 0.04})
    shown = on_a_terminal(100, "status", "fraud", environment=place.environment)
    assert max(map(cell_len, shown.splitlines())) <= 100
    assert not re.findall(r"\d\.\d{7,}", shown), "nobody reads twelve digits"
    assert re.search(rf"stale +validate {FIRST}\.\.{DAY} \(14 days\), because", shown)
    assert re.search(rf"{DAY} promotion: \w+", shown) and re.search(r"\d+ checks passed", shown)


def test_a_day_without_rows_is_said(at, caplog):
    place = at("end")
    place.run("extract", FAR, force=True)
    logger = logging.getLogger("nightshift")
    logger.addHandler(caplog.handler)
    try:
        manifest = place.run("validate", FAR)
    finally:
        logger.removeHandler(caplog.handler)
    assert "the source has no rows of this day" in caplog.text
    warned = [check["name"] for check in manifest.checks if not check["passed"]]
    assert warned == ["transactions.not_empty"] and manifest.output("transactions").rows == 0


RETRAIN = {"policy": "weekly", "reasons": "", "champion": None, "champion_age_days": None}


def test_days_that_retrain_left_without_a_training_are_no_holes():
    known = {
        f"fraud/{step}/{day}": Manifest(
            pipeline="fraud",
            step=step,
            date=day,
            attempt="a",
            params_digest="",
            code_version="",
            started=utc_now(),
            ended=utc_now(),
            facts=facts,
        )
        for step, day, facts in [
            ("train", FIRST, {}),
            ("retrain", FIRST + timedelta(days=1), RETRAIN | {"decision": "keep"}),
            ("retrain", FIRST + timedelta(days=2), RETRAIN | {"decision": "train"}),
        ]
    }
    last = FIRST + timedelta(days=2)
    assert lineage.holes(known, "train", FIRST, last) == [last]
    assert lineage.holes(known, "retrain", FIRST, last) == [FIRST]


@pytest.mark.parametrize(
    ("dates", "text"),
    [
        ([], ""),
        ([FIRST], "2018-04-01"),
        (days(FIRST, FIRST + timedelta(days=58)), "2018-04-01..2018-05-29 (59 days)"),
        ([FIRST, FIRST + timedelta(days=2), FIRST], "2018-04-01, 2018-04-03"),
    ],
)
def test_days_are_ranges(dates, text):
    assert ranges(dates) == text


@settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # on a busy machine anything is slow
@given(st.sets(st.integers(0, 60), max_size=30))
def test_ranges_name_every_day_and_no_other(offsets):
    dates = {FIRST + timedelta(days=offset) for offset in offsets}
    named = set()
    for part in filter(None, ranges(dates, limit=1000).split(", ")):
        first, _, last = part.partition(" ")[0].partition("..")
        named |= set(days(date.fromisoformat(first), date.fromisoformat(last or first)))
    assert named == dates and len(ranges(dates)) < 500
