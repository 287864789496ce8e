"""The cluster's manifests: valid, whole, and giving no right that is not needed."""

import re

import kubernetes_validate
import pytest
from cluster_manifests import (
    BASE,
    FOLDER,
    OVERLAY,
    STEPS,
    VERSION,
    documents,
    kustomization,
    names,
    of_kind,
)

from cluster_double.security import check_restricted
from cluster_double.status import Refusal
from jobs.core.settings import PROJECT

KUBERNETES = "1.32"
ALL = [*documents(BASE), *documents(FOLDER / "examples")]
PODS = [
    found if found["kind"] == "Pod" else found["spec"]["template"] | {"metadata": found["metadata"]}
    for _, found in ALL
    if found["kind"] in ("Pod", "Deployment")
]


@pytest.mark.parametrize(
    "found", [each for _, each in ALL], ids=lambda each: each["metadata"]["name"]
)
def test_every_manifest_follows_the_schema_of_its_kind(found):
    kubernetes_validate.validate(found, KUBERNETES, strict=True)


def test_a_mistyped_field_is_found():
    (deployment,) = of_kind("Deployment")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(
            deployment | {"spec": deployment["spec"] | {"replica": 1}}, KUBERNETES, strict=True
        )


def test_every_manifest_is_listed():
    assert set(kustomization(BASE)["resources"]) == {file for file, _ in documents(BASE)}
    assert [(OVERLAY / base).resolve() for base in kustomization(OVERLAY)["resources"]] == [BASE]


def test_airflow_may_handle_step_pods_and_nothing_else():
    (role,) = of_kind("Role", "ClusterRole")
    (binding,) = of_kind("RoleBinding", "ClusterRoleBinding")
    assert (role["kind"], binding["kind"]) == ("Role", "RoleBinding")
    assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == STEPS.namespace
    rights = {
        (resource, verb)
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if rule["apiGroups"] == [""]
    }
    of_pods = {("pods", verb) for verb in ("create", "get", "list", "watch", "patch", "delete")}
    assert rights == of_pods | {("pods/log", "get"), ("events", "list"), ("events", "watch")}
    assert all(set(rule) == {"apiGroups", "resources", "verbs"} for rule in role["rules"])
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "nightshift-airflow", "namespace": "nightshift"}
    ]


def test_only_airflow_s_account_gets_a_token():
    tokens = {
        account["metadata"]["name"]
        for account in of_kind("ServiceAccount")
        if account.get("automountServiceAccountToken") is not False
    }
    assert tokens == {"nightshift-airflow"}


@pytest.mark.parametrize("namespace", ["nightshift", "nightshift-jobs"])
def test_the_namespaces_take_restricted_pods_only(namespace):
    (manifest,) = (each for each in of_kind("Namespace") if each["metadata"]["name"] == namespace)
    assert manifest["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("pod", PODS, ids=lambda pod: pod["metadata"]["name"])
def test_pods_are_restricted_and_write_only_where_they_are_told(pod):
    check_restricted(pod)
    spec = pod["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsUser"] == 10001
    for container in spec["containers"]:
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["resources"]["limits"]["memory"]
        assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_a_pod_that_is_not_restricted_is_found():
    pod = PODS[0]
    with pytest.raises(Refusal, match="runAsNonRoot"):
        check_restricted(pod | {"spec": pod["spec"] | {"securityContext": {}}})


def test_nothing_reaches_step_pods():
    policies = [each["spec"] for each in of_kind("NetworkPolicy") if in_jobs(each)]
    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in policies
    assert not any("ingress" in policy for policy in policies)


def test_step_pods_reach_names_mlflow_and_the_lake():
    rules = [
        rule
        for each in of_kind("NetworkPolicy")
        if in_jobs(each)
        for rule in each["spec"].get("egress", [])
    ]
    assert sorted(port["port"] for rule in rules for port in rule["ports"]) == [53, 53, 443, 5000]
    assert all(rule["to"] for rule in rules)
    (outside,) = (peer["ipBlock"] for rule in rules for peer in rule["to"] if "ipBlock" in peer)
    # Not the cluster, and not the service that hands out the node's own credentials.
    assert {"10.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"} <= set(
        outside["except"]
    )


def in_jobs(policy):
    return policy["metadata"]["namespace"] == STEPS.namespace


def test_the_operator_of_step_pods_finds_what_it_refers_to():
    made = kustomization(BASE)["configMapGenerator"] + kustomization(OVERLAY)["configMapGenerator"]
    there = {each["name"] for each in made if each["namespace"] == STEPS.namespace}
    assert there == {STEPS.endpoints, STEPS.params}
    assert STEPS.service_account in names("ServiceAccount", STEPS.namespace)
    assert kustomization(BASE)["generatorOptions"]["disableNameSuffixHash"] is True
    assert kustomization(OVERLAY)["generatorOptions"]["disableNameSuffixHash"] is True


def test_the_parameters_are_the_project_s_own():
    files = [
        (OVERLAY / file).resolve()
        for each in kustomization(OVERLAY)["configMapGenerator"]
        for file in each.get("files", [])
    ]
    assert files == [PROJECT / "params.yaml"] * 2


def test_a_gpu_node_is_what_the_operator_looks_for():
    (node,) = (document for _, document in ALL if document["kind"] == "Node")
    (pod,) = (document for _, document in ALL if document["kind"] == "Pod")
    assert STEPS.gpu_nodes.items() <= node["metadata"]["labels"].items()
    assert pod["spec"]["nodeSelector"] == STEPS.gpu_nodes
    (taint,), (toleration,) = node["spec"]["taints"], pod["spec"]["tolerations"]
    assert toleration == {"key": taint["key"], "operator": "Exists", "effect": taint["effect"]}


def test_every_image_has_the_version_of_the_project():
    (override,) = kustomization(OVERLAY)["images"]
    assert override["newTag"] == VERSION
    assert {image.rpartition(":")[2] for image in STEPS.images.values()} == {VERSION}
    used = {container["image"] for pod in PODS for container in pod["spec"]["containers"]}
    assert used == {override["name"], f"registry.example.org/nightshift-training:{VERSION}"}


def test_no_manifest_holds_a_secret():
    assert not of_kind("Secret")
    for file in FOLDER.rglob("*.yaml"):
        assert not re.search(r"://[^\s/@]+:[^\s/@]+@", file.read_text()), file.name
