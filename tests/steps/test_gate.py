"""gate by the real step: who is rejected, who is promoted, and what is written down of it."""

from __future__ import annotations

import json
from datetime import timedelta

import pyarrow.compute as pc

from dealt_labels import favour, shuffle_labels
from jobs.core.digest import table_digest
from jobs.serving import promotions
from jobs.steps.models import model_path
from jobs.steps.records import GATE_CHECKS
from jobs.stores import clickhouse
from jobs.usecases.discovery import find_usecase
from jobs.usecases.fraud.model import load
from nights import AFTER, BEFORE, DAY
from prepared_night import EACH

STRICT = {"min_margin": 0.0, "floors": {"roc_auc": 0.5}}


def rows(place):
    """The checks of DAY by name."""
    with place.settings() as settings, clickhouse.connect_clickhouse(settings) as db:
        stored = db.read_partition(place.pipeline, GATE_CHECKS, DAY).to_pylist()
    return {row["name"]: row for row in stored}


def champion_of(place, day=DAY):
    return promotions.history(place.postgres, place.pipeline).champion(day, inclusive=True).digest


def test_a_challenger_of_shuffled_labels_is_rejected_and_the_reasons_are_rows(at):
    place = at("train")
    before = champion_of(place)
    shuffle_labels(place)
    place.set_params(gate=STRICT)
    place.run("train")
    gate = place.run("gate")
    place.run("promote")
    checks = rows(place)
    wrong = {
        name for name, row in checks.items() if row["severity"] == "fail" and not row["passed"]
    }
    assert gate.facts["verdict"] == "rejected" and "margin.average_precision" in wrong
    assert {row["verdict"] for row in checks.values()} == {"rejected"}
    assert checks["margin.average_precision"]["value"] < -0.05, checks["margin.average_precision"]
    assert champion_of(place) == before
    last = promotions.history(place.postgres, "fraud")[-1]
    assert (
        last.to_digest is None
        and last.verdict == "rejected"
        and any("margin" in r for r in last.reasons)
    )


def test_a_better_challenger_is_promoted_with_its_card(at):
    place = at("train")
    place.set_params(gate=STRICT | {"min_margin": -0.02}, train={"n_estimators": 60})
    place.run("train")
    gate = place.run("gate")
    assert gate.facts["verdict"] == "promoted", gate.facts["reasons"]
    promoted = place.run("promote")
    assert champion_of(place) == gate.model_digest == promoted.model_digest
    card = place.lake.read_bytes(f"fraud/models/{gate.model_digest}.card.md").decode()
    for said in (
        str(gate.model_digest),
        "Metrics on the holdout",
        "average_precision",
        "Slices",
        "Limits",
        "Approved by** gate",
    ):
        assert said in card


def test_in_the_mode_warn_a_loser_is_promoted_and_the_mode_stands_beside_it(at):
    place = at("train")
    place.set_params(gate={"mode": "warn", "floors": {"roc_auc": 1.0}})
    place.run("train")
    gate = place.run("gate")
    checks = rows(place)
    assert gate.facts["verdict"] == "promoted" and not checks["floor.roc_auc"]["passed"]
    assert {row["mode"] for row in checks.values()} == {"warn"}


@EACH
def test_what_predict_saw_and_what_the_snapshot_sees_agree(at):
    place = at("gate")
    place.run("snapshot", BEFORE)  # which the prepared night has not, and movies is compared with
    place.run("gate")
    skew = rows(place)["skew"]
    assert skew["passed"] and skew["value"] == 0
    differing, _, compared, *_ = skew["message"].split()
    assert differing == "0" and int(compared) > 50, skew["message"]


