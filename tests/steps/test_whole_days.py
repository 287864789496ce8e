"""A day is worked on once it is over; what was read of it before is stale."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.cli import entry as cli
from jobs.cli.night import missing_days
from jobs.core.errors import ConfigError, DataError
from jobs.core.identity import Run
from jobs.core.settings import PROJECT, Settings
from jobs.core.steps import STEPS
from jobs.steps import frame
from jobs.stores import lineage
from nights import BEFORE, DAY, INGEST

TODAY = datetime.now(UTC).date()


@pytest.mark.parametrize("step", STEPS)
def test_no_step_runs_for_a_day_that_is_not_over(step):
    nowhere = Settings(Path("/nowhere"), PROJECT / "params.yaml")
    with pytest.raises(ConfigError, match=f"{TODAY} is not over yet"):
        frame.execute(Run("fraud", step, TODAY), nowhere)


@pytest.mark.parametrize(
    "words",
    [
        ("run", "fraud", "--date"),
        ("extract", "--pipeline", "fraud", "--date"),
        ("freshness", "--pipeline", "movies", "--date"),
        ("rollback", "fraud", "--reason", "bad", "--date"),
        ("backtest", "fraud", "--start"),
    ],
    ids=lambda words: words[0],
)
def test_no_command_takes_such_a_day(words):
    cli._mount()
    with pytest.raises(ConfigError, match="is not over yet"):
        CliRunner().invoke(cli.app, [*words, str(TODAY)], catch_exceptions=False)


def cut_short(place, step, day):
    """The manifest that the step would have left, had it run at noon of the day."""
    manifest = place.manifest(step, day)
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    place.lake.commit(
        manifest.model_copy(update={"started": noon, "ended": noon + timedelta(seconds=9)})
    )


def test_what_was_extracted_before_the_day_was_over_is_stale_and_nobody_looks_back_on_it(at):
    place = at("snapshot")
    for step in INGEST:
        cut_short(place, step, BEFORE)
    stale_steps = list(lineage.stale(lineage.manifests(place.lake, "fraud"), {}))
    why = "it ran before that day was over"
    assert {(each.step, each.because) for each in stale_steps if each.date == BEFORE} == {
        (step, why) for step in INGEST
    }
    for step, day in (("validate", BEFORE), ("snapshot", DAY), ("predict", DAY)):
        with pytest.raises(
            DataError, match=f"(?s){BEFORE} ran before the day was over.*run these days"
        ):
            place.run(step, day)
    with place.settings() as settings:
        assert missing_days(settings, "fraud", DAY) == [BEFORE]
    place.ingest(BEFORE, BEFORE)
    assert not [
        each
        for each in lineage.stale(lineage.manifests(place.lake, "fraud"), {})
        if each.date == BEFORE
    ]
    place.run("snapshot")
