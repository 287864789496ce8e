"""The branch of the night: `retrain` decides whether it trains, and `champion` joins both paths."""

from __future__ import annotations

from datetime import timedelta
from inspect import getdoc
from typing import TYPE_CHECKING

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import BaseOperator, BranchMixIn, TriggerRule
from airflow.sdk.bases.xcom import BaseXCom

from nightshift.steps import StepOperator
from nightshift.tasks import step_task
from nightshift.triage import runbook

if TYPE_CHECKING:
    from airflow.sdk import Context

    from nightshift.events import StepResult

TRAIN, CHAMPION = "train", "champion"


class RetrainOperator(StepOperator, BranchMixIn):
    """Run retrain, then continue with `train` or skip it, as the step decided."""

    inherits_from_skipmixin = True  # so that a cleared downstream task is skipped again

    def execute(self, context: Context) -> StepResult:
        done = super().execute(context)
        # Skipping tasks raises an exception, so Airflow would not push the return value.
        context["ti"].xcom_push(key=BaseXCom.XCOM_RETURN_KEY, value=done)
        self.do_branch(context, TRAIN if done["decision"] == "train" else CHAMPION)
        return done


class Champion(EmptyOperator):
    """The model that scores the day: this night's challenger if promoted, else the previous
    champion.

    Green when the challenger has been judged, or when no retrain was needed. If an earlier task
    failed, it is upstream_failed, and the previous champion scores the day. It does not wait for a
    person's approval.
    """


def retrain_task(pipeline: str) -> BaseOperator:
    """Runs when check_drift has ended in any state, if snapshot succeeded; without a drift result
    it decides to train.
    """
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
    """Runs when `champion` has ended in any state, if build_features succeeded, so that a failed
    training does not stop the day's tables.
    """
    return step_task(pipeline, "predict", trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
