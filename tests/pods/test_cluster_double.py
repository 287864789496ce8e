"""The double of the Kubernetes API answers the official clients as an API server does."""

import asyncio
import json
import math
import signal
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import kubernetes_asyncio
import psutil
import pytest
from kubernetes import client, config, watch
from urllib3.exceptions import HTTPError

from cluster_double import Cluster

NAMESPACE = "nightshift-jobs"
SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
HANDLER = (
    "import signal, sys, time; "
    "signal.signal(signal.SIGTERM, lambda *_: (print('stopping', flush=True), sys.exit(7)))"
)


WAIT = "until [ -e go ]; do sleep 0.02; done"


@pytest.fixture
def go(tmp_path):
    """Lets a script go on that WAITs."""
    return (tmp_path / "go").touch


@pytest.fixture
def cluster(tmp_path):
    with Cluster({"PATH": "/usr/bin:/bin", "IMAGE": "yes"}, tmp_path) as cluster:
        yield cluster


@pytest.fixture
def api(cluster, tmp_path):
    with config.new_client_from_config(
        str(cluster.kubeconfig(tmp_path / "kubeconfig"))
    ) as connection:
        yield client.CoreV1Api(connection)


def manifest(script="true", name="step", labels=None, **more):
    """A pod that runs a shell's script; `more` is of its container, a key `spec` of the pod."""
    spec, container_name = more.pop("spec", {}), more.pop("container", "base")
    container = {
        "name": container_name,
        "image": "training:1.0",
        "command": ["sh", "-c", script],
        "securityContext": SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"restartPolicy": "Never", "containers": [container | more]} | spec,
    }


def python(script, **more):
    return manifest(**more, command=[sys.executable, "-u", "-c", f"{HANDLER}\n{script}"])


def run(cluster, api, body, *phases):
    api.create_namespaced_pod(NAMESPACE, body)
    cluster.pods[-1].await_phase(*(phases or ("Succeeded", "Failed")))
    return cluster.pods[-1]


def read(api, name="step"):
    return api.read_namespaced_pod(name, NAMESPACE)


def terminated(api, name="step"):
    return read(api, name).status.container_statuses[0].state.terminated


def waiting(api, name="step"):
    return read(api, name).status.container_statuses[0].state.waiting


def events(api, name="step"):
    return api.list_namespaced_event(NAMESPACE, field_selector=f"involvedObject.name={name}").items


def reasons(api, name="step"):
    return [event.reason for event in events(api, name)]


def refused(ask, *arguments, **more):
    """(code, reason, message) of the Status that is the answer."""
    with pytest.raises(client.ApiException) as refusal:
        ask(*arguments, **more)
    status = json.loads(refusal.value.body)
    assert (status["kind"], status["code"]) == ("Status", refusal.value.status)
    return status["code"], status["reason"], status["message"]


def names(api, selector="", fields=""):
    pods = api.list_namespaced_pod(NAMESPACE, label_selector=selector, field_selector=fields)
    return [pod.metadata.name for pod in pods.items]


# Running.


def test_a_pod_goes_its_way_and_its_command_truly_runs(cluster, api, tmp_path, go):
    created = api.create_namespaced_pod(
        NAMESPACE, manifest(f"echo done > here; {WAIT}", labels={"a": "b"})
    )
    assert (created.status.phase, created.metadata.labels) == ("Pending", {"a": "b"})
    assert (
        created.metadata.uid
        and created.metadata.creation_timestamp
        and created.metadata.resource_version
    )
    cluster.pods[0].await_phase("Running")
    assert read(api).status.container_statuses[0].state.running.started_at
    go()
    cluster.pods[0].await_phase("Succeeded")
    assert (terminated(api).exit_code, terminated(api).reason) == (0, "Completed")
    assert (tmp_path / "here").read_text() == "done\n"
    assert reasons(api) == ["Scheduled", "Pulled", "Created", "Started"]
    conditions = {condition.type: condition.status for condition in read(api).status.conditions}
    assert conditions == {
        "PodScheduled": "True",
        "Initialized": "True",
        "ContainersReady": "False",
        "Ready": "False",
    }


