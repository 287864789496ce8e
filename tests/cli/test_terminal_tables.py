"""Every table that a command prints shows its figures whole, on a terminal and in a pipe."""

from __future__ import annotations

import io
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from jobs.cli import manage, night
from jobs.cli.show import Screen
from jobs.core import text_table
from jobs.core.markdown_table import markdown_table
from jobs.core.settings import Settings
from jobs.steps import leftovers
from jobs.usecases.fraud.backtest import METRICS, FoldResult, FoldSummary
from jobs.usecases.fraud.cli import backtest
from jobs.usecases.movies.backtest import AlgorithmResult
from jobs.usecases.movies.cli import backtest as backtest_movies
from jobs.usecases.movies.evaluation import MEASURES

PROJECT = Path(manage.__file__).parents[2]
FIGURE = re.compile(r"[+-]?\d[\d,]*(\.\d+)?( ?± ?\d+\.\d+)?")
WIDTHS = [80, None]
INTEGERS = st.integers(-(2**63), 2**63 - 1)  # as databases hold them; a longer one may be too wide


def printed(table, width):
    stream = io.StringIO()
    Screen(file=stream, width=width).table(*table)
    return stream.getvalue()


def fraud():
    figures = dict.fromkeys(METRICS, 0.87)
    days, test = [date(2018, 6, 24), date(2018, 6, 30)], [date(2018, 7, 8), date(2018, 7, 14)]
    fold = FoldResult(days, test, rows=9, rounds=5, metrics=figures, baseline=figures)
    deviation = dict.fromkeys(METRICS, 0.009)
    return backtest._table(FoldSummary([fold] * 4, figures, deviation, figures, deviation))


def movies():
    names = [f"{measure}_at_10" for measure in MEASURES]
    means, intervals = dict.fromkeys(names, 0.1234), dict.fromkeys(names, (0.1, 0.2))
    return backtest_movies._table([AlgorithmResult("collaborative", means, intervals)], 10)


def run():
    outcomes = [night.ProcessExit("build_features", 12345.6, 10240.0, 0)] * 3
    return ("step", "seconds", "peak MiB", ""), night._table(outcomes)


def params():
    config = Settings(PROJECT / ".nightshift", PROJECT / "params.yaml")
    return ("key", "value", "meaning"), list(manage._keys(config, "fraud"))


def sql():
    head = ("date", "count()", "avg(score)", "max(amount_minor)", "updated_at")
    row = ("2018-07-10", "12345678", "0.012345678901234567", "-9876543210", "2018-07-10 02:03:04")
    return head, [row, ("2018-07-11", "NULL", "1.2e-05", "0", "2018-07-11 02:03:04")]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("table", [fraud, movies, run, params, sql])
def test_no_table_cuts_off_or_wraps_a_figure(table, width):
    columns, rows = table()
    out = printed((columns, rows), width)
    assert "…" not in out
    lines = [line.split("  ") for line in out.splitlines()]
    texts = {part.strip() for parts in lines for part in parts}
    figures = {str(cell) for row in rows for cell in row if FIGURE.fullmatch(str(cell))}
    assert figures and all(
        figure in texts or any(text.endswith(f" {figure}") for text in texts) for figure in figures
    )
    assert width is None or max(map(cell_len, out.splitlines())) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_a_backtest_prints_the_deviation_of_every_mean(width):
    out = printed(fraud(), width)
    assert out.count("0.870 ± 0.009") == 2 * len(METRICS)


def test_figures_that_do_not_fit_in_one_row_get_a_line_per_value():
    out = printed((("name", "first", "second"), [("a", "1" * 12, "2" * 12)]), 24)
    lines = [line.split() for line in out.splitlines()]
    assert lines == [["name", "a"], ["first", "1" * 12], ["second", "2" * 12]]


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(st.text(), INTEGERS, st.floats(), st.text()), min_size=1),
    width=st.integers(30, 100),
)
def test_no_figure_of_any_rows_is_wider_than_the_terminal_or_cut(rows, width):
    out = printed((("text", "whole", "number", "note"), rows), width)
    assert max(map(cell_len, out.splitlines())) <= width
    for row in rows:
        for value in row[1:3]:
            assert not FIGURE.fullmatch(str(value)) or str(value) in out


def test_the_report_of_leftovers_has_one_line_for_each():
    since = datetime(2018, 7, 10, tzinfo=UTC)
    left = [leftovers.Leftover("file", f"name-{'x' * 200}", "why", since, 123456789)] * 3
    _, head, *lines = leftovers.report("would remove", left, since + timedelta(days=1)).splitlines()
    assert head.split() == ["what", "name", "age", "bytes", "why"] and len(lines) == 3
    assert all("123,456,789" in line and line.rstrip() == line for line in lines)


def test_a_row_of_a_plain_table_is_one_line():
    assert text_table.plain(("a", "bb"), [("x y", 1), ("z", 22)]) == "a    bb\nx y  1\nz    22"


def test_a_pipe_in_a_cell_of_markdown_is_escaped_once():
    lines = list(markdown_table(("a", "n"), [("x|y", 1), (r"x\|y", 2)], ("n",)))
    assert lines == ["| a | n |", "| --- | ---: |", r"| x\|y | 1 |", r"| x\|y | 2 |"]
