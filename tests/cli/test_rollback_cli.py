"""`nightshift rollback`: a dry run by default, dated by the newest night by default."""

from __future__ import annotations

from jobs.core.errors import DataError
from jobs.serving import promotions
from nights import DAY


def rollback(place, *options):
    """(exit code, what it said)"""
    command = place.nightshift(
        "rollback", "fraud", "--reason", "scores are off", "--by", "ana", *options
    )
    said, _ = command.communicate(timeout=120)
    return command.returncode, said


def test_it_changes_nothing_until_it_is_told_to_and_counts_from_the_newest_night(at):
    place = at("end")
    before = place.serving()
    left, former = before["served"]
    code, said = rollback(place)
    assert code == 0 and "dry run, nothing was changed" in said and f"{left} -> {former}" in said, (
        said
    )
    assert place.serving() == before and place.manifest("rollback") is None
    code, said = rollback(place, "--no-dry-run")
    assert code == 0 and place.serving()["served"][0] == former, said
    last = promotions.history(place.postgres, "fraud")[-1]
    assert (last.kind, last.date, last.approved_by) == ("rollback", DAY, "ana")


def test_where_nothing_was_ever_served_it_says_so(at):
    place = at("extract")
    place.query("TRUNCATE promotions; DELETE FROM served")
    code, said = rollback(place)
    assert code == DataError.exit_code and "neither a model nor tables" in said
