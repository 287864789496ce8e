"""Pods that nobody waits for any more: of tasks that were marked, deleted or given up while their worker was dead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
from airflow.providers.cncf.kubernetes.utils.pod_manager import PodManager
from airflow.sdk import BaseOperator

from jobs.core.pods import KubernetesParams
from nightshift.housekeeping import is_dry
from nightshift.pod_ends import OVER, ended_at

if TYPE_CHECKING:
    from airflow.sdk import Context
    from kubernetes import client as k8s

_SELECTOR = "app.kubernetes.io/name=nightshift"
# States in which no try will take a pod up.
_NO_MORE = ("success", "failed", "skipped", "upstream_failed", "removed")


class OrphanPods(BaseOperator):
    """Delete the pods of tasks that are over, and pods that have been over for `keep_failed_days`; say which and why."""

    def __init__(self, *, known: KubernetesParams, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.known = known

    def execute(self, context: Context) -> dict[str, int]:
        """How many pods there were, and how many of them went (or would have gone)."""
        client = KubernetesHook(conn_id=KubernetesHook.default_conn_name).core_v1_client
        pods = client.list_namespaced_pod(self.known.namespace, label_selector=_SELECTOR).items
        gone = [(pod, why) for pod in pods if (why := self._why(context, pod))]
        for pod, why in gone:
            self.log.info(
                "%s %s: %s",
                "would delete" if is_dry(context) else "deletes",
                pod.metadata.name,
                why,
            )
            if not is_dry(context):
                PodManager(kube_client=client).delete_pod(pod)
        return {"pods": len(pods), "gone": len(gone)}

    def _why(self, context: Context, pod: k8s.V1Pod) -> str:
        """Why a pod goes; nothing when it stays."""
        if pod.status.phase in OVER:
            age = datetime.now(UTC) - ended_at(pod)
            return (
                f"over for {age.days} days"
                if age > timedelta(days=self.known.keep_failed_days)
                else ""
            )
        told = pod.metadata.annotations or {}
        if not (run := told.get("nightshift/run")):
            return ""
        dag, task = told["nightshift/dag"], told["nightshift/task"]
        states = context["ti"].get_task_states(dag_id=dag, run_ids=[run]).get(run, {})
        if not states:
            return f"the run {run} of {dag} is gone"
        state = states.get(task)
        return f"{dag}.{task} of {run} is {state}" if state in _NO_MORE else ""
