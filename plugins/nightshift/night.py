"""The nightly DAG of a pipeline: its tasks and the edges between them."""

from __future__ import annotations

from airflow.sdk import DAG, Label, TaskGroup

from jobs.core.steps import Group
from nightshift.nights import day_before, nightly, watcher
from nightshift.promotion import promote_after
from nightshift.retrain import champion_task, predict_task, retrain_task
from nightshift.tasks import step_task


def night(dag_id: str, pipeline: str, doc: str) -> DAG:
    """The DAG that runs every night for `pipeline`; `doc` is its page in the UI."""
    with DAG(dag_id, doc_md=doc, **nightly(pipeline)) as dag:
        with group("ingest"):
            extract = step_task(pipeline, "extract")
            validate = step_task(pipeline, "validate")

        with group("features"):
            build_features = step_task(pipeline, "build_features")
            features_before = day_before(pipeline, "features_before", until="build_features")
            scores_before = day_before(pipeline, "scores_before", until="predict")

        with group("training"):
            snapshot = step_task(pipeline, "snapshot")
            check_drift = step_task(pipeline, "check_drift")
            retrain = retrain_task(pipeline)
            train = step_task(pipeline, "train")

        with group("gate"):
            gate = step_task(pipeline, "gate")
            decided = promote_after(gate, pipeline)
            champion = champion_task()

        with group("publish"):
            predict = predict_task(pipeline)
            publish = step_task(pipeline, "publish")
            verify = step_task(pipeline, "verify")

        extract >> validate >> build_features >> [features_before, scores_before]
        features_before >> snapshot
        [snapshot, scores_before] >> check_drift
        [snapshot, check_drift] >> retrain
        # Not `>> Label(...) >>`, which would put the label between the groups.
        retrain.set_downstream(train, Label("drift, decay, age or policy"))
        retrain.set_downstream(champion, Label("no retrain needed"))
        [train, scores_before] >> gate
        [scores_before, decided] >> champion
        [build_features, champion] >> predict >> publish >> verify
        dag.tasks >> watcher()
    return dag


def group(name: Group) -> TaskGroup:
    """A box in the graph. Its id has a suffix because a task may have the name of its group."""
    return TaskGroup(f"{name}_group", group_display_name=name, prefix_group_id=False)
