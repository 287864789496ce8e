"""A step as a pod: the same command line as of its process, and a result that counts only by its manifest.

The pod has no XCom and no rights in the cluster. Its attempt is in its name, a label of it, and goes into its manifest:
success is a manifest of that attempt, whatever became of the pod. A pod that goes on when its task's worker died is taken
up again by the next try of the task, never joined by a second one (docs/decisions/0017-pods-are-taken-up-again.md).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow.providers.cncf.kubernetes.kubernetes_helper_functions import (
    KubernetesApiException,
    generic_api_retry,
)
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk.exceptions import AirflowTaskTimeout
from kubernetes import client as k8s
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from jobs.core.pods import KubernetesParams, Size
from nightshift import pod_ends as ends
from nightshift.dates import day_of
from nightshift.events import emit
from nightshift.steps import StepFailed, arguments, begin, forced, left_by

if TYPE_CHECKING:
    from airflow.sdk import Context

USER = 10001  # of the images
GPU = "nvidia.com/gpu"
ATTEMPT = "nightshift/attempt"
CONFIG = "/etc/nightshift"
# Where a pod may write, its root being read-only, and all of which goes with the pod; and what it reads.
PLACES = {
    "HOME": "/tmp",
    "NIGHTSHIFT_HOME": "/tmp/nightshift",
    "MPLCONFIGDIR": "/tmp/matplotlib",
    "NIGHTSHIFT_PARAMS": f"{CONFIG}/params.yaml",
}
REFUSED = (400, 401, 403, 404, 422)  # answers to who asks for a pod
API_AWAY = (HTTPError, OSError, ApiException, KubernetesApiException)


class PodStepOperator(KubernetesPodOperator):
    """Run one step of a pipeline for the day of the run in a pod; skipped where the form asks for ingest alone."""

    ui_color = "#e6f4ea"
    template_fields = ()  # nothing comes from a template

    def __init__(
        self, *, pipeline: str, step: str, size: Size, known: KubernetesParams, **kwargs: Any
    ) -> None:
        # Kubernetes ends a pod that hangs, and says why; Airflow ends the task only after that.
        limit: timedelta = kwargs.pop("execution_timeout")
        wait = timedelta(seconds=known.schedule_timeout_s + known.startup_timeout_s)
        limits = {
            "active_deadline_seconds": int(limit.total_seconds()),
            "execution_timeout": limit + wait,
        }
        super().__init__(**(settings(size, known) | limits | kwargs))
        self.pipeline, self.step, self.grace_s = pipeline, step, known.grace_s
        self._over = False
        self.labels = {
            "app.kubernetes.io/name": "nightshift",
            "nightshift/pipeline": pipeline,
            "nightshift/step": step,
        }

    def execute(self, context: Context) -> None:
        """Pushes the name of the manifest and the rows of each output. Raises StepFailed or MendFirst."""
        day = begin(self.pipeline, self.step, context)
        self.name = f"{self.pipeline}-{self.step}-{day}-{uuid.uuid4().hex[:12]}"
        self.arguments = [*arguments(self.pipeline, self.step, day), *forced(self.step, context)]
        self.log.info("%s", " ".join(["nightshift", *self.arguments]))
        self._to_its_end(context, lambda: super(PodStepOperator, self).execute(context))

    def trigger_reentry(self, context: Context, event: dict[str, Any]) -> None:
        """Where a deferred task goes on: the pod is over, or lost, or did not start in time."""
        named = k8s.V1ObjectMeta(name=event["name"], namespace=event["namespace"])
        self.pod_request_obj = k8s.V1Pod(metadata=named)
        self._to_its_end(
            context, lambda: super(PodStepOperator, self).trigger_reentry(context, event)
        )

    def build_pod_request_obj(
        self, context: Context | None = None, *, dry_run: bool = False
    ) -> k8s.V1Pod:
        """The pod, with its attempt, which ends its name, as a label and in its environment."""
        pod = super().build_pod_request_obj(context, dry_run=dry_run)
        attempt = _attempt(pod)
        pod.spec.containers[0].env.append(k8s.V1EnvVar("NIGHTSHIFT_ATTEMPT", attempt))
        pod.metadata.labels[ATTEMPT] = attempt
        if context:
            ti = context["ti"]
            pod.metadata.labels["nightshift/date"] = str(day_of(context))
            # A label cannot hold every name.
            names = {
                "nightshift/dag": ti.dag_id,
                "nightshift/task": ti.task_id,
                "nightshift/run": ti.run_id,
            }
            pod.metadata.annotations = names
        return pod

    def get_or_create_pod(self, pod_request_obj: k8s.V1Pod, context: Context) -> k8s.V1Pod:
        """The pod of an earlier try that goes on, or whose end nobody has seen; else a new one.

        One that was told to end is waited for: a new one would train beside it.
        """
        selector = self._build_find_pod_label_selector(context, exclude_checked=False)
        deadline = time.monotonic() + self.grace_s + 60
        while ending := self._told_to_end(selector):
            if time.monotonic() > deadline:
                remedy = f"Next: kubectl delete pod -n {self.namespace} --force {ending}, then clear the task"
                raise StepFailed(f"{ending} of an earlier try does not end. {remedy}")
            if self._killed:
                raise StepFailed("the task was ended before it had a pod")
            self.log.info("waiting for %s of an earlier try to end", ending)
            time.sleep(1)
        self.pod = super().get_or_create_pod(pod_request_obj, context)
        if self._killed:  # meanwhile, when there was no pod yet to be told
            self.on_kill()
        return self.pod

    def cleanup(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: `_to_its_end` decides what becomes of the pod, once it knows about the manifest."""

    def _to_its_end(self, context: Context, wait: Callable[[], Any]) -> None:
        """Push the result after `wait`, which ends when the pod has, or when nothing can be seen of it."""
        run = f"{self.pipeline}/{self.step} {day_of(context)}"
        error = None
        try:
            wait()
        except StepFailed:
            raise
        except AirflowTaskTimeout:
            self.log.error("%s: %s", run, ends.TIMED_OUT)
            raise
        except Exception as caught:
            self.log.info("the wait for the pod ended: %s: %s", type(caught).__name__, caught)
            error = caught
        if self._killed:
            raise StepFailed(f"{run}: the task was ended, and its pod was told to end")
        if (
            not self._over
        ):  # else a pod that was over before it could be waited for: `wait` came by here
            self._end(context, run, error)

    def _end(self, context: Context, run: str, error: Exception | None) -> None:
        """The result where there is one, whatever became of the pod; else what happened."""
        asked = self.pod or self.pod_request_obj
        if not asked or (
            self.pod is None and isinstance(error, ApiException) and error.status in REFUSED
        ):
            raise self._said(ends.refused(run, error))
        pod = self._seen(run, asked)
        if pod is not None and pod.status.phase == "Failed":
            self._read_pod_container_states(pod, reraise=False)
            self._read_pod_events(pod, reraise=False)
        found, words = left_by(self.pipeline, self.step, day_of(context), _attempt(asked))
        if not found:
            raise self._said(self._failure(run, asked, pod, words, error))
        context["ti"].xcom_push(key="return_value", value=found)
        emit(self.pipeline, self.step, context, found)
        self._over = True
        if pod:
            self.patch_already_checked(pod, reraise=False)  # should it outlive the next line
            self._delete(pod)

    def _said(self, failed: StepFailed) -> StepFailed:
        """In the log as a line of its own: as an exception it is folded away there."""
        self.log.error("%s", failed.text)
        return failed

    def _failure(
        self, run: str, asked: k8s.V1Pod, pod: k8s.V1Pod | None, words: str, error: Exception | None
    ) -> StepFailed:
        """What happened, when there is no manifest; a pod that is over is not taken up again."""
        if pod is None:
            return ends.gone(run, asked, error)
        if pod.status.phase in ends.OVER:
            self.patch_already_checked(pod, reraise=False)
            return ends.explained(run, pod, self._tail(pod), words)
        if pod.status.phase != "Pending" or isinstance(error, API_AWAY):
            return ends.lost(run, pod, error)
        self._read_pod_events(pod, reraise=False)
        self._delete(pod)  # it did nothing, and might begin beside the next one
        return ends.not_started(run, pod, error)

    @generic_api_retry  # type: ignore[untyped-decorator]
    def _told_to_end(self, selector: str) -> str:
        """The names of the pods of this task that are being deleted."""
        found = self.client.list_namespaced_pod(self.namespace, label_selector=selector).items
        return " ".join(pod.metadata.name for pod in found if pod.metadata.deletion_timestamp)

    def _seen(self, run: str, pod: k8s.V1Pod) -> k8s.V1Pod | None:
        """The pod as it is now; None when it is gone."""
        try:
            return self.pod_manager.read_pod(pod)
        except Exception as error:
            if isinstance(error, ApiException) and error.status == HTTPStatus.NOT_FOUND:
                return None
            raise ends.lost(run, pod, error) from error

    def _tail(self, pod: k8s.V1Pod) -> str:
        """The end of its log, as far as the API still has it."""
        with suppress(Exception):
            found = self.client.read_namespaced_pod_log(
                pod.metadata.name,
                pod.metadata.namespace,
                container=self.base_container_name,
                tail_lines=50,
                _preload_content=False,  # else the client gives the text of Python's bytes
            )
            return str(found.data.decode(errors="replace"))
        return ""

    def _delete(self, pod: k8s.V1Pod) -> None:
        """Best effort: housekeeping removes what stays."""
        try:
            self.pod_manager.delete_pod(pod)
        except Exception as error:
            self.log.warning("a pod stays that should go: %s", error)


