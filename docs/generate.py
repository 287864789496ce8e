"""Writes docs/{tables,params,dags}.md, docs/contracts/ and dvc.yaml from the code.

`make docs` runs it; tests/docs checks that the files are up to date.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pyarrow as pa
import yaml
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from jobs.cli.discovery import find_tables
from jobs.core import params, pods
from jobs.core.markdown_table import markdown_table
from jobs.core.pipelines import PIPELINES
from jobs.core.settings import PROJECT
from jobs.core.steps import NIGHTLY, STEPS
from jobs.core.tables import DATE, TIME, Column, Source, Table
from jobs.local import airflow
from jobs.local.state import State
from jobs.serving import schema
from jobs.source.schema import SQL_TYPE
from jobs.steps.records import RECORDS
from jobs.stores import clickhouse, postgres, postgres_versions
from jobs.stores.versions import Migration, migrations, needed
from jobs.usecases.contract import UseCase
from jobs.usecases.discovery import find_usecase
from jobs.usecases.fraud.columns import DERIVED, FEATURES

HERE = Path(__file__).parent
CONTRACTS = HERE / "contracts"
CONTRACT_NOTICE = "# Written by docs/generate.py (`make docs`) from the code. Do not edit.\n"
# What the view `<table>_current` shows.
REACH = {
    "event": "the current versions of all kept dates up to the served one",
    "entity": "the served version",
}
LOGICAL_TYPES = {
    pa.string(): "string",
    pa.int64(): "integer",
    pa.float64(): "number",
    pa.bool_(): "boolean",
    pa.date32(): "date",
    TIME: "timestamp",
}
NOTICE = "<!-- Written by docs/generate.py (`make docs`) from the code. Do not edit. -->"

# Meanings of the bookkeeping columns, by <table>.<column> or by name; migrations that made these
# tables are frozen, and hold few comments.
MEANINGS = {
    "store": "the store, `serving` or `source`",
    "number": "number of the migration; the largest is the schema version of the store",
    "nightshift_migrations.name": "file name of the migration, without its ending",
    "applied_at": "time at which it was applied",
    "pipeline": "the use case",
    "date": "day D, UTC",
    "version": "`{YYYYMMDD}-{12 hex of the content}`",
    "served.version": "the version that readers get",
    "previous_version": "the version that a rollback returns to",
    "served.reason": "what moved the pointer last",
    "at": "time of the change",
    "state": "loading, ready, current, superseded or withdrawn",
    "model_digest": "sha256 of the model that made the tables",
    "model_version": "version number of the model in MLflow",
    "row_counts": "rows by table",
    "digests": "content digest by table",
    "created_at": "time at which the load began",
    "id": "order of writing",
    "kind": "`promotion` or `rollback`",
    "from_digest": "the champion before",
    "to_digest": "the champion after; null when the challenger was rejected",
    "from_version": "version number of the champion before, in MLflow",
    "to_version": "version number of the champion after, in MLflow",
    "verdict": "`promoted`, `rejected` (by the gate), `declined` (by a person), `expired` (nobody "
    "answered) or `rollback`",
    "metrics": "metrics of the challenger on the holdout",
    "reasons": (
        "the checks of the gate and the comment of the approver, or the reason of a rollback"
    ),
    "approved_by": "`gate`, who answered (`nobody`: the request expired), or who rolled back",
}


def pages() -> dict[Path, str]:
    """The text of every generated file."""
    written = {HERE / f"{name}.md": _page(lines()) for name, lines in WRITERS.items()}
    return written | _contracts() | {PROJECT / "dvc.yaml": _dvc()}


def _page(lines: Iterable[str]) -> str:
    return "\n".join([NOTICE, *lines]) + "\n"


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield from markdown_table(head, rows)
    yield ""


def _wrapped(text: str) -> Iterator[str]:
    """A paragraph, at the width of the pages."""
    yield textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False) + "\n"


# --- tables.md


def _tables() -> Iterator[str]:
    yield (
        "# Tables\n\nWords are explained in the [glossary](glossary.md). Every "
        "published table has a"
    )
    yield "[data contract](contracts/).\n"
    yield "## The source: the operational PostgreSQL\n"
    for table in chain.from_iterable(map(find_tables, PIPELINES)):
        yield f"### `{table.name}`\n\nGrain: one row per `{table.key}`. {_day_of(table.time)}.\n"
        yield from _grid(
            ("column", "PostgreSQL", "null", "meaning"),
            (
                (
                    f"`{column.name}`",
                    SQL_TYPE[column.kind],
                    "" if column.required else "yes",
                    column.meaning,
                )
                for column in table.columns
            ),
        )
    for pipeline in PIPELINES:
        yield from _pipeline(find_usecase(pipeline))
    yield from _bookkeeping()


def _pipeline(usecase: UseCase) -> Iterator[str]:
    yield f"## {usecase.name}: the lake (parquet)\n"
    yield "One partition per day, as extract and validate write it.\n"
    for source in usecase.sources:
        yield from _lake(source)
    yield f"## {usecase.name}: ClickHouse\n"
    yield f"Database `{usecase.name}`. Every table is partitioned by `date` and ordered by its key."
    yield "Comments of tables and columns hold the grain and the meanings.\n"
    for table in (*usecase.aggregates, *RECORDS, *usecase.predictions):
        yield from _clickhouse(table)
    yield f"## {usecase.name}: what is served (PostgreSQL and Redis)\n"
    yield "Both stores hold the prediction tables; PostgreSQL is the truth. See"
    yield "[decision 0010](decisions/0010-versions-are-partitions.md).\n"
    for table in usecase.predictions:
        yield from _served(usecase.name, table)
    if usecase.name == "fraud":
        yield from _features()


def _lake(source: Source) -> Iterator[str]:
    key = ", ".join(source.key)
    yield f"### `{source.name}` in the lake\n\nGrain: one row per `{key}`. {_day_of(source.time)}."
    yield "After validate the key is unique and no required column is null; the rows that are not"
    yield f"good are in `quarantine-{source.name}`, with the column `reason`.\n"
    yield from _grid(
        ("column", "type", "required", "unit", "meaning"),
        (
            (
                f"`{column.name}`",
                str(column.type),
                "" if column.nullable else "yes",
                column.unit,
                column.meaning,
            )
            for column in source.columns
        ),
    )


def _day_of(time: str | None) -> str:
    return f"A day is selected by `{time}`" if time else "The extract of D reads the whole table"


def _clickhouse(table: Table) -> Iterator[str]:
    yield f"### `{table.name}`\n"
    yield from _wrapped(f"Grain: {table.grain}. Key: {_names(['date', *table.key])}.")
    yield from _grid(
        ("column", "ClickHouse", "unit", "meaning"),
        (
            (f"`{column.name}`", clickhouse.column_type(column), column.unit, column.meaning)
            for column in table.columns
        ),
    )


def _served(pipeline: str, table: Table) -> Iterator[str]:
    ids = ":".join(f"<{name}>" for name in table.lookup_key)
    document = (
        f"the rows by `{table.key[-1]}`, as one JSON array" if table.ranked else "the row as JSON"
    )
    yield f"### `{table.name}`, {table.kind} table\n"
    yield from _wrapped(f"Grain: {table.grain}, and version.")
    yield f"- `{table.name}_current`: {REACH[table.kind]}."
    yield f"- `{table.name}_history`: every kept version, with `model_digest`, `model_version` and"
    yield "  `state`."
    yield (
        f"- `{pipeline}.{table.name}`: the partitioned table under both; only Nightshift reads it."
    )
    yield f"- Redis: `ns:{pipeline}:<version>:{table.name}:{ids}` →"
    yield f"  {document}, without `version`."
    yield f"- [Data contract](contracts/{_contract_file(pipeline, table)}).\n"
    yield from _grid(
        ("column", "PostgreSQL", "null", "unit", "meaning"),
        (
            (
                f"`{column.name}`",
                postgres.column_type(column),
                "yes" if column.nullable else "",
                column.unit,
                column.meaning,
            )
            for column in schema.served_columns(table)
        ),
    )


def _features() -> Iterator[str]:
    yield "## fraud: the features, in `training_set`\n"
    yield "A feature is an expression of counts and sums over windows"
    yield "(`<entity>_<measure>_<days>`). A window is whole days, and the rows of D before t. A"
    yield "feature without an expression is such a count or sum, or a column of the transaction."
    yield "`training_set` also has the transaction's own columns, `split` (train, holdout) and"
    yield "`is_fraud`.\n"
    yield from _grid(
        ("feature", "expression"),
        ((f"`{name}`", f"`{DERIVED[name]}`" if name in DERIVED else "") for name in FEATURES),
    )


def _bookkeeping() -> Iterator[str]:
    """The tables that all pipelines share, from the migrations that make them."""
    yield "## Bookkeeping of what is served (PostgreSQL)\n"
    ddl = "\n".join(
        [
            postgres_versions.TABLE,
            *(each.file.read_text() for each in migrations("serving") if _is_sql(each)),
        ]
    )
    comments = dict(re.findall(r"COMMENT ON (?:TABLE|COLUMN) (\S+) IS '([^']*)'", ddl))
    for name, body in re.findall(r"CREATE TABLE IF NOT EXISTS (\w+) \((.*?)\n\);", ddl, re.DOTALL):
        yield f"### `{name}`\n\n{comments[name]}\n"
        columns = re.findall(
            r"^    ([a-z_]+) (text|date|jsonb|timestamptz|bigint|integer)(.*)$", body, re.MULTILINE
        )
        yield from _grid(
            ("column", "PostgreSQL", "null", "meaning"),
            (
                (
                    f"`{column}`",
                    kind,
                    "" if re.search("NOT NULL|PRIMARY KEY", rest) else "yes",
                    comments.get(f"{name}.{column}")
                    or MEANINGS.get(f"{name}.{column}")
                    or MEANINGS[column],
                )
                for column, kind, rest in columns
            ),
        )


def _is_sql(migration: Migration) -> bool:
    return migration.file.suffix == ".sql"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


# --- contracts


def _contracts() -> dict[Path, str]:
    """A data contract per published table, in the Open Data Contract Standard."""
    return {
        CONTRACTS / _contract_file(pipeline, table): CONTRACT_NOTICE
        + yaml.safe_dump(
            _contract(find_usecase(pipeline), table), sort_keys=False, width=80, allow_unicode=True
        )
        for pipeline in PIPELINES
        for table in find_usecase(pipeline).predictions
    }


def _contract_file(pipeline: str, table: Table) -> str:
    return f"{pipeline}.{table.name}.odcs.yaml"


def _contract(usecase: UseCase, table: Table) -> dict[str, Any]:
    # An entity table has one row per key in the view, an event table one per day and key.
    key = (DATE.name, *table.key) if table.kind == "event" else table.key
    return {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": f"urn:nightshift:{usecase.name}:{table.name}",
        "name": table.name,
        # Every migration of the serving database is compatible: it adds columns at the end.
        "version": f"1.{needed('serving')}.0",
        "status": "active",
        "domain": usecase.name,
        "description": {
            "purpose": f"{usecase.summary} {_sentence(table.grain)}",
            "usage": f"Read the view `{table.name}_current` in PostgreSQL: it shows "
            f"{REACH[table.kind]}. Redis answers lookups by {_names(table.lookup_key)}.",
            "limitations": " ".join(usecase.limits),
        },
        "schema": [
            {
                "name": table.name,
                "logicalType": "object",
                "physicalName": f"{table.name}_current",
                "physicalType": "view",
                "description": _sentence(table.grain),
                "dataGranularityDescription": table.grain,
                "properties": [_property(column, key) for column in schema.served_columns(table)],
                "quality": [
                    {
                        "type": "library",
                        "metric": "duplicateValues",
                        "mustBe": 0,
                        "arguments": {"properties": list(key)},
                        "description": "publish checks it before readers get a version",
                    }
                ],
            }
        ],
        "slaProperties": list(_service_level(usecase.name, table)),
    }


def _property(column: Column, key: Sequence[str]) -> dict[str, Any]:
    place = (
        {"primaryKey": True, "primaryKeyPosition": key.index(column.name) + 1}
        if column.name in key
        else {}
    )
    unit = {"customProperties": [{"property": "unit", "value": column.unit}]} if column.unit else {}
    return {
        "name": column.name,
        "logicalType": LOGICAL_TYPES[column.type],
        "physicalType": postgres.column_type(column),
        "required": not column.nullable,
        **place,
        "description": column.meaning,
        **unit,
    }


def _service_level(pipeline: str, table: Table) -> Iterator[dict[str, Any]]:
    file, element = PROJECT / "params.yaml", f"{table.name}.{DATE.name}"
    hour = params.alerts(file).published_by_hour
    yield {"property": "frequency", "value": 1, "unit": "d", "element": element}
    yield {
        "property": "timeOfAvailability",
        "value": f"{hour:02}:00+00:00",
        "element": element,
        "description": "hour by which the day before is served (`alerts.published_by_hour`)",
    }
    if table.kind == "event":
        section = params.section(file, pipeline, "publish", params.PublishParams)
        yield {
            "property": "retention",
            "value": section.keep_days,
            "unit": "d",
            "element": element,
            "description": "days that stay readable (`publish.keep_days`)",
        }


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


# --- params.md


def _params() -> Iterator[str]:
    yield "# Parameters\n"
    yield "`params.yaml` has one section per step, `<pipeline>.<step>`. A step reads its own"
    yield "section, and its manifest holds the digest of that section. A key that no step reads, or"
    yield "a value out of range, is an error that names it. `NIGHTSHIFT_PARAMS` names another"
    yield "file.\n"
    file = PROJECT / "params.yaml"
    for pipeline, day in params.load(file).get("reproduce", {}).items():
        yield (
            f"`reproduce.{pipeline}` is `{day}`: "
            "the day that `dvc repro` runs. Nothing else reads it.\n"
        )
    for pipeline in PIPELINES:
        given = params.load(file)[pipeline]
        first = params.first_date(file, pipeline)
        yield f"## {pipeline}\n"
        yield f"`{pipeline}.first_date` is `{first}`: the first day of the source. Earlier days"
        yield "do not count as missing.\n"
        sizes = _value(pods.resources(file, pipeline))
        yield (
            f"`{pipeline}.resources` is {sizes}: "
            "the size of each step's pod, with `NIGHTSHIFT_RUNNER=kubernetes`.\n"
        )
        for step, section in find_usecase(pipeline).params.items():
            yield f"### `{pipeline}.{step}`\n"
            yield from _section(section, given.get(step) or {})
    yield (
        "## alerts\n\nOf all pipelines: [where alerts go](deployment.md#alerts), "
        "and when the tables are late.\n"
    )
    yield from _section(params.AlertParams, params.load(file)["alerts"])
    yield "## kubernetes\n\nHow steps run as pods, with `NIGHTSHIFT_RUNNER=kubernetes`.\n"
    yield from _section(pods.KubernetesParams, params.load(file)[pods.KUBERNETES])
    yield "A size, one of `kubernetes.sizes`:\n"
    yield from _section(pods.Size, {})


def _section(section: type[params.Section], given: dict[str, Any]) -> Iterator[str]:
    if not section.model_fields:
        yield "No parameters.\n"
        return
    chosen = (
        section.model_construct(**given) if section is pods.Size else section.model_validate(given)
    )
    yield from _grid(
        ("key", "in params.yaml", "default", "allowed", "meaning"),
        (
            (
                f"`{name}`",
                _value(getattr(chosen, name)) if name in given else "",
                _value(field.default),
                _allowed(field),
                field.description or "",
            )
            for name, field in section.model_fields.items()
        ),
    )


def _value(value: Any) -> str:
    if value is PydanticUndefined:
        return ""
    if isinstance(value, dict):
        return ", ".join(f"`{key}: {_brief(each)}`" for key, each in value.items()) or "none"
    if isinstance(value, tuple):
        return ", ".join(f"`{each}`" for each in value) or "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _brief(value: Any) -> str:
    if isinstance(value, params.Section):
        return ", ".join(f"{each}" for each in value.model_dump().values())
    return str(value)


def _allowed(field: FieldInfo) -> str:
    """The type, and the bounds that pydantic holds it to."""
    kind = field.annotation
    if get_origin(kind) is Literal:
        return " or ".join(f"`{each}`" for each in get_args(kind))
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    bounds = [
        f"{sign} {getattr(rule, name)}"
        for rule in field.metadata
        for name, sign in signs.items()
        if getattr(rule, name, None) is not None
    ]
    name = {
        tuple[params.date, ...]: "list of dates",
        dict[str, float]: "metric: number",
        dict[str, str]: "name: text",
        dict[str, pods.Image]: "name: image",
        dict[str, pods.Size]: "name: size",
    }.get(kind)  # type: ignore[call-overload]
    return " ".join(
        [name or getattr(kind, "__name__", str(kind)), *([", ".join(bounds)] if bounds else [])]
    )


# --- dags.md


def _dags() -> Iterator[str]:
    yield (
        "# DAGs\n\nA task has the name of the step that it runs. What a step reads and writes is in"
    )
    yield "[architecture.md](architecture.md#step-by-step); what to do when it fails is in the"
    yield "[runbook](runbook.md).\n"
    for name, dag in _facts().items():
        _title, _, rest = dag["doc"].partition("\n\n")
        yield f"## {name}\n\n{_first(rest)}\n"
        yield from _grid(("", ""), _nightly(dag))
        yield "### Its form\n"
        yield from _grid(
            ("field", "allowed", "default", "meaning"),
            (
                (
                    f"`{key}`",
                    _field(param["schema"]),
                    "" if param["value"] is None else f"`{param['value']}`",
                    param["description"],
                )
                for key, param in dag["params"].items()
            ),
        )
        yield "### Its tasks\n"
        head = (
            "task",
            "group",
            "after",
            "trigger rule",
            "pool",
            "retries",
            "timeout",
            "what it does",
        )
        yield from _grid(head, map(_task, dag["tasks"]))
    yield from _steps()
    yield "## Pools\n\nMade when Airflow is first started, from plugins/nightshift/pools.json.\n"
    pools = json.loads(airflow.POOLS.read_text())
    yield from _grid(
        ("pool", "slots", "for"),
        ((f"`{name}`", str(pool["slots"]), pool["description"]) for name, pool in pools.items()),
    )


def _facts() -> dict[str, Any]:
    """What Airflow says about the DAGs.

    Another process imports Airflow, and never opens its database.
    """
    with tempfile.TemporaryDirectory(prefix="nightshift-") as folder:
        state, target = State(Path(folder)), Path(folder) / "dags.json"
        state.prepare()
        known = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRFLOW", "_AIRFLOW"))
        }
        nowhere = {"NIGHTSHIFT_AIRFLOW_DB": f"sqlite:///{folder}/none.db"}
        subprocess.run(
            [sys.executable, HERE / "dag_facts.py", target],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            check=True,
            env=known | airflow.environment(state) | nowhere,
        )
        facts: dict[str, Any] = json.loads(target.read_text())
        return facts


def _nightly(dag: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if plan := dag["schedule"]:
        days = {0: "the day it starts", -1: "the day before"}[plan["run_offset"]]
        yield "schedule", f"`{plan['expression']}` {plan['timezone']}"
        yield "partition key", f"{days}, as `{plan['key_format']}`"
        yield "nights slept through", "made up" if dag["catchup"] else "left alone (no catch-up)"
    else:
        yield "schedule", "none: by hand"
    yield "runs at once", str(dag["max_active_runs"])
    growing = f", each time {dag['backoff']:g} times as long, at most {dag['max_retry_delay_s']} s"
    yield "between tries", f"{dag['retry_delay_s']:g} s{growing if dag['backoff'] > 1 else ''}"
    yield "owner, tags", f"{dag['owner']}; {', '.join(dag['tags'])}"


def _field(schema: dict[str, Any]) -> str:
    return (
        " or ".join(f"`{each}`" for each in schema.get("enum", ()))
        or schema.get("format")
        or (f"`{schema['pattern']}`" if "pattern" in schema else str(schema["type"]))
    )


def _task(task: dict[str, Any]) -> tuple[str, ...]:
    after = "every other" if task["task"] == "watcher" else _names(task["upstream"])
    limit = _duration(task["waits_s"] or task["timeout_s"])
    return (
        f"`{task['task']}`",
        task["group"],
        after,
        f"`{task['trigger_rule']}`",
        f"`{task['pool']}`",
        str(task["retries"]),
        limit,
        _first(task["doc"]),
    )


def _duration(seconds: float) -> str:
    hours, minutes = divmod(int(seconds) // 60, 60)
    return " ".join([*([f"{hours} h"] if hours else []), *([f"{minutes} min"] if minutes else [])])


def _first(text: str) -> str:
    """The first paragraph, on one line."""
    return " ".join(text.partition("\n\n")[0].split())


def _steps() -> Iterator[str]:
    """The table of steps, as far as it is not among the tasks."""
    yield (
        "## Steps\n\nEvery step, in pipeline order, "
        "from [jobs/core/steps.py](../jobs/core/steps.py). A step of no"
    )
    yield "nightly DAG runs in a DAG of its own, by hand, or inside another step.\n"
    yield from _grid(
        ("step", "group", "nightly", "lock", "opens ClickHouse", "event"),
        (
            (
                f"`{name}`",
                row.group,
                "yes" if row.nightly else "",
                row.lock or "none",
                "yes" if row.pool == "clickhouse" else "",
                f"`{row.event}`" if row.event else "",
            )
            for name, row in STEPS.items()
        ),
    )


# --- dvc.yaml

DVC_NOTICE = """\
# Written by docs/generate.py (`make docs`) from jobs/core/steps.py. Do not edit.
# Runs the same commands as `nightshift run`, to reproduce one day: `dvc repro`, or
# `dvc repro train@fraud`. A stage is called <step>@<pipeline>. Its output is a receipt of what the
# step produced, without times. The day of a pipeline is `reproduce.<pipeline>` in params.yaml;
# ingest the days of its look-back window first.

