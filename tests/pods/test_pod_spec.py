"""What a step's pod requests, checked by a snapshot, official schemas and the cluster's rules."""

from __future__ import annotations

import json

import kubernetes_validate
import pytest
import yaml
from kubernetes import client

from cluster_double.security import check_restricted
from jobs.core import pods, settings
from jobs.core.errors import ConfigError
from jobs.core.pipelines import PIPELINES
from jobs.core.settings import PROJECT
from jobs.core.steps import NIGHTLY

SNAPSHOT = PROJECT / "tests" / "pods" / "pod_spec.json"
NAME = "fraud-train-2018-07-10-0123456789ab"
PARAMS = PROJECT / "params.yaml"


@pytest.fixture
def spec(steps, step_task, monkeypatch):
    """`spec("fraud", "train")`: the pod as it goes over the wire."""
    monkeypatch.setenv(settings.RUNNER, "kubernetes")
    monkeypatch.setenv("NIGHTSHIFT_PARAMS", str(PARAMS))

    def build(pipeline, step):
        operator = step_task(pipeline, step)
        operator.name = NAME
        operator.arguments = steps.arguments(pipeline, step, "2018-07-10")
        return client.ApiClient().sanitize_for_serialization(
            operator.build_pod_request_obj(dry_run=True)
        )

    return build


def test_a_training_asks_for_what_the_snapshot_says(spec):
    pod = spec("fraud", "train")
    pod["metadata"]["labels"].pop("airflow_version")
    assert pod == json.loads(SNAPSHOT.read_text()), (
        f"if this change is meant: write {json.dumps(pod)}"
    )


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_it_is_a_pod_to_the_official_models_and_schemas(spec, pipeline):
    pod = spec(pipeline, "train")
    kubernetes_validate.validate(pod, "1.32", strict=True)
    api = client.ApiClient()
    again = api.sanitize_for_serialization(api.deserialize(Answer(pod), "V1Pod"))
    assert again == pod
    check_restricted(pod)


def test_no_value_of_a_secret_is_in_it(spec, monkeypatch):
    monkeypatch.setenv(settings.LAKE, "s3://key:of-the-lake@bucket")
    monkeypatch.setenv(settings.POSTGRES, "postgresql://serving:of-the-store@host/db")
    assert "of-the-" not in json.dumps(spec("fraud", "train"))


def test_any_step_of_the_night_can_be_given_a_pod(step_task, spec, tmp_path, monkeypatch):
    every = yaml.safe_load(PARAMS.read_text())
    every["fraud"]["resources"] = {"train": "small", "build_features": "spark"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(every))
    monkeypatch.setenv("NIGHTSHIFT_PARAMS", str(tmp_path / "params.yaml"))
    made = {step: type(step_task("fraud", step)).__name__ for step in NIGHTLY}
    assert {step for step, kind in made.items() if kind == "PodStepOperator"} == {
        "train",
        "build_features",
    }
    spark = step_task("fraud", "build_features")
    assert spark.image == "nightshift-airflow:0.1.0"
    assert spark.container_resources.limits == {"cpu": "4", "memory": "12Gi"}
    assert not spark.tolerations and not spark.node_selector


def test_without_the_runner_every_step_is_a_process(step_task, monkeypatch):
    monkeypatch.delenv(settings.RUNNER, raising=False)
    assert {type(step_task("fraud", step)).__name__ for step in NIGHTLY} == {"StepOperator"}


def test_an_unknown_runner_is_an_error(step_task, monkeypatch):
    monkeypatch.setenv(settings.RUNNER, "nomad")
    with pytest.raises(ConfigError, match="NIGHTSHIFT_RUNNER is 'nomad'"):
        step_task("fraud", "train")


@pytest.mark.parametrize(
    ("kubernetes", "resources", "said"),
    [
        ({"images": {"training": "nightshift-training"}}, {}, "pinned by a digest"),
        ({"images": {"training": "nightshift-training:latest"}}, {}, "pinned by a digest"),
        (
            {"sizes": {"gpu": {"image": "none", "cpu": "1", "memory": "1Gi"}}},
            {},
            "sizes.gpu.image is 'none'",
        ),
        (
            {"sizes": {"gpu": {"image": "none", "cpu": "1", "memory": "lots"}}},
            {},
            "sizes.gpu.memory = 'lots'",
        ),
        ({}, {"train": "huge"}, "resources.train is 'huge'"),
        ({}, ["train"], r"resources is \['train'\]"),
    ],
)
def test_wrong_parameters_say_which_and_what_is_allowed(tmp_path, kubernetes, resources, said):
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump({"fraud": {"resources": resources}, "kubernetes": kubernetes}))
    with pytest.raises(ConfigError, match=said):
        pods.size(file, "fraud", "train")


def test_a_size_for_a_step_that_is_not_there_is_an_error(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump({"fraud": {"resources": {"trian": "gpu"}}}))
    with pytest.raises(ConfigError, match=r"resources\.trian: the night has no step of this name"):
        pods.check(file, "fraud")


class Answer:
    """What the client deserialises: an HTTP answer."""

    def __init__(self, found):
        self.data = json.dumps(found)
