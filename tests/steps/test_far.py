"""A date given by hand that is far from all data asks for --force, before anything is written."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from jobs.core.errors import DataError
from jobs.core.params import ExtractParams
from jobs.source.database import writing
from jobs.usecases.fraud.operational.tables import TABLES
from nights import Place

KNOWN = date(2018, 4, 10)
GAP = ExtractParams().max_gap_days


def away(days):
    return KNOWN + timedelta(days=days)


@pytest.fixture
def place(serving_db, source_db, redis_url, tmp_path):
    """An installation with the tables in its source, but no rows."""
    home = tmp_path / "home"
    home.mkdir()
    with writing(source_db, TABLES):
        pass
    made = Place(home, source_db, serving_db, redis_url)
    made.set_params()
    return made


def one_transaction(place, day=KNOWN):
    place.upstream(
        f"INSERT INTO transactions VALUES ('T{day}', '{day} 23:59:59', 'C', 'M', 1.0, 'EUR', 'DE', "
        "'pos', NULL)"
    )


@pytest.mark.parametrize("days", [-GAP, -1, 0, 1, GAP])
def test_an_empty_day_near_data_runs(place, days):
    one_transaction(place)
    assert place.run("extract", away(days)).facts["transactions"] == (1 if days == 0 else 0)


@pytest.mark.parametrize("days", [-3000, -GAP - 1, GAP + 1, 3000])
def test_a_day_far_from_all_data_is_refused_and_nothing_is_written(place, days):
    one_transaction(place)
    with pytest.raises(DataError) as caught:
        place.run("extract", away(days))
    assert f"more than {GAP} days from every day" in str(caught.value) and "--force" in str(
        caught.value
    )
    assert f"nearest days with rows: {KNOWN}" in str(caught.value)
    assert place.lake.listing("fraud") == []
    assert place.run("extract", away(days), force=True).facts["transactions"] == 0
    # What the lake has may run again; it brings no other empty day nearer.
    place.run("extract", away(days))
    with pytest.raises(DataError, match="--force"):
        place.run("extract", away(days + (1 if days > 0 else -1)))


def test_a_report_alone_makes_a_day_and_an_empty_source_compares_with_the_lake(place):
    place.run("extract", away(-3000))  # nothing anywhere: there is nothing to compare with
    one_transaction(place)
    place.upstream(f"INSERT INTO fraud_labels VALUES ('T{KNOWN}', true, '{away(60)} 12:00')")
    place.run("extract", away(60 + GAP))
    place.run("extract", KNOWN)
    place.upstream("TRUNCATE transactions; TRUNCATE fraud_labels")
    place.run("extract", away(GAP))
    with pytest.raises(DataError, match=f"nearest days with rows: {KNOWN}"):
        place.run("extract", away(GAP + 1))


def test_a_whole_night_is_refused_before_its_look_back_is_ingested(place):
    one_transaction(place)
    night = place.nightshift("run", "fraud", "--date", "2026-11-27")
    output, _ = night.communicate(timeout=180)
    assert night.returncode == DataError.exit_code and "--force" in output, output
    assert place.lake.listing("fraud") == []


def test_the_limit_makes_no_day_stale():
    assert ExtractParams(max_gap_days=5).digest == ExtractParams().digest
    assert ExtractParams(volume_window_days=5).digest != ExtractParams().digest
