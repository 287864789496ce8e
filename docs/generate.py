"""Writes docs/tables.md, docs/params.md, docs/dags.md and dvc.yaml from the code.

`make docs` runs it; tests/docs checks that the files are up to date.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pyarrow as pa
import yaml
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from jobs.core import params, pods
from jobs.core.pipelines import PIPELINES
from jobs.core.settings import PROJECT
from jobs.core.steps import NIGHTLY, STEPS
from jobs.core.tables import Source, Table
from jobs.local import airflow
from jobs.local.state import State
from jobs.source import schema as operational
from jobs.steps.records import RECORDS
from jobs.stores import clickhouse, postgres, postgres_versions
from jobs.stores.versions import Migration, migrations
from jobs.usecases.discovery import find_usecase
from jobs.usecases.fraud.columns import DERIVED, FEATURES

HERE = Path(__file__).parent
NOTICE = "<!-- Written by docs/generate.py (`make docs`) from the code. Do not edit. -->"

# What a column means, by its name, or by <table>.<name> where the name alone does not say it.
MEANINGS = {
    "date": "the day D (UTC)",
    "user_interactions.id": "the interaction",
    "user_id": "the user",
    "movie_id": "the movie",
    "interaction_type": "`rating`, `view` or `like`",
    "user_interactions.value": "the rating; null without one",
    "timestamp": "when it happened",
    "metadata": "of a view `watch_time_s`, in seconds",
    "watch_time_s": "seconds of a view; null where nobody says",
    "title": "its title, without the year",
    "year": "year of release, where known",
    "genres": "its genres, joined by `|`, where known",
    "genre": "a genre of the movies, `unknown` where none is known",
    "avg_rating": "mean rating; null without one",
    "total_interactions": "ratings, views and likes",
    "total_watch_time": "seconds of views",
    "watch_time": "seconds of views",
    "ratings": "how many of them are ratings",
    "interactions": "ratings, views and likes",
    "users": "by how many users",
    "algorithm": "`hybrid`, `collaborative`, `content` or `popular`",
    "rank": "from 1, the best",
    "recommendations.score": "what the algorithm ranks by; of one algorithm and user comparable, else not",
    "recommendations.reason": "why, in a few words",
    "favourite_genre": "the genre of most interactions; null where none is known",
    "transaction_id": "the transaction",
    "event_time": "when it happened",
    "customer_id": "the customer",
    "merchant_id": "the merchant",
    "amount": "in major units, as the operational system has it",
    "amount_minor": "in minor units (cents)",
    "currency": "code of the currency of the amount; null where the source does not name it",
    "transaction_scores.currency": "code of the currency of `amount_minor`; null where the source does not name it, and for a "
    "day before this column was added whose rows the lake no longer had",
    "store": "the store, `serving` or `source`",
    "number": "of the migration; the largest is the schema version of the store",
    "nightshift_migrations.name": "its file, without the ending",
    "applied_at": "when it was applied",
    "country": "code of the country",
    "device_type": "how it was paid: at a till, on a phone, on the web",
    "card_last_4": "last digits of the card",
    "is_fraud": "what was reported",
    "reported_at": "when the label became known",
    "reason": "why the row is not good",
    "transactions": "transactions of the day",
    "amount_sum": "sum of their amounts, minor units",
    "amount_sum_of_squares": "sum of the squares of their amounts",
    "amount_max": "largest amount, minor units; 0 without a transaction",
    "night_transactions": "transactions of the hours 0 to 6, UTC",
    "last_event_time": "time of the last one; null without a transaction",
    "reported_frauds": "frauds that were reported on this day, whenever they happened",
    "reported_fraud_sum": "sum of the amounts of those",
    "reported_fraud_sum_of_squares": "sum of the squares of the amounts of those",
    "score": "probability of fraud that the champion gives",
    "flagged": "whether the score reaches the model's threshold",
    "mean_score": "mean score of those transactions; null without one",
    "max_score": "largest score of those transactions; null without one",
    "days_since_last": "whole days from the last transaction to D",
    "customer_risk.transactions": "transactions scored in the last `predict.score_days` days",
    "merchant_risk.transactions": "transactions scored in the last `predict.score_days` days",
    "customer_risk.flagged": "of those, how many were flagged",
    "merchant_risk.flagged": "of those, how many were flagged",
    "gate_checks.name": "the check: `floor.<metric>`, `ceiling.<metric>`, `margin.<metric>`, `low.<metric>`, `slice.<name>`, "
    "`null_growth`, `skew`, `size`, `latency`, `rolled_back`, `first_run` or `champion_unfit`",
    "drift_metrics.name": "the feature; of other kinds what was checked",
    "scope": "`day`, or `window`: the days up to D that params name",
    "drift_metrics.kind": "`data`, `feature`, `prediction`, `label` or `target` (the champion's own performance)",
    "method": "how far apart two samples are: an effect size, whose meaning does not change with the number of rows",
    "drift_metrics.severity": "`fail` is drift, a reason to retrain; `warn` is only reported",
    "rows": "rows that were compared",
    "reference_rows": "with how many of the champion's reference",
    "policy": "`daily`, `on_drift` or `weekly`",
    "decision": "`train` or `keep`",
    "retrain_decisions.reasons": "why, joined by `; `",
    "champion_age_days": "days since it was promoted; null without one",
    "measured_ms": "of `latency`: milliseconds for 1,000 examples; no part of the digest, for it differs with every run",
    "mode": "`enforce`, or `warn`: what failed did not reject",
    "passed": "whether it passed",
    "value": "what was measured",
    "threshold": "what it was held against",
    "severity": "`fail` rejects the challenger, `warn` only says so",
    "message": "what it means",
    "verdict": "`promoted` or `rejected`",
    "promotions.verdict": "`promoted`, `rejected` (by the gate), `declined` (by a person), `expired` (nobody answered)"
    " or `rollback`",
    "challenger": "digest of the model that was judged",
    "champion": "digest of the model it met; null on the first run",
    "drift_metrics.champion": "digest of the model whose reference it was held against; null without one",
    "retrain_decisions.champion": "digest of the champion as of the day before; null without one",
    "pipeline": "the use case",
    "version": "`{YYYYMMDD}-{12 hex of the content}`",
    "served.version": "the version that readers get",
    "previous_version": "where a rollback goes",
    "served.reason": "what moved the pointer last",
    "at": "when that was",
    "state": "loading, ready, current, superseded or withdrawn",
    "model_digest": "sha256 of the model that made the tables",
    "model_version": "its number in MLflow",
    "row_counts": "rows by table",
    "digests": "content digest by table",
    "created_at": "when the load began",
    "id": "order of writing",
    "kind": "`promotion` or `rollback`",
    "from_digest": "the champion before",
    "to_digest": "the champion after; null when the challenger was rejected",
    "from_version": "its number in MLflow",
    "to_version": "its number in MLflow",
    "metrics": "of the challenger, on the holdout",
    "reasons": "the gate's checks and what who approved said, or why somebody rolled back",
    "approved_by": "`gate`, who answered (`nobody`: the request expired), or who rolled back",
}


def pages() -> dict[Path, str]:
    """The text of every generated file."""
    written = {HERE / f"{name}.md": _page(lines()) for name, lines in WRITERS.items()}
    return written | {PROJECT / "dvc.yaml": _dvc()}


def _page(lines: Iterable[str]) -> str:
    return "\n".join([NOTICE, *lines]) + "\n"


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |"
    yield ""


def _meaning(table: str, column: str) -> str:
    return MEANINGS.get(f"{table}.{column}") or MEANINGS[column]


# --- tables.md


def _tables() -> Iterator[str]:
    yield "# Tables\n\nWords are explained in the [glossary](glossary.md).\n"
    yield "## The source: the operational PostgreSQL\n"
    for table in operational.TABLES:
        yield f"### `{table.name}`\n\nGrain: one row a `{table.key}`. {_day_of(table.time)}.\n"
        yield from _grid(
            ("column", "PostgreSQL", "null", "meaning"),
            (
                (
                    f"`{c.name}`",
                    operational.SQL_TYPE[c.kind],
                    "" if c.required else "yes",
                    _meaning(table.name, c.name),
                )
                for c in table.columns
            ),
        )
    for pipeline in PIPELINES:
        yield from _pipeline(pipeline)
    yield from _bookkeeping()


def _pipeline(pipeline: str) -> Iterator[str]:
    yield f"## {pipeline}: the lake (parquet)\n\nOne partition a day, as extract and validate write it.\n"
    for source in find_usecase(pipeline).sources:
        yield from _lake(source)
    yield f"## {pipeline}: ClickHouse\n"
    yield f"Database `{pipeline}`; every table is partitioned by `date`, ordered by its key.\n"
    usecase = find_usecase(pipeline)
    for table in (*usecase.aggregates, *RECORDS, *usecase.predictions):
        yield from _clickhouse(table)
    yield f"## {pipeline}: what is served (PostgreSQL and Redis)\n"
    yield "Both stores hold the prediction tables; PostgreSQL is the truth. See"
    yield "[decision 0010](decisions/0010-versions-are-partitions.md).\n"
    for table in find_usecase(pipeline).predictions:
        yield from _served(pipeline, table)
    if pipeline == "fraud":
        yield from _features()


def _lake(source: Source) -> Iterator[str]:
    key = ", ".join(source.key)
    yield f"### `{source.name}` in the lake\n\nGrain: one row a `{key}`. {_day_of(source.time)}. After validate the"
    yield "key is unique and no required column is null; the rows that are not good are in"
    yield f"`quarantine-{source.name}`, with the column `reason`.\n"
    yield from _grid(
        ("column", "type", "required", "meaning"),
        (
            (
                f"`{f.name}`",
                str(f.type),
                "yes" if f.name in source.required else "",
                _meaning(source.name, f.name),
            )
            for f in source.schema
        ),
    )


def _day_of(time: str | None) -> str:
    return (
        f"A day is selected by `{time}`"
        if time
        else "It is read whole: what there is when D is extracted"
    )


def _clickhouse(table: Table) -> Iterator[str]:
    yield f"### `{table.name}`\n\nGrain: {table.grain}. Key: {_names(['date', *table.key])}.\n"
    yield from _grid(
        ("column", "ClickHouse", "meaning"),
        ((f"`{f.name}`", clickhouse._type(f), _meaning(table.name, f.name)) for f in table.schema),
    )


def _served(pipeline: str, table: Table) -> Iterator[str]:
    reach = {
        "event": "the current versions of all kept dates up to the served one",
        "entity": "the served version",
    }[table.kind]
    ids = ":".join(f"<{name}>" for name in table.lookup_key)
    document = (
        f"the rows by `{table.key[-1]}`, as one JSON array" if table.ranked else "the row as JSON"
    )
    yield f"### `{table.name}`, {table.kind} table\n\nGrain: {table.grain}, and version.\n"
    yield f"- `{table.name}_current`: {reach}."
    yield f"- `{table.name}_history`: every kept version, with `model_digest`, `model_version` and `state`."
    yield f"- `{pipeline}.{table.name}`: the partitioned table under both; nothing but Nightshift reads it."
    yield f"- Redis: `ns:{pipeline}:<version>:{table.name}:{ids}` → {document}, without `version`.\n"
    columns = [pa.field("version", pa.string(), nullable=False), *table.schema]
    yield from _grid(
        ("column", "PostgreSQL", "null", "meaning"),
        (
            (
                f"`{f.name}`",
                postgres.column_type(f),
                "yes" if f.nullable else "",
                _meaning(table.name, f.name),
            )
            for f in columns
        ),
    )


def _features() -> Iterator[str]:
    yield "## fraud: the features, in `training_set`\n"
    yield "A column is made of counts and sums over windows (`<entity>_<measure>_<days>`: whole days, and the rows"
    yield "of D before t) by the expression beside it; without one it is such a count or sum, or a column of the"
    yield "transaction. `training_set` also has the transaction's own columns, `split` (train, holdout) and `is_fraud`.\n"
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
                    comments.get(f"{name}.{column}") or _meaning(name, column),
                )
                for column, kind, rest in columns
            ),
        )


def _is_sql(migration: Migration) -> bool:
    return migration.file.suffix == ".sql"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


# --- params.md


def _params() -> Iterator[str]:
    yield "# Parameters\n\n`params.yaml` has one section a step, `<pipeline>.<step>`. A step reads its own section, whose"
    yield "digest is in its manifest. A key that no step reads, or a value out of range, is an error that names it."
    yield "`NIGHTSHIFT_PARAMS` names another file.\n"
    file = PROJECT / "params.yaml"
    for pipeline, day in params.load(file).get("reproduce", {}).items():
        yield f"`reproduce.{pipeline}` is `{day}`: the day that `dvc repro` runs. Nothing else reads it.\n"
    for pipeline in PIPELINES:
        given = params.load(file)[pipeline]
        first = params.first_date(file, pipeline)
        yield f"## {pipeline}\n\n`{pipeline}.first_date` is `{first}`: the first day that the source has; days before it"
        yield "are not missing.\n"
        sizes = _value(pods.resources(file, pipeline))
        yield f"`{pipeline}.resources` is {sizes}: the size of each step's pod, with `NIGHTSHIFT_RUNNER=kubernetes`.\n"
        for step, section in find_usecase(pipeline).params.items():
            yield f"### `{pipeline}.{step}`\n"
            yield from _section(section, given.get(step) or {})
    yield "## alerts\n\nOf all pipelines: [where alerts go](deployment.md#alerts), and when the tables are late.\n"
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
    yield "# DAGs\n\nA task is called like the step that it runs; what each step reads and writes is in"
    yield "[architecture.md](architecture.md#step-by-step), what to do when one fails in the [runbook](runbook.md).\n"
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
    """What Airflow says of the DAGs; it is imported in another process, and its database is never opened."""
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
    yield "## Steps\n\nEvery step, in pipeline order, from [jobs/core/steps.py](../jobs/core/steps.py). A step of no"
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
# Runs the same commands as `nightshift run`, to reproduce one day: `dvc repro`, or `dvc repro train@fraud`.
# A stage is called <step>@<pipeline>. Its output is a receipt of what the step produced, without times.
# The day of a pipeline is `reproduce.<pipeline>` in params.yaml; ingest the days of its look-back window first.

"""


def _dvc() -> str:
    """One stage per step of the night."""
    stages = {
        step: {"foreach": "${reproduce}", "do": _stage(step, before)}
        for before, step in zip(("", *NIGHTLY), NIGHTLY, strict=False)
    }
    return DVC_NOTICE + yaml.safe_dump({"stages": stages}, sort_keys=False, width=1000)


def _stage(step: str, before: str) -> dict[str, Any]:
    # Reproducing a day reproduces its model, whatever retrain decides: train reads the snapshot alone.
    after = "snapshot" if step == "train" else before
    values = [params.load(PROJECT / "params.yaml")[pipeline] for pipeline in PIPELINES]
    sections = [step, *STEPS[step].other_sections]
    return {
        "cmd": f"python -m jobs {step} --pipeline ${{key}} --date ${{item}} --receipt {_receipt(step)}",
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
    for path, text in pages().items():
        path.write_text(text)
