"""Housekeeping removes exactly what killed steps and old versions left, and no reader notices."""

from __future__ import annotations

import os
import time
from contextlib import closing
from datetime import timedelta

import pytest
import redis

from jobs.core import locks
from jobs.core.errors import DataError
from jobs.steps import leftovers
from jobs.stores import clickhouse
from jobs.training import checkpoints
from nights import BEFORE, DAY

EXTRACT = f"fraud/extract/{DAY}"
HALF_WRITTEN = ("fraud/models/.model.0123abcd", f"{EXTRACT}/.manifest.json.0123abcd")
NEVER_SERVED = "20180101-0123456789ab"
# Of a publish that died while it loaded: its row, and the first of its tables.
LITTER = {
    "file": 1,
    "half-written file": 2,
    "checkpoints": 1,
    "staging table": 1,
    "half load": 2,
    "keys": 1,
}
AGELESS = {
    "half load": 2,
    "keys": 1,
}  # whoever holds the lock on the pipeline knows that nobody works on them
KILLED = (
    "housekeeping.swap",
    "housekeeping.removing",
    "housekeeping.removing",
    "housekeeping.dropping",
    "redis.unlinking",
    "housekeeping.manifest",
)


@pytest.fixture
def place(at):
    """The night before its publish, after housekeeping, with an operational database of its own."""
    place = at("publish", own_source=True)
    age(place)
    place.run("housekeeping")
    return place


@pytest.fixture
def clean(place):
    """What there is, and what it says, when nothing is left over."""
    return everything(place), digests(place)


def litter(place):
    """What killed steps leave, in every store."""
    place.upstream(f"UPDATE transactions SET amount = amount + 1 WHERE event_time::date = '{DAY}'")
    for step, point in (("extract", "check"), ("gate", "check"), ("publish", "loading")):
        place.kill(step, f"{step}.{point}")
    for path in HALF_WRITTEN:
        (place.home / "lake" / path).write_bytes(b"half")
    training = checkpoints.of(place.lake, "fraud", "data of a training that was given up")
    for rounds in (50, 100):
        training.save("boost", rounds, b"trees")
    with closing(redis.Redis.from_url(place.redis)) as client:
        client.sadd("ns:fraud:versions", NEVER_SERVED)
        client.set(f"ns:fraud:{NEVER_SERVED}:customer_risk:1", "{}")


def age(place, days=30):
    """Files of the lake, and the tables of ClickHouse, as if made days ago."""
    then = time.time() - days * 86_400
    for folder, pattern in (("lake", "*"), ("clickhouse", "*.sql")):
        for path in (place.home / folder).rglob(pattern):
            os.utime(path, (then, then))


def everything(place):
    """Every file, table, publication and key by name, except housekeeping's own manifests."""
    lake = {
        str(path.relative_to(place.home))
        for path in (place.home / "lake").rglob("*")
        if path.is_file()
    }
    with place.settings() as settings, clickhouse.connect_clickhouse(settings) as db:
        tables = {
            row[0]
            for row in db.client.query(
                "SELECT name FROM system.tables WHERE database = 'fraud'"
            ).result_rows
        }
    relations = place.query(
        "SELECT relname FROM pg_class WHERE relnamespace = 'fraud'::regnamespace"
    )
    publications = place.query("SELECT version, state FROM publication")
    with closing(redis.Redis.from_url(place.redis)) as client:
        keys = set(client.scan_iter(match="ns:fraud:*", count=5000))
    return (
        {name for name in lake if "/housekeeping/" not in name},
        tables,
        set(relations),
        set(publications),
        keys,
    )


def digests(place):
    return {
        name: content for name, content in place.digests().items() if "/housekeeping/" not in name
    }


def named_files_are_there(place):
    named = set()
    for name in place.lake_digests():
        manifest = place.lake.manifest(name)
        named |= {dataset.path for dataset in (*manifest.inputs, *manifest.outputs)}
    files = {path for path in named if ":" not in path}  # of other stores it is `<store>:<table>`
    assert files and {path for path in files if not place.lake.exists(path)} == set()


