"""What is printed: whole in a pipe, fitted to a terminal, and never an instruction to either."""

from __future__ import annotations

import ast
import io
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from jobs.cli import show
from jobs.core import text_table
from jobs.core.settings import PROJECT

BUSY = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # a busy machine is no failure
HOSTILE = [
    "[/foo]",
    "[red]x",
    ":bomb:",
    "\x1b[2J",
    "a\rb",
    "\x9b31m",
    "\u202egnp.exe",
    "x" * 500,
    "[link=http://x]y[/]",
]
TEXT = st.one_of(st.sampled_from(HOSTILE), st.text())


def printed(width, act):
    stream = io.StringIO()
    act(show.Screen(file=stream, width=width))
    return stream.getvalue()


def harmless(text):
    return not [
        each for each in text if unicodedata.category(each) in ("Cc", "Cs") and each not in "\n"
    ]


@BUSY
@given(st.lists(st.tuples(TEXT, TEXT), max_size=5))
def test_in_a_pipe_every_row_is_one_whole_line(rows):
    lines = (
        printed(None, lambda screen: screen.table(("a", "b"), rows)).removesuffix("\n").split("\n")
    )
    assert len(lines) == len(rows) + 1
    for row, line in zip(rows, lines[1:], strict=True):
        assert harmless(line) and all(show.printable(cell) in line for cell in row)


@pytest.mark.parametrize("width", [20, 60, 100])
@BUSY
@given(cell=TEXT)
def test_on_a_terminal_nothing_is_wider_than_it_and_nothing_is_lost(width, cell):
    out = printed(width, lambda screen: screen.table(("a",), [(cell,)]))
    lines = out.removesuffix("\n").split("\n")[1:]
    assert harmless(out) and max(map(cell_len, lines)) <= width
    whole = "".join("".join(lines).split())
    assert whole == "".join(show.printable(cell).split())


@BUSY
@given(TEXT)
def test_a_line_is_spelled_out_whatever_is_in_it(text):
    assert (
        printed(None, lambda screen: screen.say(text))
        == show.printable(text.expandtabs(), keep="\n") + "\n"
    )


def test_only_two_modules_print_tables_and_markup():
    """Elsewhere a Console of Rich would read the markup in data again."""
    modules = {Path(show.__file__), Path(text_table.__file__)}
    for path in (PROJECT / "jobs").rglob("*.py"):
        names = {
            f"{node.module}.{name.name}"
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom)
            for name in node.names
        }
        makes = names & {"rich.console.Console", "rich.table.Table", "rich.print"}
        assert not makes or path in modules, f"{path} prints by {makes}, not by Screen"