def test_a_command_that_fails_says_so_with_the_end_of_its_log(cluster, api):
    pod = run(cluster, api, manifest("seq 100; echo broken >&2; exit 3"))
    assert (pod.phase, terminated(api).exit_code, terminated(api).reason) == ("Failed", 3, "Error")
    assert terminated(api).message.splitlines() == [*map(str, range(22, 101)), "broken"]


def test_a_command_that_is_not_in_the_image_is_a_start_error(cluster, api):
    run(cluster, api, manifest(command=["no-such-program"]))
    assert (terminated(api).exit_code, terminated(api).reason) == (128, "StartError")
    assert "no-such-program" in terminated(api).message


def test_the_environment_is_the_images_and_the_pods_and_nothing_else(cluster, api, monkeypatch):
    monkeypatch.setenv("OF_THE_TEST", "1")
    cluster.config_map(NAMESPACE, "endpoints", {"URL": "http://before", "OLD": "1"})
    cluster.config_map(NAMESPACE, "endpoints", {"URL": "http://store", "SHARED": "map"})
    cluster.secret(NAMESPACE, "stores", {"PASSWORD": "p", "SHARED": "secret"})
    env = [
        {"name": "OWN", "value": "$(URL)/x $$(URL) $(UNKNOWN)"},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "stores", "key": "PASSWORD"}}},
        {
            "name": "NONE",
            "valueFrom": {"configMapKeyRef": {"name": "gone", "key": "k", "optional": True}},
        },
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a.b/c']"}}},
    ]
    sources = [
        {"configMapRef": {"name": "endpoints"}},
        {"secretRef": {"name": "stores"}, "prefix": "S_"},
    ]
    code = "import os, json; print(json.dumps(dict(os.environ)))"
    command = [sys.executable, "-c", code, "$(POD)"]
    body = manifest(labels={"a.b/c": "d"}, command=command, env=env, envFrom=sources)
    document = json.loads(run(cluster, api, body, "Succeeded").log)
    document.pop("LC_CTYPE", None)  # Python's own
    assert document == {
        "PATH": "/usr/bin:/bin",
        "IMAGE": "yes",
        "URL": "http://store",
        "SHARED": "map",
        "S_PASSWORD": "p",
        "S_SHARED": "secret",
        "OWN": "http://store/x $(URL) $(UNKNOWN)",
        "KEY": "p",
        "POD": "step",
        "LABEL": "d",
    }


@pytest.mark.process
def test_a_container_without_a_command_runs_the_images(tmp_path):
    with Cluster({"PATH": "/usr/bin:/bin"}, tmp_path, entrypoint=["echo", "train"]) as cluster:
        cluster.create(
            manifest(command=None, args=["--date", "$(DAY)"], env=[{"name": "DAY", "value": "5"}]),
            False,
        )
        cluster.pods[0].await_phase("Succeeded")
        assert cluster.pods[0].log == "train --date 5\n"


@pytest.mark.parametrize(
    "lacks, reason, message",
    [
        (
            {"envFrom": [{"secretRef": {"name": "late"}}]},
            "CreateContainerConfigError",
            'secret "late" not found',
        ),
        (
            {"spec": {"volumes": [{"name": "late", "secret": {"secretName": "late"}}]}},
            "ContainerCreating",
            'MountVolume.SetUp failed for volume "late" : secret "late" not found',
        ),
    ],
    ids=["environment", "volume"],
)
def test_a_pod_waits_for_what_it_refers_to(cluster, api, lacks, reason, message):
    api.create_namespaced_pod(NAMESPACE, manifest("true", **lacks))
    cluster.pods[0].wait_for(lambda: any(message in event.message for event in events(api)))
    assert (read(api).status.phase, waiting(api).reason) == ("Pending", reason)
    cluster.secret(NAMESPACE, "late", {})
    cluster.pods[0].await_phase("Succeeded")


# Refusals.


