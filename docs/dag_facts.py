"""What the DAGs say, as JSON; docs/generate.py runs it in a process with Airflow's environment."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.configuration import conf
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, BaseOperator, TriggerRule
from airflow.serialization.serialized_objects import DagSerialization


def main(target: Path) -> None:
    """Write the facts of every DAG to the file; an import error ends it."""
    bag = DagBag(conf.get("core", "dags_folder"))
    if bag.import_errors:
        sys.exit("\n".join(bag.import_errors.values()))
    target.write_text(
        json.dumps({name: _dag(bag.dags[name]) for name in sorted(bag.dags)}, default=str)
    )


def _dag(dag: DAG) -> dict[str, Any]:
    return {
        "doc": dag.doc_md or "",
        "schedule": DagSerialization.serialize_dag(dag)["timetable"]["__var"],
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "tags": sorted(dag.tags),
        "owner": dag.owner,
        "params": {name: dag.params.get_param(name).dump() for name in dag.params},
        "retries": dag.default_args["retries"],
        "retry_delay_s": _seconds(dag.default_args.get("retry_delay"))
        or conf.getint("core", "default_task_retry_delay"),
        "max_retry_delay_s": conf.getint("core", "max_task_retry_delay"),
        "backoff": dag.default_args.get("retry_exponential_backoff", 1.0),
        "tasks": [_task(task) for task in dag.task_dict.values()],
    }


def _task(task: BaseOperator) -> dict[str, Any]:
    return {
        "task": task.task_id,
        "group": task.task_group.label if task.task_group and not task.task_group.is_root else "",
        "upstream": sorted(task.upstream_task_ids),
        "trigger_rule": TriggerRule(task.trigger_rule).value,
        "pool": task.pool,
        "retries": task.retries,
        "timeout_s": _seconds(task.execution_timeout),
        "waits_s": getattr(
            task, "timeout", None
        ),  # of a sensor: how long it waits, over all its tries to look
        "doc": task.doc_md or "",
    }


def _seconds(span: timedelta | None) -> float | None:
    return span.total_seconds() if span else None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
