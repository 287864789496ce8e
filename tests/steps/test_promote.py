"""What promote leaves in MLflow, which only mirrors `promotions`."""

from __future__ import annotations

from jobs.stores import registry
from jobs.stores.registry import CHALLENGER, CHAMPION, DIGEST_TAG, SNAPSHOT_TAG


def test_a_promoted_version_carries_its_tags_and_the_aliases(at):
    place = at("promote")
    place.run("promote")
    challenger, snapshot = place.manifest("train"), place.manifest("snapshot")
    with place.settings() as chosen, registry.connect(chosen) as client:
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
