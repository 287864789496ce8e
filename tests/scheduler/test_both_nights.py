"""Both use cases in one night of one installation: neither harms the other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nights import DAY
from prepared_night import live_until_the_day

DAGS = {"fraud": "fraud_scores", "movies": "movie_recommendations"}


@pytest.mark.slow
@pytest.mark.nights("fraud", "movies")
@pytest.mark.timeout(1500)
def test_both_nights_at_once_end_as_each_alone(prepared, scheduled):
    alone = {name: prepared(name)["end"].digests for name in DAGS}
    with scheduled("extract") as platform:
        places = {name: replace(platform.place, pipeline=name) for name in DAGS}
        live_until_the_day(places["movies"])
        with platform.api("oncall") as api:
            runs = {name: api.trigger(dag, DAY) for name, dag in DAGS.items()}
            states = {name: api.wait(DAGS[name], run, 900) for name, run in runs.items()}
        assert states == dict.fromkeys(DAGS, "success")
        for name, place in places.items():
            assert place.digests() == alone[name], name
        assert platform.leftovers() == []