"""


def _dvc() -> str:
    """One stage per step of the night."""
    stages = {
        step: {"foreach": "${reproduce}", "do": _stage(step, before)}
        for before, step in zip(("", *NIGHTLY), NIGHTLY, strict=False)
    }
    return DVC_NOTICE + yaml.safe_dump({"stages": stages}, sort_keys=False, width=1000)


def _stage(step: str, before: str) -> dict[str, Any]:
    # Reproducing a day reproduces its model, whatever retrain decides: train reads the snapshot
    # alone.
    after = "snapshot" if step == "train" else before
    values = [params.load(PROJECT / "params.yaml")[pipeline] for pipeline in PIPELINES]
    sections = [step, *STEPS[step].other_sections]
    return {
        "cmd": (
            f"python -m jobs {step} --pipeline ${{key}} --date ${{item}} --receipt {_receipt(step)}"
        ),
        "deps": [
            f"jobs/steps/{step}.py",
            "jobs/usecases/${key}",
            *(f"jobs/{path}" for path in STEPS[step].code),
            *([_receipt(after)] if after else []),
        ],
        "params": [
            "reproduce.${key}",
            *(f"${{key}}.{name}" for name in sections if all(name in each for each in values)),
        ],
        "outs": [{_receipt(step): {"cache": False}}],
    }


def _receipt(step: str) -> str:
    return f"build/receipts/${{key}}/{step}.json"


WRITERS = {"tables": _tables, "params": _params, "dags": _dags}

if __name__ == "__main__":
    written = pages()
    for path, text in written.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    for stale in set(CONTRACTS.iterdir()) - set(written):
        stale.unlink()