@EACH
def test_what_predict_saw_otherwise_is_counted_and_rejects(at):
    place = at("gate")
    place.run("snapshot", BEFORE)
    with place.settings() as settings, clickhouse.connect_clickhouse(settings) as db:
        table, column, day = {  # the labels of fraud are known two days later
            "fraud": ("transaction_scores", "score", BEFORE - timedelta(days=1)),
            "movies": ("user_features", "total_interactions", BEFORE),
        }[place.pipeline]
        manifest = place.manifest("predict", day)
        prediction = find_usecase(place.pipeline).prediction(table)
        changed = db.read_partition(place.pipeline, prediction, day)
        values = pc.add(changed[column], 1)
        changed = changed.set_column(changed.column_names.index(column), column, values)
        staging = db.stage(place.pipeline, prediction, day, "skewed", changed)
        db.swap(place.pipeline, staging)
    rewrite(place, manifest, table, changed, prediction.key)
    gate = place.run("gate")
    skew = rows(place)["skew"]
    assert gate.facts["verdict"] == "rejected" and not skew["passed"] and skew["value"] > 0


def rewrite(place, manifest, name, content, key):
    """Have the manifest name the changed content, as if predict had computed it so."""
    digest = table_digest(content, key)
    outputs = [
        each.model_copy(update={"digest": digest}) if each.name == name else each
        for each in manifest.outputs
    ]
    place.lake.commit(manifest.model_copy(update={"outputs": outputs}))


def test_a_champion_whose_file_is_gone_is_met_by_nobody_and_is_replaced(at):
    place = at("gate")
    before = champion_of(place, BEFORE)
    (place.home / "lake" / model_path("fraud", before)).unlink()
    gate = place.run("gate")
    gone = rows(place)["champion_unfit"]
    assert (
        gate.facts["verdict"] == "promoted"
        and not gone["passed"]
        and before[:12] in gone["message"]
    )
    place.run("promote")
    assert champion_of(place) == gate.model_digest


def test_a_champion_of_other_features_is_met_by_nobody_and_is_replaced(at):
    place = at("gate")
    before = champion_of(place, BEFORE)
    model = load(place.lake.read_bytes(model_path("fraud", before)))
    facts = json.loads(model.booster.attr("nightshift"))
    model.booster.set_attr(
        nightshift=json.dumps(facts | {"features": [*facts["features"], "gone_since"]})
    )
    place.lake.write_bytes(model_path("fraud", before), model.to_bytes())
    gate = place.run("gate")
    checks = rows(place)
    assert "fitted on gone_since, which these features lack" in checks["champion_unfit"]["message"]
    assert gate.facts["verdict"] == "promoted" and checks["skew"]["passed"]


def test_late_data_is_no_skew(at):
    place = at("gate")
    day = BEFORE - timedelta(days=1)
    late = place.manifest("validate", day)
    outputs = [each.model_copy(update={"rows": each.rows + 1}) for each in late.outputs]
    place.lake.commit(late.model_copy(update={"outputs": outputs}))
    place.run("gate")
    assert rows(place)["skew"]["message"] == "no rows in common"


def test_a_model_that_was_rolled_back_is_not_promoted_again_unless_it_wins_anew(at):
    place = at("end")
    rolled_back = champion_of(place)
    place.set_params(gate={"floors": {}, "max_slice_loss": 1.0})
    place.run("rollback", what="model", reason="scores of merchants are off")
    former = champion_of(place)
    assert former != rolled_back
    # The same snapshot and parameters on the next day: train finds the very same model again.
    place.lake.commit(place.manifest("snapshot").model_copy(update={"date": AFTER}))
    assert place.run("train", AFTER).model_digest == rolled_back
    for draws_say, verdict in ((1.0, "rejected"), (-1.0, "promoted")):
        # The labels of the holdout are set so that the champion is clearly worse or better,
        # whatever the draw.
        favour(place, AFTER, former if draws_say > 0 else rolled_back)
        gate = place.run("gate", AFTER)
        reason = next(each for each in gate.facts["reasons"] if "rolled_back" in each)
        assert gate.facts["verdict"] == verdict and "must win again" in reason, gate.facts[
            "reasons"
        ]
    place.run("promote", AFTER)
    assert champion_of(place, AFTER) == rolled_back