@pytest.mark.parametrize(
    "change, code, message",
    [
        ({"imagePolicy": "Always"}, 400, 'unknown field "spec.containers[0].imagePolicy"'),
        ({"image": 5}, 400, "cannot unmarshal 5"),
        ({"env": [{"name": "A", "value": 1}]}, 400, 'field "spec.containers[0].env[0].value"'),
        ({"env": [{"name": "A=B", "value": ""}]}, 422, "env[].name"),
        ({"container": "Base"}, 422, "spec.containers[0].name"),
        ({"image": ""}, 422, "spec.containers[0].image: Required value"),
        ({"volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]}, 422, 'Not found: "tmp"'),
        ({"resources": {"limits": {"memory": "1Gib"}}}, 422, "spec.containers[0].resources"),
        (
            {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}},
            422,
            "less than or equal to cpu limit",
        ),
        ({"resources": {"requests": {"nvidia.com/gpu": 1}}}, 422, "limit of nvidia.com/gpu"),
        ({"spec": {"containers": None}}, 422, "containers"),
        ({"spec": {"restartPolicy": "Always"}}, 501, "restartPolicy Never"),
        ({"container": None}, 422, "must not be `None`"),
        ({"labels": {"a": "x" * 64}}, 422, "a valid label"),
        ({"labels": {"a": "2018-04-14T00:00:00+00:00"}}, 422, "a valid label"),
        ({"labels": {"a b": ""}}, 422, "name part must consist"),
        ({"labels": {"a": 1}}, 400, 'field "metadata.labels.a"'),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else "",
)
def test_a_pod_that_is_wrong_is_refused(cluster, api, change, code, message):
    refusal = refused(api.create_namespaced_pod, NAMESPACE, manifest(**change))
    assert refusal[0] == code and message in refusal[2]
    assert cluster.pods == []


@pytest.mark.parametrize("name", ["Step", "step_1", "a" * 254, "-a"])
def test_a_name_is_a_subdomain(api, name):
    assert refused(api.create_namespaced_pod, NAMESPACE, manifest(name=name))[:2] == (
        422,
        "Invalid",
    )


def test_a_name_is_there_once_and_unknown_ones_are_not_found(cluster, api):
    run(cluster, api, manifest())
    assert refused(api.create_namespaced_pod, NAMESPACE, manifest())[:2] == (409, "AlreadyExists")
    assert refused(read, api, "other") == (404, "NotFound", 'pods "other" not found')
    assert refused(api.list_namespaced_pod, "elsewhere")[:2] == (403, "Forbidden")


def test_a_dry_run_checks_and_creates_nothing(cluster, api):
    assert (
        api.create_namespaced_pod(NAMESPACE, manifest(), dry_run="All").spec.scheduler_name
        == "default-scheduler"
    )
    assert (
        refused(api.create_namespaced_pod, NAMESPACE, manifest(name="A"), dry_run="All")[0] == 422
    )
    assert (cluster.pods, names(api)) == ([], [])


def test_who_has_no_token_is_refused(cluster):
    with client.ApiClient(client.Configuration(host=cluster.url)) as stranger:
        assert refused(client.CoreV1Api(stranger).list_namespaced_pod, NAMESPACE)[0] == 401


@pytest.mark.parametrize(
    "change, said",
    [
        ({"allowPrivilegeEscalation": None}, "allowPrivilegeEscalation != false"),
        ({"capabilities": None}, "unrestricted capabilities"),
        ({"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}}, "may add only"),
        ({"runAsNonRoot": None}, "runAsNonRoot != true"),
        ({"runAsUser": 0}, "runAsUser=0"),
        ({"seccompProfile": {"type": "Unconfined"}}, "seccompProfile"),
        ({"privileged": True}, "privileged"),
    ],
    ids=str,
)
def test_the_namespace_is_restricted(api, change, said):
    body = manifest(securityContext=SECURITY | change)
    code, reason, message = refused(api.create_namespaced_pod, NAMESPACE, body)
    assert (code, reason) == (403, "Forbidden")
    assert 'violates PodSecurity "restricted:latest"' in message and said in message


def test_a_pod_may_meet_the_standard_as_a_whole_but_not_use_the_host(cluster, api):
    of_pod = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    own = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    run(cluster, api, manifest(securityContext=own, spec={"securityContext": of_pod}), "Succeeded")
    host = {"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}
    assert (
        "hostPath"
        in refused(api.create_namespaced_pod, NAMESPACE, manifest(name="other", spec=host))[2]
    )


@pytest.mark.process
def test_a_namespace_may_be_unrestricted(tmp_path):
    with Cluster({"PATH": "/usr/bin:/bin"}, tmp_path, restricted=False) as cluster:
        cluster.create(manifest(securityContext=None), False)
        cluster.pods[0].await_phase("Succeeded")


# Finding and changing.


@pytest.mark.parametrize(
    "selector, found",
    [
        ("", ["one", "three", "two"]),
        ("app=train", ["one", "two"]),
        ("app==train,day!=1", ["two"]),
        ("day!=1", ["three", "two"]),
        ("day", ["one", "two"]),
        ("!day", ["three"]),
        ("day in (1, 2),app", ["one", "two"]),
        ("day notin (1)", ["three", "two"]),
        ("app=train,kubernetes_pod_operator!=True,!airflow-worker", ["one", "two"]),
    ],
)
def test_labels_select(cluster, api, selector, found):
    for name, labels in {
        "one": {"day": "1"},
        "two": {"day": "2"},
        "three": {"app": "score"},
    }.items():
        run(cluster, api, manifest(name=name, labels={"app": "train"} | labels))
    assert names(api, selector) == found


def test_fields_select(cluster, api):
    run(cluster, api, manifest("exit 1", name="bad"))
    run(cluster, api, manifest(name="good"))
    assert names(api, fields="status.phase=Failed") == ["bad"]
    assert names(api, fields="metadata.name!=bad,status.phase!=Pending") == ["good"]


@pytest.mark.parametrize("wrong", [{"label_selector": "a=b c"}, {"field_selector": "spec.image=x"}])
def test_a_selector_that_cannot_be_read_is_refused(api, wrong):
    assert refused(api.list_namespaced_pod, NAMESPACE, **wrong)[0] == 400


def test_labels_and_annotations_are_merged(cluster, api):
    before = read(api, run(cluster, api, manifest(labels={"a": "1", "b": "2"})).name)
    patch = {
        "metadata": {
            "labels": {"a": None, "already_checked": "True"},
            "annotations": {"said": "x y"},
        }
    }
    after = api.patch_namespaced_pod("step", NAMESPACE, patch)
    assert after.metadata.labels == cluster.pods[0].labels == {"b": "2", "already_checked": "True"}
    assert after.metadata.annotations == {"said": "x y"}
    assert int(after.metadata.resource_version) > int(before.metadata.resource_version)
    assert cluster.pods[0].manifest["metadata"]["labels"] == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    "patch, code",
    [
        ({"metadata": {"labels": {"a": "no spaces"}}}, 422),
        ({"metadata": {"uid": "other"}}, 422),
        ({"metadata": {"resourceVersion": "1"}}, 409),
        ({"spec": {"nodeName": "other"}}, 422),
        ([{"op": "remove", "path": "/metadata/labels"}], 415),
    ],
)
def test_a_patch_that_is_wrong_changes_nothing(cluster, api, patch, code):
    run(cluster, api, manifest(labels={"a": "1"}))
    before = read(api)
    assert refused(api.patch_namespaced_pod, "step", NAMESPACE, patch)[0] == code
    assert read(api) == before


def test_a_watch_shows_what_there_is_and_then_every_change(cluster, api):
    run(cluster, api, manifest(labels={"mine": "1"}))
    run(cluster, api, manifest(name="other"))
    seen = []

    def look():
        for event in watch.Watch().stream(
            api.list_namespaced_pod, NAMESPACE, label_selector="mine=1", timeout_seconds=5
        ):
            seen.append((event["type"], event["object"].metadata.name))
            if event["type"] == "DELETED" and len(seen) > 4:
                break

    thread = threading.Thread(target=look)
    thread.start()
    cluster.pods[0].wait_for(lambda: len(seen) == 1)
    api.patch_namespaced_pod("step", NAMESPACE, {"metadata": {"annotations": {"a": "b"}}})
    api.patch_namespaced_pod("step", NAMESPACE, {"metadata": {"labels": {"mine": "0"}}})
    api.patch_namespaced_pod("step", NAMESPACE, {"metadata": {"labels": {"mine": "1"}}})
    api.delete_namespaced_pod("step", NAMESPACE)
    thread.join()
    assert [kind for kind, _ in seen] == ["ADDED", "MODIFIED", "DELETED", "ADDED", "DELETED"]
    assert {name for _, name in seen} == {"step"}


def test_a_watch_from_a_version_shows_what_came_after_it_until_its_time_is_up(cluster, api):
    version = api.list_namespaced_pod(NAMESPACE).metadata.resource_version
    run(cluster, api, manifest(), "Succeeded")
    started = time.monotonic()
    changes = watch.Watch().stream(
        api.list_namespaced_pod, NAMESPACE, resource_version=version, timeout_seconds=1
    )
    phases = [(event["type"], event["object"].status.phase) for event in changes]
    assert phases[0] == ("ADDED", "Pending") and phases[-1] == ("MODIFIED", "Succeeded")
    assert time.monotonic() - started < 3


# Logs.


def log(api, name="step", **more):
    """The log's text; the client does not decode it (kubernetes-client/python#2596)."""
    return (
        api.read_namespaced_pod_log(name, NAMESPACE, _preload_content=False, **more)
        .data.decode()
        .split()
    )


def follow(api, name="step", **more):
    return api.read_namespaced_pod_log(name, NAMESPACE, follow=True, _preload_content=False, **more)


def test_a_log_is_followed_to_its_end_as_it_comes(cluster, api, go):
    run(cluster, api, manifest(f"echo one; {WAIT}; printf 'zwei\\nno newline' >&2"), "Running")
    parts = follow(api, container="base", timestamps=True).stream()
    first = next(parts)
    go()
    lines = [line.decode().split(" ", 1) for line in (first + b"".join(parts)).splitlines()]
    assert [said for _, said in lines] == ["one", "zwei", "no newline"]
    stamps = [datetime.fromisoformat(stamp) for stamp, _ in lines]
    assert stamps == sorted(stamps) and abs(datetime.now(UTC) - stamps[0]) < timedelta(seconds=10)
    assert all(len(stamp) == len("2018-04-14T00:00:00.123456789Z") for stamp, _ in lines)


def test_a_log_is_read_from_a_time_on_or_from_its_end(cluster, api):
    run(cluster, api, manifest("seq 3; sleep 1.6; seq 4 6"))
    assert log(api) == list("123456")
    assert log(api, tail_lines=2) == list("56")
    assert log(api, tail_lines=0) == [] and log(api, tail_lines=9) == list("123456")
    fourth = datetime.fromisoformat(log(api, timestamps=True)[6])
    age = (datetime.now(UTC) - fourth).total_seconds()
    assert log(api, since_seconds=math.ceil(age + 0.3)) == list("456")
    stamp = log(api, timestamps=True, tail_lines=1)[0]
    answer = api.api_client.call_api(
        f"/api/v1/namespaces/{NAMESPACE}/pods/step/log",
        "GET",
        query_params=[("sinceTime", stamp)],
        auth_settings=["BearerToken"],
        _preload_content=False,
    )
    assert answer.data.split() == [b"6"]


def test_a_pod_that_has_not_started_has_no_log_yet(cluster, api):
    cluster.on_create(lambda pod: pod.image_pull_backoff("manifest unknown"))
    api.create_namespaced_pod(NAMESPACE, manifest())
    cluster.pods[0].wait_for(
        lambda: "BackOff" in reasons(api) and waiting(api).reason == "ImagePullBackOff"
    )
    said = 'container "base" in pod "step" is waiting to start: trying and failing to pull image'
    assert refused(api.read_namespaced_pod_log, "step", NAMESPACE) == (400, "BadRequest", said)
    assert (
        "not valid for pod"
        in refused(api.read_namespaced_pod_log, "step", NAMESPACE, container="x")[2]
    )


def test_a_log_that_is_cut_off_can_be_read_on(cluster, api, go):
    run(cluster, api, manifest(f"echo one; {WAIT}; echo two"), "Running")
    stream = follow(api)
    parts = stream.stream()
    assert next(parts) == b"one\n"
    assert cluster.cut_logs() == 1
    with pytest.raises(HTTPError):
        list(parts)
    go()
    assert b"".join(follow(api)) == b"one\ntwo\n"
    assert cluster.cut_logs() == 0


# Endings.


def test_a_deleted_pod_is_told_ends_and_is_gone(cluster, api):
    pod = run(cluster, api, python("print('ready'); time.sleep(60)"), "Running")
    pod.await_log("ready")
    version = read(api).metadata.resource_version
    answer = api.delete_namespaced_pod("step", NAMESPACE, grace_period_seconds=5)
    assert answer.metadata.deletion_timestamp and answer.metadata.deletion_grace_period_seconds == 5
    changes = watch.Watch().stream(
        api.list_namespaced_pod, NAMESPACE, resource_version=version, timeout_seconds=20
    )
    last = next(event["object"] for event in changes if event["type"] == "DELETED")
    assert last.status.container_statuses[0].state.terminated.exit_code == 7
    assert refused(read, api)[0] == 404
    assert "stopping" in pod.log and not pod.exists and "Killing" in reasons(api)
    run(cluster, api, manifest(), "Succeeded")  # its name is free again


def test_who_does_not_listen_is_killed_after_the_grace_period(cluster, api):
    pod = run(cluster, api, manifest("sleep 60"), "Running")
    api.delete_namespaced_pod("step", NAMESPACE)
    time.sleep(0.2)
    assert (
        pod.exists and pod.process.poll() is None
    )  # a first process without a handler is deaf to SIGTERM
    api.delete_namespaced_pod(
        "step", NAMESPACE, body=client.V1DeleteOptions(grace_period_seconds=1)
    )
    pod.await_gone()
    assert pod.process.returncode == -signal.SIGKILL


def test_a_pod_that_is_over_or_deleted_by_force_is_gone_at_once(cluster, api):
    run(cluster, api, manifest(name="over"), "Succeeded")
    api.delete_namespaced_pod("over", NAMESPACE)
    pod = run(cluster, api, manifest("sleep 60"), "Running")
    api.delete_namespaced_pod("step", NAMESPACE, grace_period_seconds=0)
    assert names(api) == []
    assert pod.process.wait(timeout=5) == -signal.SIGKILL
    assert refused(api.delete_namespaced_pod, "step", NAMESPACE)[0] == 404


def test_a_delete_may_be_of_one_uid_only(cluster, api):
    run(cluster, api, manifest())
    body = client.V1DeleteOptions(preconditions=client.V1Preconditions(uid="another"))
    assert refused(api.delete_namespaced_pod, "step", NAMESPACE, body=body)[:2] == (409, "Conflict")


def test_out_of_memory_is_137(cluster, api):
    pod = run(cluster, api, manifest("sleep 60"), "Running")
    pod.out_of_memory()
    pod.await_phase("Failed")
    assert (terminated(api).exit_code, terminated(api).reason) == (137, "OOMKilled")


def test_a_signal_is_128_and_its_number(cluster, api):
    pod = run(cluster, api, manifest("sleep 60"), "Running")
    pod.kill(signal.SIGKILL)
    pod.await_phase("Failed")
    assert (terminated(api).exit_code, terminated(api).reason) == (137, "Error")


@pytest.mark.parametrize("when", ["running", "pending"])
def test_an_evicted_pod_has_failed_and_says_why(cluster, api, when):
    if when == "pending":
        cluster.on_create(lambda pod: pod.evict("the node was low on memory"))
        pod = run(cluster, api, manifest("sleep 60"), "Failed")
    else:
        (pod := run(cluster, api, manifest("sleep 60"), "Running")).evict(
            "the node was low on memory"
        )
        pod.await_phase("Failed")
        assert terminated(api).exit_code == 137
    assert (read(api).status.reason, read(api).status.message) == (
        "Evicted",
        "the node was low on memory",
    )
    assert "Evicted" in reasons(api)


def test_a_deadline_ends_a_pod(cluster, api):
    run(cluster, api, python("time.sleep(60)", spec={"activeDeadlineSeconds": 1}), "Failed")
    assert read(api).status.reason == "DeadlineExceeded"
    assert "DeadlineExceeded" in reasons(api)


def test_a_pod_that_no_node_takes_waits_without_a_deadline(cluster, api):
    cluster.on_create(
        lambda pod: pod.unschedulable("0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")
    )
    api.create_namespaced_pod(NAMESPACE, manifest(spec={"activeDeadlineSeconds": 1}))
    time.sleep(1.2)
    status = read(api).status
    assert (status.phase, status.container_statuses) == ("Pending", None)
    assert (status.conditions[0].reason, status.conditions[0].status) == ("Unschedulable", "False")
    assert reasons(api) == ["FailedScheduling"]
    assert log(api) == []
    cluster.pods[0].proceed()
    cluster.pods[0].await_phase("Succeeded")


def test_with_the_first_process_all_others_of_the_container_end(cluster, api, tmp_path):
    run(cluster, api, manifest("sleep 60 & echo $! > child; exit 0"), "Succeeded")
    child = int((tmp_path / "child").read_text())
    cluster.pods[0].wait_for(
        lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie"
    )


@pytest.mark.process
def test_leaving_the_cluster_kills_every_process(tmp_path):
    with Cluster({"PATH": "/usr/bin:/bin"}, tmp_path) as cluster:
        cluster.create(manifest("sleep 60"), False)
        cluster.pods[0].await_phase("Running")
    assert cluster.pods[0].process.returncode == -signal.SIGKILL


# The API server itself.


def test_pods_go_on_while_the_api_server_is_away(cluster, api, go):
    pod = run(cluster, api, manifest(f"echo one; {WAIT}; echo two"), "Running")
    stream = follow(api)
    with cluster.away():
        with pytest.raises(HTTPError):
            read(api)
        with pytest.raises(HTTPError):
            list(stream.stream())
        go()
        pod.await_phase("Succeeded")
    assert read(api).status.phase == "Succeeded"
    assert log(api) == ["one", "two"]
    cluster.restart()
    assert names(api) == ["step"]


def test_troubles_of_the_api_server_pass(cluster, api):
    cluster.refuse(500, "etcdserver: request timed out", times=2)
    assert [refused(read, api)[:2] for _ in range(2)] == [(500, "InternalError")] * 2
    assert refused(read, api)[0] == 404
    assert cluster.requests == [("GET", f"/api/v1/namespaces/{NAMESPACE}/pods/step")] * 3


def test_the_asynchronous_client_reads_the_same(cluster, api, tmp_path):
    run(cluster, api, manifest("echo one; exit 2"))

    async def ask():
        configuration = kubernetes_asyncio.client.Configuration()
        await kubernetes_asyncio.config.load_kube_config(
            str(tmp_path / "kubeconfig"), client_configuration=configuration
        )
        async with kubernetes_asyncio.client.ApiClient(configuration) as connection:
            core = kubernetes_asyncio.client.CoreV1Api(connection)
            pod = await core.read_namespaced_pod("step", NAMESPACE)
            text = await core.read_namespaced_pod_log("step", NAMESPACE)
            stream = kubernetes_asyncio.watch.Watch().stream(
                core.list_namespaced_event, NAMESPACE, timeout_seconds=1
            )
            return pod, text, [event["object"].reason async for event in stream]

    pod, text, said = asyncio.run(ask())
    assert pod.status.container_statuses[0].state.terminated.exit_code == 2
    assert (text, said) == ("one\n", ["Scheduled", "Pulled", "Created", "Started"])
