"""A step as a pod: the same command as in a process; its manifest is the result.

The pod has no XCom and no rights in the cluster. Its attempt is in its name, in a label and in its
manifest: the task succeeds if the manifest of that attempt exists, whatever happened to the pod. If
the worker of the task dies, the next try resumes watching the pod and never starts a second one
next to it (docs/decisions/0017-pods-are-taken-up-again.md).
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
from nightshift.steps import StepFailed, arguments, force_option, result_of, start

if TYPE_CHECKING:
    from airflow.sdk import Context

USER = 10001  # the user of the images
GPU = "nvidia.com/gpu"
ATTEMPT = "nightshift/attempt"
CONFIG = "/etc/nightshift"
# Where a pod writes, because its root is read-only, and where it reads params.yaml. All of it is
# deleted with the pod.
PLACES = {
    "HOME": "/tmp",
    "NIGHTSHIFT_HOME": "/tmp/nightshift",
    "MPLCONFIGDIR": "/tmp/matplotlib",
    "NIGHTSHIFT_PARAMS": f"{CONFIG}/params.yaml",
}
REFUSED = (400, 401, 403, 404, 422)  # answers to the creation of a pod
API_AWAY = (HTTPError, OSError, ApiException, KubernetesApiException)


class PodStepOperator(KubernetesPodOperator):
    """Run one step for the day of the run in a pod; skipped if the form asks for ingest only."""

    ui_color = "#e6f4ea"
    template_fields = ()  # no field is a template

    def __init__(
        self, *, pipeline: str, step: str, size: Size, cluster: KubernetesParams, **kwargs: Any
    ) -> None:
        # Kubernetes ends a pod that hangs, with a reason; Airflow ends the task only after that.
        limit: timedelta = kwargs.pop("execution_timeout")
        wait = timedelta(seconds=cluster.schedule_timeout_s + cluster.startup_timeout_s)
        limits = {
            "active_deadline_seconds": int(limit.total_seconds()),
            "execution_timeout": limit + wait,
        }
        super().__init__(**(settings(size, cluster) | limits | kwargs))
        self.pipeline, self.step, self.grace_s = pipeline, step, cluster.grace_s
        self._done = False
        self.labels = {
            "app.kubernetes.io/name": "nightshift",
            "nightshift/pipeline": pipeline,
            "nightshift/step": step,
        }

    def execute(self, context: Context) -> None:
        """Push the name of the manifest and the rows of each output.

        Raises StepFailed or PermanentFailure.
        """
        day = start(self.pipeline, self.step, context)
        self.name = f"{self.pipeline}-{self.step}-{day}-{uuid.uuid4().hex[:12]}"
        self.arguments = [
            *arguments(self.pipeline, self.step, day),
            *force_option(self.step, context),
        ]
        self.log.info("%s", " ".join(["nightshift", *self.arguments]))
        self._watch(context, lambda: super(PodStepOperator, self).execute(context))

    def trigger_reentry(self, context: Context, event: dict[str, object]) -> None:
        """Resume a deferred task: the pod has ended, is lost, or did not start in time."""
        metadata = k8s.V1ObjectMeta(name=event["name"], namespace=event["namespace"])
        self.pod_request_obj = k8s.V1Pod(metadata=metadata)
        self._watch(context, lambda: super(PodStepOperator, self).trigger_reentry(context, event))

    def build_pod_request_obj(
        self, context: Context | None = None, *, dry_run: bool = False
    ) -> k8s.V1Pod:
        """The pod, with its attempt (the end of its name) as a label and in its environment."""
        pod = super().build_pod_request_obj(context, dry_run=dry_run)
        attempt = _attempt(pod)
        pod.spec.containers[0].env.append(k8s.V1EnvVar("NIGHTSHIFT_ATTEMPT", attempt))
        pod.metadata.labels[ATTEMPT] = attempt
        if context:
            ti = context["ti"]
            pod.metadata.labels["nightshift/date"] = str(day_of(context))
            # Annotations, because a label cannot hold every name.
            names = {
                "nightshift/dag": ti.dag_id,
                "nightshift/task": ti.task_id,
                "nightshift/run": ti.run_id,
            }
            pod.metadata.annotations = names
        return pod

    def get_or_create_pod(self, pod_request_obj: k8s.V1Pod, context: Context) -> k8s.V1Pod:
        """The pod of an earlier try, if it runs or its end was not seen yet; else a new one.

        If a pod of an earlier try is being stopped, wait for that first: a new pod would train next
        to it.
        """
        selector = self._build_find_pod_label_selector(context, exclude_checked=False)
        deadline = time.monotonic() + self.grace_s + 60
        while ending := self._stopping(selector):
            if time.monotonic() > deadline:
                raise StepFailed(
                    f"the pod {ending} of an earlier try does not end\n"
                    f"  Next: kubectl delete pod -n {self.namespace} --force {ending}, "
                    "then clear the task"
                )
            if self._killed:
                raise StepFailed("the task was ended before its pod was created")
            self.log.info("waiting for %s of an earlier try to end", ending)
            time.sleep(1)
        self.pod = super().get_or_create_pod(pod_request_obj, context)
        if self._killed:  # in the meantime, when there was no pod to stop
            self.on_kill()
        return self.pod

    def cleanup(self, *args: object, **kwargs: object) -> None:
        """Do nothing: `_watch` decides about the pod, once it knows about the manifest."""

    def _watch(self, context: Context, wait: Callable[[], object]) -> None:
        """Push the result after `wait`, which returns when the pod has ended or is out of sight."""
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
            raise StepFailed(f"{run}: the task was ended, and its pod is being stopped")
        if not self._done:  # a pod that ended before the wait has been handled by `wait` itself
            self._end(context, run, error)

    def _end(self, context: Context, run: str, error: Exception | None) -> None:
        """Push the result, whatever happened to the pod; raise StepFailed if there is no result."""
        requested = self.pod or self.pod_request_obj
        if not requested or (
            self.pod is None and isinstance(error, ApiException) and error.status in REFUSED
        ):
            raise self._logged(ends.refused(run, error))
        pod = self._current(run, requested)
        if pod is not None and pod.status.phase == "Failed":
            self._read_pod_container_states(pod, reraise=False)
            self._read_pod_events(pod, reraise=False)
        result, reason = result_of(self.pipeline, self.step, day_of(context), _attempt(requested))
        if not result:
            raise self._logged(self._failure(run, requested, pod, reason, error))
        context["ti"].xcom_push(key="return_value", value=result)
        emit(self.pipeline, self.step, context, result)
        self._done = True
        if pod:
            self.patch_already_checked(pod, reraise=False)  # in case the deletion fails
            self._delete(pod)

    def _logged(self, failure: StepFailed) -> StepFailed:
        """Log the failure as a line, because Airflow folds exceptions away in the log."""
        self.log.error("%s", failure.text)
        return failure

    def _failure(
        self,
        run: str,
        requested: k8s.V1Pod,
        pod: k8s.V1Pod | None,
        reason: str,
        error: Exception | None,
    ) -> StepFailed:
        """The error for a missing manifest. Marks a pod that has ended, so no try resumes it."""
        if pod is None:
            return ends.gone(run, requested, error)
        if pod.status.phase in ends.OVER:
            self.patch_already_checked(pod, reraise=False)
            return ends.explained(run, pod, self._tail(pod), reason)
        if pod.status.phase != "Pending" or isinstance(error, API_AWAY):
            return ends.lost(run, pod, error)
        self._read_pod_events(pod, reraise=False)
        self._delete(pod)  # it did nothing, and might start next to the next one
        return ends.not_started(run, pod, error)

    @generic_api_retry  # type: ignore[untyped-decorator]
    def _stopping(self, selector: str) -> str:
        """The names of the pods of this task that are being deleted."""
        pods = self.client.list_namespaced_pod(self.namespace, label_selector=selector).items
        return " ".join(pod.metadata.name for pod in pods if pod.metadata.deletion_timestamp)

    def _current(self, run: str, pod: k8s.V1Pod) -> k8s.V1Pod | None:
        """The pod as it is now; None if it no longer exists."""
        try:
            return self.pod_manager.read_pod(pod)
        except Exception as error:
            if isinstance(error, ApiException) and error.status == HTTPStatus.NOT_FOUND:
                return None
            raise ends.lost(run, pod, error) from error

    def _tail(self, pod: k8s.V1Pod) -> str:
        """The end of its log, as far as the API still has it."""
        with suppress(Exception):
            log = self.client.read_namespaced_pod_log(
                pod.metadata.name,
                pod.metadata.namespace,
                container=self.base_container_name,
                tail_lines=50,
                _preload_content=False,  # otherwise the client returns str() of Python's bytes
            )
            return str(log.data.decode(errors="replace"))
        return ""

    def _delete(self, pod: k8s.V1Pod) -> None:
        """Delete the pod if possible; otherwise housekeeping deletes it."""
        try:
            self.pod_manager.delete_pod(pod)
        except Exception as error:
            self.log.warning("could not delete the pod: %s", error)


def settings(size: Size, params: KubernetesParams) -> dict[str, Any]:
    """The arguments of KubernetesPodOperator that differ from its defaults, with the reasons."""
    return {
        "namespace": params.namespace,
        "image": params.images[size.image],
        "cmds": ["python", "-m", "jobs"],
        # Requests equal limits: such a pod is evicted last, and cannot starve its neighbours.
        "container_resources": _resources(size),
        "node_selector": params.gpu_nodes if size.gpu else {},
        "tolerations": [k8s.V1Toleration(key=GPU, operator="Exists", effect="NoSchedule")]
        if size.gpu
        else [],
        "schedule_timeout_seconds": params.schedule_timeout_s,  # a GPU node may have to start first
        "startup_timeout_seconds": params.startup_timeout_s,  # a CUDA image is large
        "startup_check_interval_seconds": params.poll_s,
        "poll_interval": params.poll_s,
        "termination_grace_period": params.grace_s,  # for the checkpoint of the current segment
        "termination_message_policy": "FallbackToLogsOnError",  # the error outlives the log
        "log_events_on_failure": True,  # only events say: out of memory, evicted, unschedulable
        "log_pod_spec_on_failure": False,  # it prints the values of variables
        "container_name_log_prefix_enabled": False,  # there is one container
        "on_finish_action": "keep_pod",  # a failed pod is evidence; `_end` deletes the others
        "durable": True,  # if a worker dies, the hours of its pod are not lost
        "deferrable": params.deferrable,
        "do_xcom_push": False,  # needs a second container; the result is in the manifest
        "random_name_suffix": False,  # the attempt is the suffix
        "service_account_name": params.service_account,
        "automount_service_account_token": False,  # a step does not use the API
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
    amounts = {"cpu": size.cpu, "memory": size.memory} | ({GPU: str(size.gpu)} if size.gpu else {})
    return k8s.V1ResourceRequirements(requests=amounts, limits=dict(amounts))


def _attempt(pod: k8s.V1Pod) -> str:
    """The attempt, which is the end of the pod's name, so that it is known when the pod is gone."""
    return str(pod.metadata.name).rpartition("-")[2]
