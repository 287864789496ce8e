"""Bad input through extract and validate on a real database: each kind is named, no row is lost."""

from __future__ import annotations

import pytest
from bad_rows import ACTED, CASES, ONE, RATING, REPORTED, REQUIRED, TODAY

from jobs.core.errors import DataError
from jobs.steps.validate import REASON, split
from jobs.usecases.discovery import find_usecase
from jobs.usecases.fraud.params import FraudValidateParams
from nights import AFTER, BEFORE, DAY, Place, database_of


@pytest.fixture
def place(upstream, databases, tmp_path, pipeline):
    """An operational database without keys, since no upstream promises them; an empty lake."""
    with databases("source", database_of(upstream)) as source, databases("serving") as serving:
        installation = Place(tmp_path / "home", source, serving, "", pipeline)
        installation.home.mkdir()
        installation.set_params()
        for table, columns in REQUIRED[pipeline].items():
            installation.upstream(f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey")
            for column in columns:
                installation.upstream(f"ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL")
        yield installation


def validated(place):
    """(manifest of extract, of validate); each source row is either a good row or quarantined."""
    extract, validate = place.run("extract"), place.run("validate")
    for source in find_usecase(place.pipeline).sources:
        good, bad = validate.output(source.name), validate.output(f"quarantine-{source.name}")
        assert good.rows + bad.rows == extract.output(source.name).rows
        assert place.lake.read_table(bad)[REASON].null_count == 0
    return extract, validate


@pytest.mark.parametrize(
    ("pipeline", "source", "statement", "reason", "count"),
    [
        pytest.param(pipeline, source, *case, id=f"{source}: {name}")
        for pipeline, tables in CASES.items()
        for source, cases in tables.items()
        for name, case in cases.items()
    ],
    indirect=["pipeline"],
)
def test_a_bad_row_is_quarantined_with_its_reason(place, source, statement, reason, count):
    place.set_params(validate={"max_bad_fraction": 1.0})
    place.upstream(statement)
    _, validate = validated(place)
    others = {each.name for each in find_usecase(place.pipeline).sources} - {source}
    assert validate.facts[f"quarantine-{source}"] == {reason: count}
    assert all(
        validate.facts[f"quarantine-{other}"] in ({}, {"label of an unknown transaction": 1})
        for other in others
    )


MOVIES = pytest.mark.parametrize("pipeline", ["movies"], indirect=True)
TITLES = ("千と千尋の神隠し", "Amélie :: Le fabuleux destin", 'נאד, "quoted", \'; 👩‍👩‍👧 e\u0301')


@MOVIES
def test_titles_of_any_script_and_movies_of_which_little_is_known_are_good(place):
    for number, title in enumerate(TITLES):
        place.upstream(f"INSERT INTO movies VALUES ('new-{number}', $${title}$$, NULL, NULL)")
    _, validate = validated(place)
    assert validate.facts["quarantine-movies"] == {}
    rows = place.lake.read_table(validate.output("movies")).to_pylist()
    new = [row for row in rows if row["movie_id"].startswith("new-")]
    assert [row["title"] for row in new] == [*TITLES]
    assert {(row["year"], row["genres"]) for row in new} == {(None, None)}


@MOVIES
def test_a_day_of_one_rating_and_a_day_of_none_are_warned_of_and_go_on(place):
    place.upstream(f"DELETE FROM user_interactions WHERE {ACTED} AND NOT {RATING}")
    for rows in (1, 0):
        extract, validate = validated(place)
        assert (
            extract.output("user_interactions").rows == validate.facts["user_interactions"] == rows
        )
        (volume,) = [
            check for check in validate.checks if check["name"] == "user_interactions.volume"
        ]
        assert (volume["passed"], volume["severity"]) == (False, "warn")
        place.upstream(f"DELETE FROM user_interactions WHERE {ACTED}")


@MOVIES
def test_ratings_of_times_far_outside_belong_to_no_day_of_the_night(place):
    extract = place.run("extract")
    for moment in ("1900-01-01", "9999-12-31 23:59:59.999999Z", "infinity", "-infinity"):
        place.upstream(
            "INSERT INTO user_interactions SELECT 'far-' || id, user_id, movie_id, "
            "interaction_type, value,"
            f" timestamptz '{moment}' FROM user_interactions WHERE {RATING}"
        )
        place.upstream("UPDATE user_interactions SET id = id || random() WHERE id LIKE 'far-%'")
    assert place.run("extract").content == extract.content


def test_the_quarantine_tells_what_the_unreadable_cell_held(place):
    place.upstream("ALTER TABLE transactions ALTER amount TYPE text")
    place.upstream(f"UPDATE transactions SET amount = 'twelve' WHERE {ONE}")
    _, validate = validated(place)
    (row,) = place.lake.read_table(validate.output("quarantine-transactions")).to_pylist()
    assert row[REASON] == "amount is not a number: twelve"


def test_other_types_that_say_the_same_change_nothing(place):
    extract, validate = validated(place)
    place.upstream(
        "ALTER TABLE transactions ALTER amount TYPE text, ALTER card_last_4 TYPE integer USING 1"
    )
    place.upstream("UPDATE transactions SET card_last_4 = 1")
    place.upstream(
        "ALTER TABLE transactions ALTER event_time TYPE timestamp "
        "USING event_time AT TIME ZONE 'UTC'"
    )
    other_extract, other = validated(place)
    assert other.facts["quarantine-transactions"] == validate.facts["quarantine-transactions"] == {}
    assert other_extract.output("fraud_labels").digest == extract.output("fraud_labels").digest
    same = ("transaction_id", "event_time", "amount_minor")
    tables = [
        place.lake.read_table(each.output("transactions"), same) for each in (validate, other)
    ]
    assert tables[0].equals(tables[1])


def test_over_the_limit_the_step_fails_with_counts_and_the_quarantine(place):
    place.upstream(
        f"UPDATE transactions SET amount = -1 WHERE {TODAY} AND customer_id < 'C0000020'"
    )
    extract = place.run("extract")
    with pytest.raises(DataError) as raised:
        place.run("validate")
    (bad,) = place.upstream(f"SELECT count(*) FROM transactions WHERE {TODAY} AND amount < 0")[0]
    error, rows = raised.value, extract.output("transactions").rows
    assert bad / rows > 0.05
    assert error.where == f"fraud/validate {DAY}" and error.exit_code == 65
    assert (
        f"{bad / rows:.4g} against 0.05" in error.what and f"'negative amount': {bad}" in error.what
    )
    assert place.lake.exists(error.input) and "quarantine-transactions" in error.input
    assert place.manifest("validate") is None
    with pytest.raises(DataError, match=f"validate has not run for {DAY}"):
        place.run("build_features")


def test_a_column_that_is_missing_is_named(place):
    place.upstream("ALTER TABLE transactions DROP COLUMN merchant_id")
    with pytest.raises(DataError, match="transactions has no column merchant_id"):
        place.run("extract")


def test_a_table_that_is_missing_is_named(place):
    place.upstream("DROP TABLE fraud_labels")
    with pytest.raises(DataError, match="the source has no table fraud_labels"):
        place.run("extract")


def test_a_time_as_text_is_named(place):
    place.upstream("ALTER TABLE transactions ALTER event_time TYPE text")
    with pytest.raises(
        DataError,
        match=r"transactions\.event_time has the type text, by which no day can be selected",
    ):
        place.run("extract")


def test_a_column_that_nobody_reads_is_reported_and_harms_nothing(place):
    extract = place.run("extract")
    place.upstream("ALTER TABLE transactions ADD COLUMN note text DEFAULT 'x'")
    other = place.run("extract")
    assert other.content == extract.content
    assert (
        other.facts["unread_columns"] == ["transactions.note"]
        and "unread_columns" not in extract.facts
    )


def test_rows_of_another_day_are_quarantined(place):
    """No query returns such rows; other writers to the lake get the reason all the same."""
    extract = place.run("extract")
    source = find_usecase("fraud").sources[0]
    table = place.lake.read_table(extract.output(source.name))
    good, bad = split(table, source, AFTER, FraudValidateParams())
    assert good.num_rows == 0 and set(bad[REASON].to_pylist()) == {f"event_time is not on {AFTER}"}


def test_a_label_is_not_seen_before_the_day_of_its_report(place):
    extract = place.run("extract")
    place.upstream(
        f"INSERT INTO fraud_labels SELECT min(transaction_id), true, '{AFTER} 00:00Z' "
        f"FROM transactions WHERE {TODAY}"
    )
    assert place.run("extract").content == extract.content
    later = place.run("extract", AFTER)
    reported = place.lake.read_table(later.output("fraud_labels"), ["transaction_id"])[
        "transaction_id"
    ].to_pylist()
    assert (
        place.upstream(f"SELECT min(transaction_id) FROM transactions WHERE {TODAY}")[0][0]
        in reported
    )


def test_an_empty_day_fails_unless_it_is_known_to_be_quiet(place):
    place.upstream(f"DELETE FROM transactions WHERE {TODAY}")
    place.upstream(f"DELETE FROM fraud_labels WHERE {REPORTED}")
    assert place.run("extract").output("transactions").rows == 0
    with pytest.raises(
        DataError, match=r"transactions\.volume: 0 against 0\.5 of the trailing mean"
    ) as raised:
        place.run("validate")
    assert "quiet_days" in raised.value.remedy and place.manifest("validate") is None
    place.set_params(validate={"quiet_days": [DAY]})
    _, validate = validated(place)
    assert [each.rows for each in validate.outputs] == [0, 0, 0, 0]


def test_half_a_day_fails_or_warns_as_params_say(place):
    place.upstream(f"DELETE FROM transactions WHERE {TODAY} AND event_time >= '{DAY} 08:00Z'")
    place.run("extract")
    with pytest.raises(
        DataError, match=r"transactions\.volume: 0\.\d+ against 0\.5 of the trailing mean"
    ):
        place.run("validate")
    place.set_params(validate={"volume_severity": "warn"})
    _, validate = validated(place)
    (volume,) = [check for check in validate.checks if check["name"] == "transactions.volume"]
    assert not volume["passed"] and volume["severity"] == "warn"


def test_the_volume_is_held_against_the_days_that_the_source_has(place):
    """The first day has no earlier days to compare with."""
    extract = place.run("extract", BEFORE)
    counted = place.upstream(
        "SELECT count(*) / 3.0 FROM transactions "
        f"WHERE event_time >= date '{BEFORE}' - 3 AND event_time < '{BEFORE}'"
    )
    assert extract.facts["trailing_mean"]["transactions"] == pytest.approx(float(counted[0][0]))
    first = BEFORE.replace(day=1)
    place.run("extract", first)
    assert place.run("validate", first).facts["transactions"] > 0


@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: _flip(data)]
)
def test_a_damaged_file_of_the_lake_is_named_and_mended_by_its_step(place, damage):
    path = place.home / "lake" / place.run("extract").output("transactions").path
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    with pytest.raises(DataError, match="cannot be read") as raised:
        place.run("validate")
    assert (
        raised.value.input in str(path)
        and "run the step that wrote it again" in raised.value.remedy
    )
    place.run("extract")
    assert path.read_bytes() == whole
    place.run("validate")


def _flip(data):
    """One bit of the first page."""
    return data[:64] + bytes([data[64] ^ 1]) + data[65:]


def test_an_upstream_that_speaks_another_encoding_is_read_as_what_it_means(place):
    place.upstream(f"UPDATE transactions SET device_type = 'café' WHERE {ONE}")
    extract = place.run("extract")
    place.upstream(f"ALTER DATABASE {database_of(place.source)} SET client_encoding = 'LATIN1'")
    assert place.run("extract").content == extract.content
    types = place.lake.read_table(extract.output("transactions"), ["device_type"])[
        "device_type"
    ].to_pylist()
    assert types.count("café") == 1