def test_a_dry_run_says_what_would_go_and_changes_nothing(place, clean):
    litter(place)
    age(place)
    before, manifest = everything(place), place.manifest("housekeeping")
    facts = place.run("housekeeping", dry_run=True).facts
    assert facts == {"dry_run": True, "found": LITTER}
    assert everything(place) == before and place.manifest("housekeeping") == manifest
    assert before != clean[0]


def test_it_removes_exactly_the_leftovers_and_the_second_time_finds_nothing(place, clean):
    litter(place)
    age(place)
    facts = place.run("housekeeping").facts
    assert facts["found"] == facts["removed"] == LITTER and facts["bytes"] > 0
    assert (everything(place), digests(place)) == clean
    again = place.run("housekeeping").facts
    assert again["found"] == again["removed"] == {}


@pytest.mark.slow
def test_what_is_young_stays(place):
    litter(place)
    before = everything(place)
    facts = place.run("housekeeping").facts
    assert facts["found"] == facts["removed"] == AGELESS
    assert everything(place)[:2] == before[:2]


@pytest.mark.slow
def test_killed_anywhere_and_run_again_it_ends_the_same(place, clean):
    litter(place)
    age(place)
    said = place.manifest("housekeeping")
    for failpoint in KILLED:
        place.kill("housekeeping", failpoint)
        assert place.manifest("housekeeping") == said
        named_files_are_there(place)
    place.run("housekeeping")
    assert (everything(place), digests(place)) == clean


def test_a_step_under_way_keeps_its_files_and_what_it_writes_again_stays(place, clean):
    litter(place)
    age(place)
    with locks.hold(place.postgres, EXTRACT, "a running extract"):
        facts = place.run("housekeeping").facts
    beside = {"file": 1, "half-written file": 1}
    assert {kind: facts["found"][kind] - facts["removed"].get(kind, 0) for kind in beside} == beside
    orphans = everything(place)[0] - clean[0][0]
    extract = place.run("extract")
    assert (
        orphans
        == {
            f"lake/{EXTRACT}/.manifest.json.0123abcd",
            *(f"lake/{each.path}" for each in extract.outputs),
        }
        - clean[0][0]
    )
    age(place)
    assert place.run("housekeeping").facts["removed"] == {"half-written file": 1}
    named_files_are_there(place)


def test_what_a_step_names_after_it_was_found_stays(place, monkeypatch):
    """It is decided twice: the second time under the lock of the step that writes there."""
    litter(place)
    age(place)
    report = leftovers.report

    def extract_first(*found):
        place.run("extract")
        return report(*found)

    monkeypatch.setattr(leftovers, "report", extract_first)
    facts = place.run("housekeeping").facts
    assert facts["found"] == LITTER
    assert facts["removed"].get("file", 0) == 0
    named_files_are_there(place)


def test_a_damaged_manifest_ends_it_before_anything_is_removed(place):
    litter(place)
    age(place)
    (place.home / "lake" / EXTRACT / "manifest.json").write_text("{")
    before = everything(place)
    with pytest.raises(DataError, match=r"manifest\.json is damaged"):
        place.run("housekeeping")
    assert everything(place) == before


def test_versions_past_retention_go_and_what_is_served_stays(at):
    """By the section of publish; killed between DETACH and DROP it ends what it began."""
    place = at("end")
    before = place.serving()
    place.set_params(publish={"keep_versions": 2, "keep_days": 1})
    place.query("UPDATE publication SET left_at = left_at - interval '1 hour'")
    assert place.run("housekeeping", dry_run=True).facts["found"]["version"] == 3
    assert place.serving() == before
    place.kill("housekeeping", "publish.detach")
    facts = place.run("housekeeping").facts
    assert facts["found"] == facts["removed"] == {"half load": 1, "version": 2}
    after, expired = place.serving(), f"{BEFORE - timedelta(days=1):%Y%m%d}"
    assert {name: after[name] for name in ("served", "redis")} == {
        name: before[name] for name in ("served", "redis")
    }
    assert (
        place.query(f"SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '_{expired}_'")
        == []
    )
