"""`nightshift rollback`: a dry run unless told otherwise, dated by the newest night unless told otherwise."""

from __future__ import annotations

import pytest

from jobs.cli import manage
from jobs.core.errors import DataError
from jobs.stores import promotions
from nights import DAY


def test_it_changes_nothing_until_it_is_told_to_and_counts_from_the_newest_night(at, capsys):
    place = at("end")
    before = place.serving()
    with place.settings():
        manage.rollback("fraud", "scores are off", by="ana")
        said = capsys.readouterr().out
        assert (
            "dry run, nothing was changed" in said
            and place.serving() == before
            and place.manifest("rollback") is None
        )
        manage.rollback("fraud", "scores are off", by="ana", dry_run=False)
    left, former = before["served"]
    assert place.serving()["served"][0] == former and f"{left} -> {former}" in said
    last = promotions.history(place.postgres, "fraud")[-1]
    assert (last.kind, last.date, last.approved_by) == ("rollback", DAY, "ana")


def test_where_nothing_was_ever_served_it_says_so(at):
    place = at("extract")
    place.query("TRUNCATE promotions; DELETE FROM served")
    with place.settings(), pytest.raises(DataError, match="neither a model nor tables"):
        manage.rollback("fraud", "scores are off")
