"""Every step again, and the whole night again: nothing that anybody can see changes."""

from __future__ import annotations

from jobs.core.steps import NIGHTLY
from nights import BEFORE, DAY
from prepared_night import EACH


@EACH
def test_each_step_again_and_the_day_before_again_change_nothing(at):
    """In the order of the night, so that what a step writes has met every later step once more."""
    place = at("end")
    before = place.digests()
    assert before["served"][0].startswith(f"{DAY:%Y%m%d}") and before["served"][1].startswith(
        f"{BEFORE:%Y%m%d}"
    )
    for step in (*NIGHTLY, "reconcile"):
        place.run(step)
        again = place.digests()
        again.pop(f"{place.pipeline}/reconcile/{DAY}", None)
        assert again == before, step