def settings(size: Size, params: KubernetesParams) -> dict[str, Any]:
    """The arguments of KubernetesPodOperator that are not its defaults, each with its reason."""
    return {
        "namespace": params.namespace,
        "image": params.images[size.image],
        "cmds": ["python", "-m", "jobs"],
        # Requests are limits: such a pod is the last to be evicted, and cannot starve its neighbours.
        "container_resources": _resources(size),
        "node_selector": params.gpu_nodes if size.gpu else {},
        "tolerations": [k8s.V1Toleration(key=GPU, operator="Exists", effect="NoSchedule")]
        if size.gpu
        else [],
        "schedule_timeout_seconds": params.schedule_timeout_s,  # a GPU node may have to be started first
        "startup_timeout_seconds": params.startup_timeout_s,  # a CUDA image is large
        "startup_check_interval_seconds": params.poll_s,
        "poll_interval": params.poll_s,
        "termination_grace_period": params.grace_s,  # for the checkpoint of the segment under way
        "termination_message_policy": "FallbackToLogsOnError",  # the error outlives the log
        "log_events_on_failure": True,  # out of memory, evicted, unschedulable: only events say so
        "log_pod_spec_on_failure": False,  # it prints the values of variables
        "container_name_log_prefix_enabled": False,  # there is one container
        "on_finish_action": "keep_pod",  # a failed pod is evidence; one that left a manifest is deleted here
        "durable": True,  # a worker that died does not cost the hours of its pod
        "deferrable": params.deferrable,
        "do_xcom_push": False,  # no container beside the step's: the result is in the manifest
        "random_name_suffix": False,  # the attempt is one
        "service_account_name": params.service_account,
        "automount_service_account_token": False,  # a step asks nothing of the cluster
        "security_context": k8s.V1PodSecurityContext(
            run_as_non_root=True,
            run_as_user=USER,
            run_as_group=USER,
            fs_group=USER,
            seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault"),
        ),
        "container_security_context": k8s.V1SecurityContext(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            privileged=False,
            capabilities=k8s.V1Capabilities(drop=["ALL"]),
        ),
        "env_vars": [k8s.V1EnvVar(name, value) for name, value in PLACES.items()],
        "env_from": [
            k8s.V1EnvFromSource(config_map_ref=k8s.V1ConfigMapEnvSource(name=params.endpoints)),
            k8s.V1EnvFromSource(secret_ref=k8s.V1SecretEnvSource(name=params.stores)),
        ],
        "volumes": [
            k8s.V1Volume(name="tmp", empty_dir=k8s.V1EmptyDirVolumeSource()),
            k8s.V1Volume(name="params", config_map=k8s.V1ConfigMapVolumeSource(name=params.params)),
        ],
        "volume_mounts": [
            k8s.V1VolumeMount(name="tmp", mount_path="/tmp"),
            k8s.V1VolumeMount(name="params", mount_path=CONFIG, read_only=True),
        ],
    }


def _resources(size: Size) -> k8s.V1ResourceRequirements:
    wanted = {"cpu": size.cpu, "memory": size.memory} | ({GPU: str(size.gpu)} if size.gpu else {})
    return k8s.V1ResourceRequirements(requests=wanted, limits=dict(wanted))


def _attempt(pod: k8s.V1Pod) -> str:
    """The attempt ends the name, so that the name of a pod that is gone still tells it."""
    return str(pod.metadata.name).rpartition("-")[2]
