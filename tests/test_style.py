"""What the code looks like: typed signatures, one class per name, lines of at most 100 columns.

The linters hold most rules; these are the ones that they cannot. Import cycles: test_arrows.py.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.core.settings import PROJECT

CODE = ("jobs", "plugins", "dags")
EVERYTHING = (*CODE, "tests", "bench", "docs")
COLUMNS = 100
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef

# Signatures with `Any`, and the library without types (or the one that passes on anything).
ADAPTERS = {
    # The client of ClickHouse: of chDB, or of clickhouse_connect.
    "jobs/stores/clickhouse.py: ClickHouse.__init__",
    "jobs/stores/clickhouse.py: _open",
    "jobs/stores/reading.py: _checked",
    "jobs/stores/reading.py: _run",
    # DVC's remote.
    "jobs/stores/snapshots.py: _registry",
    "jobs/stores/snapshots.py: _sweep",
    # Parsed JSON: of Airflow's REST API, and of a command of `nightshift`.
    "jobs/local/scheduler.py: Scheduler.call",
    "plugins/nightshift/steps.py: call_json",
    # Airflow's operators and timetables take keywords for all of their base classes.
    "plugins/nightshift/approval.py: Approval.__init__",
    "plugins/nightshift/nights.py: DayBefore.__init__",
    "plugins/nightshift/orphans.py: OrphanPods.__init__",
    "plugins/nightshift/pods.py: PodStepOperator.__init__",
    "plugins/nightshift/pods.py: settings",
    "plugins/nightshift/steps.py: StepOperator.__init__",
    "plugins/nightshift/timetable.py: ByHand.__init__",
}


def files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (PROJECT / folder).rglob("*.py"))


def untyped(source: str) -> Iterator[str]:
    """The names of functions, classes, fields, variables and aliases that have `Any` as a type.

    Local variables of functions are left out.
    """
    yield from _untyped(ast.parse(source), "", local=False)


def _untyped(node: ast.AST, within: str, *, local: bool) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        name = f"{within}{_name(child)}"
        if any(map(_has_any, _types(child, local=local))):
            yield name
        if isinstance(child, FUNCTION | ast.ClassDef):
            yield from _untyped(child, f"{name}.", local=isinstance(child, FUNCTION))
        else:
            yield from _untyped(child, within, local=local)


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0])
    if isinstance(node, ast.AnnAssign):
        return ast.unparse(node.target)
    return getattr(node, "name", "") or ""


def _types(node: ast.AST, *, local: bool) -> Iterator[ast.expr | None]:
    """The expressions of a definition that are types, or that may be aliases of types."""
    if isinstance(node, FUNCTION):
        yield from (part.annotation for part in ast.walk(node.args) if isinstance(part, ast.arg))
        yield node.returns
    elif isinstance(node, ast.ClassDef):
        yield from (*node.bases, *(keyword.value for keyword in node.keywords))
    elif isinstance(node, ast.AnnAssign) and not local:
        yield node.annotation
        alias = "TypeAlias" in ast.unparse(node.annotation)
        yield node.value if alias else _unless_text(node.value)
    elif isinstance(node, ast.Assign) and not local:
        yield _unless_text(node.value)


def _unless_text(node: ast.expr | None) -> ast.expr | None:
    return None if isinstance(node, ast.Constant) else node


def _has_any(node: ast.AST | None) -> bool:
    return node is not None and any(map(_is_any, ast.walk(node)))


def _is_any(node: ast.AST) -> bool:
    """Whether it is `Any`, `typing.Any`, or the text of a type with one of them."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            return _has_any(ast.parse(node.value, mode="eval"))
        except (SyntaxError, ValueError):
            return False
    return isinstance(node, ast.Name | ast.Attribute) and "Any" in (
        getattr(node, "id", ""),
        getattr(node, "attr", ""),
    )


def test_signatures_name_their_types_outside_adapters_to_untyped_libraries():
    anything = {
        f"{path.relative_to(PROJECT)}: {name}"
        for path in files(*CODE)
        for name in untyped(path.read_text())
    }
    assert anything == ADAPTERS


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def f(x: Any): ...", ["f"]),
        ("def f(*x: dict[str, Any]): ...", ["f"]),
        ("async def f() -> list[Any]: ...", ["f"]),
        ("class C:\n    def f(self, x: Any): ...", ["C.f"]),
        ("class C:\n    x: Any", ["C.x"]),
        ("class C:\n    if x:\n        y: Any", ["C.y"]),
        ("class C:\n    Alias = dict[str, Any]", ["C.Alias"]),
        ("class C(dict[str, Any]): ...", ["C"]),
        ("class C(metaclass=M[Any]): ...", ["C"]),
        ("def f():\n    class C:\n        x: Any", ["f.C.x"]),
        ("def f():\n    def g(x: Any): ...", ["f.g"]),
        ("if x:\n    def f(x: Any): ...", ["f"]),
        ("def f(x: typing.Any): ...", ["f"]),
        ("def f() -> 'list[Any]': ...", ["f"]),
        ("def f(x: list['Any']): ...", ["f"]),
        ("x: Any = 1", ["x"]),
        ("Alias = dict[str, Any]", ["Alias"]),
        ("if x:\n    Alias = dict[str, Any]", ["Alias"]),
        ("Alias: TypeAlias = dict[str, Any]", ["Alias"]),
        ("Alias: typing.TypeAlias = 'dict[str, Any]'", ["Alias"]),
        ("def f(x: object):\n    y: Any = x", []),
        ("def f(x: object):\n    Alias = dict[str, Any]", []),
        ("def f(x: str = 'Any'): ...", []),
        ("x: str = 'Any'\ny = 'Any'", []),
        ("from typing import Any\nx = any([])", []),
    ],
)
def test_any_is_noticed_in_signatures(source, names):
    assert list(untyped(source)) == names


def test_every_class_has_a_name_of_its_own():
    places = defaultdict(list)
    for path in files(*CODE):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(path.relative_to(PROJECT)))
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def test_the_formatter_has_the_last_word():
    switch = "# fmt: " + "skip"
    assert [path for path in files(*EVERYTHING) if switch in path.read_text()] == []


def test_no_line_is_longer_than_100_columns():
    """Without what silences a linter; a word that alone is longer cannot be broken."""
    long = [
        f"{path.relative_to(PROJECT)}:{number}"
        for path in files(*EVERYTHING)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line.partition("  # noqa")[0]) > COLUMNS and " " in line.strip()
    ]
    assert long == []
