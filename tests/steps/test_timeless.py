"""A table without time: D keeps its extracted rows until somebody asks for today's table."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from nights import BEFORE, DAY

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("pipeline", ["movies"], indirect=True),
]
RENAME = "UPDATE movies SET title = title || ' (restored)', genres = 'Musical'"
ARRIVE = "INSERT INTO movies VALUES ('arrived', 'Late Arrival', 2018, 'Drama')"


@pytest.fixture
def place(at):
    """The source has changed since its night."""
    installation = at("end", own_source=True)
    installation.upstream(RENAME)
    installation.upstream(ARRIVE)
    return installation


def movies(place, step):
    return place.lake.read_table(place.manifest(step).output("movies"))


def test_extracted_again_the_day_keeps_its_catalogue(place):
    before, ended = movies(place, "extract"), place.digests()
    manifest = place.run("extract")
    assert movies(place, "extract").equals(before) and manifest.facts["movies"] == before.num_rows
    place.run("validate")
    assert place.digests() == ended and place.stale() == set()


def test_late_interactions_come_beside_the_catalogue_that_the_day_has(place):
    before = movies(place, "extract")
    place.upstream(
        "INSERT INTO user_interactions (id, user_id, movie_id, interaction_type, timestamp)"
        f" VALUES ('late', 'u', 'arrived', 'like', '{DAY} 12:00Z')"
    )
    rows = place.manifest("extract").output("user_interactions").rows
    assert place.run("extract").output("user_interactions").rows == rows + 1
    assert movies(place, "extract").equals(before)
    assert place.stale() == {("validate", DAY)}


def test_refreshed_the_day_takes_the_new_catalogue_and_marks_what_used_the_old(place):
    of_the_day_before = place.manifest("extract", BEFORE).content
    before = movies(place, "extract")
    command = place.nightshift("extract", "--pipeline", "movies", "--date", str(DAY), "--refresh")
    said, _ = command.communicate(timeout=300)
    assert command.returncode == 0, said
    catalogue = movies(place, "extract").to_pylist()
    assert len(catalogue) == before.num_rows + 1
    assert all(row["genres"] == "Musical" for row in catalogue if row["movie_id"] != "arrived")
    assert place.stale() == {("validate", DAY)}
    place.run("validate")
    assert place.stale() == {
        (step, DAY) for step in ("build_features", "snapshot", "check_drift", "train", "predict")
    }
    assert place.manifest("extract", BEFORE).content == of_the_day_before


def test_an_empty_catalogue_is_said(place):
    place.upstream("DELETE FROM movies")
    command = place.nightshift("extract", "--pipeline", "movies", "--date", str(DAY), "--refresh")
    said, _ = command.communicate(timeout=300)
    assert command.returncode == 0 and movies(place, "extract").num_rows == 0
    assert (
        "the source has no rows in a table that every day needs" in said and "table=movies" in said
    )


def test_a_catalogue_that_the_lake_lost_is_read_again(place):
    """Kept as it was, it would stay damaged for ever."""
    kept = place.run("extract").output("movies")
    (place.home / "lake" / kept.path).write_bytes(b"damaged")
    output = place.run("extract").output("movies")
    assert output.digest != kept.digest and output.rows == kept.rows + 1
    assert place.stale() == {("validate", DAY)}


def test_a_catalogue_read_before_the_day_was_over_is_read_again(place):
    manifest = place.manifest("extract")
    noon = datetime(DAY.year, DAY.month, DAY.day, 12, tzinfo=UTC)
    place.lake.commit(manifest.model_copy(update={"started": noon}))
    rows = manifest.output("movies").rows
    assert place.run("extract").output("movies").rows == rows + 1
    assert place.run("extract").output("movies").rows == rows + 1
