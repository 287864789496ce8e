"""Pods that nobody waits for any more: of tasks that were marked, deleted or given up while their worker was dead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
from airflow.sdk import BaseOperator
from kubernetes.client.exceptions import ApiException

from jobs.core.pods import KubernetesParams
from nightshift_housekeeping import is_dry
from nightshift_pod_ends import OVER, ended_at

if TYPE_CHECKING:
    from airflow.sdk import Context

    from kubernetes import client as k8s

_SELECTOR = "app.kubernetes.io/name=nightshift"
_NO_MORE = (
    "success",
    "failed",
    "skipped",
    "upstream_failed",
    "removed",
)  # states in which no try will take a pod up


class OrphanPods(BaseOperator):
    """Delete the pods of tasks that are over, and pods that have been over for `keep_failed_days`; say which and why."""

    def __init__(self, *, known: KubernetesParams, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.known = known

    def execute(self, context: Context) -> dict[str, int]:
        """How many pods there were, and how many of them went (or would have gone)."""
        client = KubernetesHook(conn_id=KubernetesHook.default_conn_name).core_v1_client
        pods = client.list_namespaced_pod(self.known.namespace, label_selector=_SELECTOR).items
        gone = [(pod.metadata.name, why) for pod in pods if (why := self._why(context, pod))]
        for name, why in gone:
            self.log.info("%s %s: %s", "would delete" if is_dry(context) else "deletes", name, why)
            if not is_dry(context):
                self._delete(client, name)
        return {"pods": len(pods), "gone": len(gone)}

    def _delete(self, client: k8s.CoreV1Api, name: str) -> None:
        try:
            client.delete_namespaced_pod(name, self.known.namespace)
        except ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:  # it went by itself
                raise

    def _why(self, context: Context, pod: k8s.V1Pod) -> str:
        """Why a pod goes; nothing when it stays."""
        if pod.status.phase in OVER:
            age = datetime.now(UTC) - ended_at(pod)
            return f"over for {age.days} days" if age > timedelta(days=self.known.keep_failed_days) else ""
        told = pod.metadata.annotations or {}
        if not (run := told.get("nightshift/run")):
            return ""
        dag, task = told["nightshift/dag"], told["nightshift/task"]
        states = context["ti"].get_task_states(dag_id=dag, run_ids=[run]).get(run, {})
        if not states:
            return f"the run {run} of {dag} is gone"
        state = states.get(task)
        return f"{dag}.{task} of {run} is {state}" if state in _NO_MORE else ""
