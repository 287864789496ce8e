"""A training that fails or loses never costs the day's tables."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jobs.core import settings
from jobs.core.errors import DataError, StoreError
from jobs.core.identity import days
from nights import BEFORE, DAY, FIRST

NOWHERE = "http://127.0.0.1:9"


@pytest.mark.slow  # MLflow is also killed by `make test-chaos`
def test_without_mlflow_the_day_is_published_with_the_champion_there_is(at):
    place = at("train")
    earlier = place.manifest("predict", BEFORE).model_digest
    process = place.nightshift(
        "run", "fraud", "--date", str(DAY), "--from", "train", **{settings.MLFLOW: NOWHERE}
    )
    output = " ".join(process.communicate(timeout=550)[0].split())
    assert process.returncode == StoreError.exit_code, output
    assert "train failed. The day was published with the current champion." in output
    assert (
        f"MLflow does not answer Input: {NOWHERE}." in output
        and "check that the server is up" in output
    )
    assert place.manifest("gate") is None and place.manifest("train") is None
    assert place.manifest("publish").model_digest == earlier
    assert "MLflow did not answer" in place.manifest("publish").facts["aliases"]
    served = place.serving()["served"][0]
    assert served == place.manifest("publish").facts["version"] and served.startswith(
        f"{DAY:%Y%m%d}"
    )


@pytest.mark.slow
def test_without_any_champion_there_is_nothing_to_publish_and_that_is_said(at):
    place = at("train")
    before = place.serving()["rows"]
    place.query("DELETE FROM promotions")
    process = place.nightshift(
        "run", "fraud", "--date", str(DAY), "--from", "train", **{settings.MLFLOW: NOWHERE}
    )
    output = " ".join(process.communicate(timeout=550)[0].split())
    assert process.returncode == StoreError.exit_code, output
    assert "train, predict failed. Nothing new was published." in output
    assert "there is no champion" in output
    assert place.serving()["rows"] == before


def test_labels_of_one_class_stop_the_snapshot(at):
    place = at("snapshot", own_source=True)
    place.upstream("DELETE FROM fraud_labels")
    for day in days(FIRST, DAY):
        place.run("extract", day)
        place.run("validate", day)
    with pytest.raises(
        DataError, match="FAIL train_positives: 0 against 1; FAIL holdout_positives: 0 against 1"
    ):
        place.run("snapshot")
    assert place.manifest("snapshot") is None


def test_a_rejected_challenger_is_a_result_and_the_champion_stays(at):
    place = at("gate")
    champion = place.manifest("predict", BEFORE).model_digest
    place.set_params(gate={"floors": {"roc_auc": 1.01}})
    gate = place.run("gate")
    assert gate.facts["verdict"] == "rejected"
    (reason,) = [text for text in gate.facts["reasons"] if text.startswith("FAIL")]
    assert reason.startswith("FAIL floor.roc_auc: 0.") and reason.endswith("against 1.01")
    assert place.run("promote").model_digest == champion
    last = place.serving()["promotions"][-1]
    assert last == (DAY, "promotion", champion, None, "rejected")
    # Judging the same snapshot again with other floors may give another verdict; the row is
    # replaced.
    place.set_params(gate={"floors": {"roc_auc": 0.0}})
    assert place.run("gate").facts["verdict"] == "promoted"
    assert place.run("promote").model_digest == gate.model_digest
    assert [row[0] for row in place.serving()["promotions"]].count(DAY) == 1


def test_the_gate_refuses_a_challenger_of_another_snapshot(at):
    place = at("gate", own_source=True)
    late = DAY - timedelta(days=4)
    place.upstream(
        "DELETE FROM transactions WHERE customer_id < 'C0000020'"
        f" AND event_time >= '{late}' AND event_time < date '{late}' + 1"
    )
    place.ingest(late, late)
    place.run("snapshot")
    with pytest.raises(DataError, match="the challenger was trained on another snapshot"):
        place.run("gate")
