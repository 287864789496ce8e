"""Pods without a task: it was marked, deleted or given up while its worker was dead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
from airflow.providers.cncf.kubernetes.utils.pod_manager import PodManager
from airflow.sdk import BaseOperator

from jobs.core.pods import KubernetesParams
from nightshift.forms import is_dry
from nightshift.pod_ends import OVER, ended_at

if TYPE_CHECKING:
    from airflow.sdk import Context
    from kubernetes import client as k8s

_SELECTOR = "app.kubernetes.io/name=nightshift"
# States after which no try resumes a pod.
_ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")


class OrphanPods(BaseOperator):
    """Delete pods of tasks that have ended, and pods that ended `keep_failed_days` ago. Logs the
    reasons.
    """

    def __init__(self, *, cluster: KubernetesParams, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cluster = cluster

    def execute(self, context: Context) -> dict[str, int]:
        """Returns how many pods exist, and how many were (or, in a dry run, would be) deleted."""
        client = KubernetesHook(conn_id=KubernetesHook.default_conn_name).core_v1_client
        pods = client.list_namespaced_pod(self.cluster.namespace, label_selector=_SELECTOR).items
        doomed = [(pod, reason) for pod in pods if (reason := self._reason(context, pod))]
        action = "would delete" if is_dry(context) else "deletes"
        for pod, reason in doomed:
            self.log.info("%s %s: %s", action, pod.metadata.name, reason)
            if not is_dry(context):
                PodManager(kube_client=client).delete_pod(pod)
        return {"pods": len(pods), "gone": len(doomed)}

    def _reason(self, context: Context, pod: k8s.V1Pod) -> str:
        """Why a pod is deleted; empty if it stays."""
        if pod.status.phase in OVER:
            age = datetime.now(UTC) - ended_at(pod)
            return (
                f"it ended {age.days} days ago"
                if age > timedelta(days=self.cluster.keep_failed_days)
                else ""
            )
        annotations = pod.metadata.annotations or {}
        if not (run := annotations.get("nightshift/run")):
            return ""
        dag, task = annotations["nightshift/dag"], annotations["nightshift/task"]
        states = context["ti"].get_task_states(dag_id=dag, run_ids=[run]).get(run, {})
        if not states:
            return f"the run {run} of {dag} no longer exists"
        state = states.get(task)
        return f"{dag}.{task} of {run} is {state}" if state in _ENDED else ""
