"""What promote leaves in MLflow, which only mirrors `promotions`."""

from __future__ import annotations

from pathlib import Path

from jobs.steps.models import card_path
from jobs.stores import registry
from jobs.stores.registry import CHALLENGER, CHAMPION, DIGEST_TAG, SNAPSHOT_TAG
from nights import DAY


def test_a_promoted_version_carries_its_tags_and_the_aliases(at):
    place = at("promote")
    place.run("promote")
    challenger, snapshot = place.manifest("train"), place.manifest("snapshot")
    with place.settings() as settings, registry.connect_mlflow(settings) as client:
        version = client.get_model_version_by_alias("fraud", CHAMPION)
        assert client.get_model_version_by_alias("fraud", CHALLENGER).version == version.version
    wanted = {
        DIGEST_TAG: challenger.model_digest,
        SNAPSHOT_TAG: snapshot.facts["snapshot_md5"],
        "verdict": "promoted",
        "params_digest": challenger.params_digest,
        "code_version": challenger.code_version,
    }
    assert {name: version.tags[name] for name in wanted} == wanted and version.tags["date"]


def test_a_promoted_version_is_described_by_its_card(at, tmp_path):
    place = at("promote")
    place.run("promote")
    digest = place.manifest("promote").model_digest
    card = place.lake.read_bytes(card_path("fraud", digest)).decode()
    with place.settings() as settings, registry.connect_mlflow(settings) as client:
        version = client.get_model_version_by_alias("fraud", CHAMPION)
        file = client.download_artifacts(version.run_id, registry.CARD, str(tmp_path))
    assert version.description == card and Path(file).read_text() == card
    assert card.startswith(f"# fraud, model of {DAY}") and digest in card


def test_an_alias_that_somebody_removed_costs_nothing_and_comes_back(at):
    place = at("predict")
    champion = place.manifest("promote").model_digest
    with place.settings() as settings, registry.connect_mlflow(settings) as client:
        client.delete_registered_model_alias("fraud", CHAMPION)
    place.run("predict")
    assert place.manifest("predict").model_digest == champion
    place.run("publish")
    with place.settings() as settings, registry.connect_mlflow(settings) as client:
        assert client.get_model_version_by_alias("fraud", CHAMPION).tags[DIGEST_TAG] == champion


def test_a_card_too_long_for_mlflow_is_cut_there_and_whole_in_the_run(at, tmp_path):
    place = at("predict")
    digest, card = place.manifest("promote").model_digest, "word " * 2_000
    with place.settings() as settings, registry.connect_mlflow(settings) as client:
        registry.describe(settings, "fraud", digest, card)
        version = client.get_model_version("fraud", registry.version_of(client, "fraud", digest))
        file = client.download_artifacts(version.run_id, registry.CARD, str(tmp_path))
    assert len(version.description) <= registry.DESCRIPTION and registry.CARD in version.description
    assert Path(file).read_text() == card
