"""Values for Airflow's chart: accounts, rights, secrets and addresses match our manifests."""

import re

import yaml
from cluster_manifests import FOLDER, STEPS, VERSION, names

from cluster_double.security import check_restricted

VALUES = yaml.safe_load((FOLDER / "airflow-values.yaml").read_text())


def test_the_chart_uses_accounts_that_are_there_and_makes_no_rights():
    parts = ("migrateDatabaseJob", "apiServer", "scheduler", "dagProcessor", "triggerer")
    accounts = {part: VALUES[part]["serviceAccount"] for part in parts}
    assert all(account["create"] is False for account in accounts.values())
    talking = {
        part for part, account in accounts.items() if account["name"] == "nightshift-airflow"
    }
    assert talking == {"scheduler", "triggerer"}  # where tasks run, and where they are waited for
    assert {account["name"] for account in accounts.values()} <= names(
        "ServiceAccount", "nightshift"
    )
    assert VALUES["rbac"] == {"create": False}
    assert VALUES["allowPodLaunching"] is VALUES["apiServer"]["allowPodLogReading"] is False


def test_the_chart_makes_restricted_pods():
    contexts = VALUES["securityContexts"]
    container = {"name": "any", "securityContext": contexts["containers"]}
    check_restricted(
        {
            "metadata": {"name": "any"},
            "spec": {"securityContext": contexts["pod"], "containers": [container]},
        }
    )
    assert VALUES["uid"] == VALUES["gid"] == contexts["pod"]["runAsUser"] == 10001


def test_the_chart_runs_steps_as_pods_and_knows_where_everything_is():
    variables = {each["name"]: each["value"] for each in VALUES["env"]}
    assert variables["NIGHTSHIFT_RUNNER"] == "kubernetes"
    assert variables["AIRFLOW__CORE__EXECUTOR"] == VALUES["executor"]
    taken = {
        reference["name"]
        for source in yaml.safe_load(VALUES["extraEnvFrom"])
        for reference in source.values()
    }
    assert taken == {STEPS.endpoints, STEPS.stores}
    (volume,), (mount,) = VALUES["volumes"], VALUES["volumeMounts"]
    assert (volume["configMap"]["name"], mount["mountPath"]) == (STEPS.params, "/etc/nightshift")


def test_the_chart_runs_the_image_of_the_project():
    assert VALUES["defaultAirflowTag"] == VERSION


def test_the_chart_is_given_names_of_secrets_and_no_secret():
    # What it would write into secrets of its own; names of secrets are other keys.
    assert not {"fernetKey", "jwtSecret", "apiSecretKey", "extraSecrets"} & set(VALUES)
    assert set(VALUES["data"]) == {"metadataSecretName"}
    variables = {each["name"] for each in VALUES["env"]}
    assert not [name for name in variables if re.search(r"(PASSWORD|SECRET|KEY|TOKEN|CONN)$", name)]
