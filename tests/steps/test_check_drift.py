"""check_drift, the real step: silent on a quiet day, loud on a drifted one, never blocking."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.core import settings
from jobs.evaluation import reference
from jobs.serving import promotions
from jobs.steps import leftovers
from jobs.steps.models import model_path, reference_path
from jobs.steps.records import DRIFT_METRICS
from jobs.stores import clickhouse
from jobs.stores.lake import File
from nights import BEFORE, DAY
from prepared_night import EACH

CHECKED = BEFORE - timedelta(days=1)  # the only earlier day that was


def rows(place):
    """The rows of the day by (scope, name)."""
    with place.settings() as config, clickhouse.connect_clickhouse(config) as db:
        stored = db.read_partition(place.pipeline, DRIFT_METRICS, DAY).to_pylist()
    return {(row["scope"], row["name"]): row for row in stored}


def champion(place):
    return promotions.history(place.postgres, place.pipeline).champion(DAY, inclusive=False).digest


def rewrite(place, name, change):
    """Change the bytes of a file of the lake; None removes it."""
    path = place.home / "lake" / name(place.pipeline, champion(place))
    changed = change(path.read_bytes())
    path.unlink() if changed is None else path.write_bytes(changed)


def test_a_quiet_day_is_silent_and_amounts_that_treble_are_drift(at):
    place = at("check_drift", own_source=True)
    place.set_params(check_drift={"min_rows": 100})
    quiet = place.run("check_drift").facts
    assert (quiet["judged"], quiet["drifted"], quiet["decayed"]) == (True, [], False)
    stored = rows(place)
    assert stored["day", "amount"]["passed"] and stored["day", "amount"]["rows"] >= 100
    assert {row["champion"] for row in stored.values()} == {champion(place)}
    place.upstream(f"UPDATE transactions SET amount = amount * 3 WHERE event_time::date = '{DAY}'")
    place.ingest(DAY, DAY)
    place.run("snapshot")
    loud = place.run("check_drift")
    assert "day amount" in loud.facts["drifted"]
    row = rows(place)["day", "amount"]
    assert (row["kind"], row["method"], row["severity"], row["passed"]) == (
        "feature",
        "wasserstein",
        "fail",
        False,
    )
    assert row["value"] > 1 > row["threshold"] and row["reference_rows"] > row["rows"]
    assert b"day amount" in place.lake.read_bytes(loud.facts["report"])
    assert loud.facts["report_url"].endswith("/artifacts/drift.html")


@EACH
def test_the_window_is_made_of_what_earlier_checks_kept(at):
    place = at("retrain")
    manifest = place.manifest("check_drift")
    earlier = place.manifest("check_drift", CHECKED)
    assert manifest.reads[earlier.name] == earlier.content
    assert {BEFORE} <= set(manifest.missing_days) and CHECKED not in manifest.missing_days
    day, both = (place.lake.read_table(each.output("examples")) for each in (manifest, earlier))
    assert set(day["date"].to_pylist()) == {DAY} and set(both["date"].to_pylist()) == {CHECKED}
    name = {"fraud": "amount", "movies": "value"}[place.pipeline]
    stored = rows(place)
    assert stored["window", f"{name}.infinite"]["rows"] == day.num_rows + both.num_rows


def test_the_champions_reference_is_what_it_was_fitted_and_judged_on(at):
    place = at("retrain")
    train = place.manifest("train", CHECKED)
    path = train.output("reference").path
    assert path == reference_path("fraud", champion(place))
    sample = reference.read(place.lake.read_bytes(path))
    trained = place.lake.read_table(
        place.manifest("snapshot", CHECKED).output("training_set")
    ).to_pandas()
    assert sample.fitted_until == trained[trained["split"] == "train"]["date"].max()
    assert sample.baseline["roc_auc"] == pytest.approx(train.facts["metrics"]["roc_auc"])
    assert {"amount", "score", "is_fraud", "merchant_unproven"} <= set(sample.rows.column_names)


def test_housekeeping_leaves_the_reference_beside_its_model():
    old = datetime(2018, 1, 1, tzinfo=UTC)
    aged = [File(name("fraud", "0a1b"), 1, old) for name in (model_path, reference_path)]
    assert leftovers.files(aged, set(), old + timedelta(days=99), timedelta(days=1)) == []


@pytest.mark.slow
def test_without_a_champion_nothing_is_judged_and_the_examples_are_kept(at):
    place = at("check_drift")
    place.query("DELETE FROM promotions")
    manifest = place.run("check_drift")
    assert (manifest.facts["judged"], manifest.facts["drifted"], manifest.facts["report"]) == (
        False,
        [],
        "",
    )
    assert manifest.output("examples").rows > 0 and manifest.model_digest is None
    [row] = rows(place).values()
    assert "there is none" in row["message"] and row["champion"] is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (reference_path, lambda data: None, "is not in the lake"),
        (reference_path, lambda data: b"PAR1", "cannot be read"),
        (reference_path, lambda data: _without(data, rows=True), "is empty"),
        (model_path, lambda data: None, "is not in the lake"),
    ],
    ids=["no reference", "no parquet", "an empty reference", "no model"],
)
def test_a_champion_of_which_something_is_gone_is_not_judged_and_the_row_says_what(
    at, name, change, message
):
    place = at("check_drift")
    rewrite(place, name, change)
    facts = place.run("check_drift").facts
    assert not facts["judged"] and not facts["decayed"]
    which = "reference" if name is reference_path else "model"
    row = rows(place)["day", f"champion.{which}"]
    assert message in row["message"] and not row["passed"] and row["severity"] == "warn"


@pytest.mark.slow
def test_a_reference_of_an_older_schema_is_compared_in_what_it_has(at):
    place = at("check_drift")
    place.set_params(check_drift={"min_rows": 100})
    rewrite(place, reference_path, lambda data: _without(data, "merchant_unproven"))
    facts = place.run("check_drift").facts
    stored = rows(place)
    assert facts["judged"] and "day merchant_unproven.schema" in facts["warnings"]
    assert (
        stored["day", "merchant_unproven.schema"]["message"] == "new since the champion was trained"
    )
    assert stored["day", "amount"]["value"] is not None


@pytest.mark.slow
def test_a_day_without_transactions_is_no_drift(at):
    place = at("check_drift", own_source=True)
    place.set_params(validate={"volume_severity": "warn"})
    place.upstream(f"DELETE FROM transactions WHERE event_time::date = '{DAY}'")
    place.ingest(DAY, DAY)
    place.run("snapshot")
    manifest = place.run("check_drift")
    assert manifest.facts["judged"] and manifest.facts["drifted"] == []
    assert manifest.output("examples").rows == 0
    assert "not judged: 0 rows" in rows(place)["day", "amount"]["message"]


@pytest.mark.slow
def test_with_mlflow_out_of_reach_the_report_is_in_the_lake(at, monkeypatch):
    place = at("check_drift")
    place.set_params(check_drift={"min_rows": 100})
    monkeypatch.setenv(settings.MLFLOW, "http://127.0.0.1:9")
    facts = place.run("check_drift").facts
    assert facts["judged"] and facts["report_url"] == "" and place.lake.exists(facts["report"])
    assert "did not answer" in facts["mlflow"]


def _without(data, *columns, rows=False):
    """A reference without some columns, or without all rows."""
    table = pq.read_table(pa.BufferReader(data))
    sink = pa.BufferOutputStream()
    pq.write_table(table.slice(0, 0) if rows else table.drop_columns([*columns]), sink)
    return sink.getvalue().to_pybytes()
