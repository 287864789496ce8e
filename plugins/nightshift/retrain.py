"""Whether the night trains, as a branch of its DAG: `retrain` decides, `champion` is where its two ways meet again."""

from __future__ import annotations

from datetime import timedelta
from inspect import getdoc
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import BaseOperator, BranchMixIn, TriggerRule
from airflow.sdk.bases.xcom import BaseXCom

from nightshift.steps import StepOperator, step_task
from nightshift.triage import runbook

if TYPE_CHECKING:
    from airflow.sdk import Context

TRAIN, CHAMPION = "train", "champion"


class RetrainOperator(StepOperator, BranchMixIn):
    """Run retrain, then go on with `train`, or pass it by, as the step decided."""

    inherits_from_skipmixin = (
        True  # so that a cleared task downstream asks again whether it was passed by
    )

    def execute(self, context: Context) -> dict[str, Any]:
        done = super().execute(context)
        # Passing tasks by ends this one before Airflow pushes what it returns.
        context["ti"].xcom_push(key=BaseXCom.XCOM_RETURN_KEY, value=done)
        self.do_branch(context, TRAIN if done["decision"] == "train" else CHAMPION)
        return done


class Champion(EmptyOperator):
    """The model that scores the day: the challenger of this night if it was promoted, else the champion there was.

    Green once the challenger was judged, or where nothing asked for one; upstream_failed where something before it failed:
    then the champion there was scores the day. It waits for no person's approval.
    """


def retrain_task(pipeline: str) -> BaseOperator:
    """Runs once check_drift is over, however it ended, if snapshot succeeded: without a word on drift it trains."""
    return step_task(
        pipeline, "retrain", RetrainOperator, trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS
    )


def champion_task() -> Champion:
    return Champion(
        task_id=CHAMPION,
        trigger_rule=TriggerRule.NONE_FAILED,
        execution_timeout=timedelta(minutes=5),
        doc_md=f"{getdoc(Champion)}\n\n{runbook(CHAMPION)}",
    )


def predict_task(pipeline: str) -> BaseOperator:
    """Runs once `champion` is over, however it ended, if build_features succeeded: a failed training costs no tables."""
    return step_task(pipeline, "predict", trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
