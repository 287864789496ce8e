"""One line an event, for machines or for people."""

from __future__ import annotations

import json
import logging
from datetime import date, datetime

import pytest

from jobs.core import log

RUN = {"pipeline": "fraud", "step": "extract", "date": date(2018, 7, 10), "attempt": "a1"}


@pytest.fixture(autouse=True)
def put_back():
    root = logging.getLogger("nightshift")
    before = (root.handlers[:], root.level, root.propagate)
    yield
    root.handlers[:], root.level, root.propagate = before


@pytest.fixture
def lines(monkeypatch, capsys):
    """Set up the form, and read what was written since."""

    def set_up(form: str | None = None, level: str | None = None):
        monkeypatch.delenv("NIGHTSHIFT_LOG", raising=False)
        monkeypatch.delenv("NIGHTSHIFT_LOG_LEVEL", raising=False)
        if form:
            monkeypatch.setenv("NIGHTSHIFT_LOG", form)
        if level:
            monkeypatch.setenv("NIGHTSHIFT_LOG_LEVEL", level)
        log.set_up()
        return lambda: capsys.readouterr().err.splitlines()

    return set_up


def strict(line: str):
    def refuse(constant: str):
        raise ValueError(f"{constant} is not JSON")

    return json.loads(line, parse_constant=refuse)


def test_json_lines_parse_and_carry_the_run(lines):
    read = lines("json")
    log.logger(**RUN).info(
        "swapped", rows=3, day=date(2018, 7, 9), note='two\nlines, a "quote" and ü'
    )
    (line,) = read()
    event = strict(line)
    assert datetime.fromisoformat(event.pop("at")).utcoffset().total_seconds() == 0
    assert event == {
        "level": "info",
        "event": "swapped",
        "pipeline": "fraud",
        "step": "extract",
        "date": "2018-07-10",
        "attempt": "a1",
        "rows": 3,
        "day": "2018-07-09",
        "note": 'two\nlines, a "quote" and ü',
    }


def test_json_of_an_exception_is_one_line(lines):
    read = lines("json")
    try:
        raise ValueError("broken\nin two")
    except ValueError:
        log.logger(**RUN).error("failed", exc_info=True)
    (line,) = read()
    assert "ValueError: broken" in strict(line)["exception"]


def test_a_number_that_json_does_not_have_still_parses(lines):
    read = lines("json")
    log.logger(**RUN).info("judged", roc_auc=float("nan"), parts={"lift": [float("inf"), 1.5]})
    event = strict(read()[0])
    assert (event["roc_auc"], event["parts"]) == (None, {"lift": [None, 1.5]})


def test_data_cannot_pass_for_the_run(lines):
    read = lines("json")
    log.logger(**RUN).info("done", step="other", event="none", at=0)
    event = strict(read()[0])
    assert (event["step"], event["level"], event["event"]) == ("extract", "info", "done")
    assert datetime.fromisoformat(event["at"])


def test_the_form_for_people(lines):
    read = lines()
    log.logger(**RUN).warning("slow", seconds=3.5)
    (line,) = read()
    assert line[8:] == " warning fraud/extract 2018-07-10 slow seconds=3.5"


def test_without_a_run_it_is_just_the_event(lines):
    read = lines()
    log.logger().info("hello 100%")
    assert read()[0].endswith("info    hello 100%")


def test_the_level_is_a_setting(lines):
    read = lines(level="warning")
    log.logger().info("unheard")
    log.logger().warning("heard")
    assert len(read()) == 1


def test_set_up_twice_writes_once(lines):
    lines()
    read = lines()
    log.logger().info("once")
    assert len(read()) == 1
