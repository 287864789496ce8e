"""Bad input, through extract and validate, from a real operational database: each kind is named, no row is lost."""

from __future__ import annotations

import pytest

from jobs.core.errors import DataError
from jobs.core.usecase import sources
from jobs.fraud.params import FraudValidateParams
from jobs.steps.validate import REASON, split
from nights import AFTER, BEFORE, DAY, Place, database_of

REQUIRED = {
    "transactions": ("transaction_id", "event_time"),
    "fraud_labels": ("transaction_id", "is_fraud", "reported_at"),
}
TODAY = f"event_time >= '{DAY}' AND event_time < '{AFTER}'"
REPORTED = f"reported_at >= '{DAY}' AND reported_at < '{AFTER}'"
ONE = f"transaction_id = (SELECT min(transaction_id) FROM transactions WHERE {TODAY})"
LABEL = f"transaction_id = (SELECT min(transaction_id) FROM fraud_labels WHERE {REPORTED})"


@pytest.fixture
def place(upstream, databases, tmp_path):
    """An operational database without keys, which no upstream promises; its lake holds nothing yet."""
    with databases("source", database_of(upstream)) as source, databases("serving") as serving:
        found = Place(tmp_path / "home", source, serving, "")
        found.home.mkdir()
        found.set_params()
        for table, columns in REQUIRED.items():
            found.upstream(f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey")
            for column in columns:
                found.upstream(f"ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL")
        yield found


def validated(place):
    """(manifest of extract, manifest of validate), every row of every source being in one of validate's halves."""
    extract, validate = place.run("extract"), place.run("validate")
    for source in sources("fraud"):
        good, bad = validate.output(source.name), validate.output(f"quarantine-{source.name}")
        assert good.rows + bad.rows == extract.output(source.name).rows
        assert place.lake.read_table(bad)[REASON].null_count == 0
    return extract, validate


def again(values):
    """One transaction once more, with other values."""
    names = [*"event_time customer_id merchant_id amount currency country device_type card_last_4".split()]  # noqa: SIM905
    columns = ", ".join(str(values.get(name, name)) for name in ("transaction_id", *names))
    return f"INSERT INTO transactions (transaction_id, {', '.join(names)}) SELECT {columns} FROM transactions WHERE {ONE}"


TRANSACTIONS = {
    "nan": (f"UPDATE transactions SET amount = 'NaN' WHERE {ONE}", "amount is not a number", 1),
    "negative": (f"UPDATE transactions SET amount = -0.01 WHERE {ONE}", "negative amount", 1),
    "absurd": (f"UPDATE transactions SET amount = 100000.01 WHERE {ONE}", "absurd amount (over 10000000)", 1),
    "no amount": (f"UPDATE transactions SET amount = NULL WHERE {ONE}", "missing amount_minor", 1),
    "no customer": (f"UPDATE transactions SET customer_id = '' WHERE {ONE}", "missing customer_id", 1),
    "no id": (f"UPDATE transactions SET transaction_id = NULL WHERE {ONE}", "missing transaction_id", 1),
    "twice": (again({}), "duplicate, same content", 1),
    "two contents": (again({"amount": "amount + 1"}), "duplicate key, different content", 2),
    "replaced bytes": (f"UPDATE transactions SET merchant_id = 'M\ufffd' WHERE {ONE}", "text in an unknown encoding", 1),
    "control character": (f"UPDATE transactions SET country = E'F\\nR' WHERE {ONE}", "text in an unknown encoding", 1),
    "third decimal": (
        f"ALTER TABLE transactions ALTER amount TYPE numeric; UPDATE transactions SET amount = 1.005 WHERE {ONE}",
        "amount is not a number", 1,
    ),
    "amount as text": (
        f"ALTER TABLE transactions ALTER amount TYPE text; UPDATE transactions SET amount = 'twelve' WHERE {ONE}",
        "amount is not a number", 1,
    ),
}  # fmt: skip
LABELS = {
    "unknown": (f"INSERT INTO fraud_labels VALUES ('nobody', true, '{DAY} 12:00Z')", "label of an unknown transaction", 1),
    "too early": (
        f"INSERT INTO fraud_labels SELECT min(transaction_id), true, '{DAY} 12:00Z' FROM transactions"
        f" WHERE event_time >= '{AFTER}'",
        "reported before its transaction", 1,
    ),
    "twice": (f"INSERT INTO fraud_labels SELECT * FROM fraud_labels WHERE {LABEL}", "duplicate, same content", 1),
    "two contents": (
        f"INSERT INTO fraud_labels SELECT transaction_id, NOT is_fraud, reported_at FROM fraud_labels WHERE {LABEL}",
        "duplicate key, different content", 2,
    ),
    "neither true nor false": (
        f"ALTER TABLE fraud_labels ALTER is_fraud TYPE text; UPDATE fraud_labels SET is_fraud = 'perhaps' WHERE {LABEL}",
        "is_fraud is not true or false", 1,
    ),
    "nothing": (f"UPDATE fraud_labels SET is_fraud = NULL WHERE {LABEL}", "missing is_fraud", 1),
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "statement", "reason", "count"),
    [
        pytest.param(source, *case, id=f"{source}: {name}")
        for source, cases in {"transactions": TRANSACTIONS, "fraud_labels": LABELS}.items()
        for name, case in cases.items()
    ],
)
def test_a_bad_row_is_quarantined_with_its_reason(place, source, statement, reason, count):
    place.set_params(validate={"max_bad_fraction": 1.0})
    place.upstream(statement)
    _, validate = validated(place)
    others = {each.name for each in sources("fraud")} - {source}
    assert validate.facts[f"quarantine-{source}"] == {reason: count}
    assert all(
        validate.facts[f"quarantine-{other}"] in ({}, {"label of an unknown transaction": 1})
        for other in others
    )


def test_the_quarantine_tells_what_the_unreadable_cell_held(place):
    place.upstream("ALTER TABLE transactions ALTER amount TYPE text")
    place.upstream(f"UPDATE transactions SET amount = 'twelve' WHERE {ONE}")
    _, validate = validated(place)
    (row,) = place.lake.read_table(validate.output("quarantine-transactions")).to_pylist()
    assert row[REASON] == "amount is not a number: twelve"


def test_other_types_that_say_the_same_change_nothing(place):
    extract, validate = validated(place)
    place.upstream("ALTER TABLE transactions ALTER amount TYPE text, ALTER card_last_4 TYPE integer USING 1")
    place.upstream("UPDATE transactions SET card_last_4 = 1")
    place.upstream(
        "ALTER TABLE transactions ALTER event_time TYPE timestamp USING event_time AT TIME ZONE 'UTC'"
    )
    other_extract, other = validated(place)
    assert other.facts["quarantine-transactions"] == validate.facts["quarantine-transactions"] == {}
    assert other_extract.output("fraud_labels").digest == extract.output("fraud_labels").digest
    same = ("transaction_id", "event_time", "amount_minor")
    tables = [place.lake.read_table(each.output("transactions"), same) for each in (validate, other)]
    assert tables[0].equals(tables[1])


def test_over_the_limit_the_step_fails_with_counts_and_the_quarantine(place):
    place.upstream(f"UPDATE transactions SET amount = -1 WHERE {TODAY} AND customer_id < 'C0000020'")
    extract = place.run("extract")
    with pytest.raises(DataError) as raised:
        place.run("validate")
    (bad,) = place.upstream(f"SELECT count(*) FROM transactions WHERE {TODAY} AND amount < 0")[0]
    error, rows = raised.value, extract.output("transactions").rows
    assert bad / rows > 0.05
    assert error.where == f"fraud/validate {DAY}" and error.exit_code == 65
    assert f"{bad / rows:.12g} against 0.05" in error.what and f"'negative amount': {bad}" in error.what
    assert place.lake.exists(error.input) and "quarantine-transactions" in error.input
    assert place.manifest("validate") is None
    with pytest.raises(DataError, match=f"validate has not been done for {DAY}"):
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
        DataError, match=r"transactions\.event_time is of type text; a day cannot be selected"
    ):
        place.run("extract")


def test_a_column_that_nobody_reads_is_reported_and_harms_nothing(place):
    extract = place.run("extract")
    place.upstream("ALTER TABLE transactions ADD COLUMN note text DEFAULT 'x'")
    other = place.run("extract")
    assert other.content == extract.content
    assert other.facts["unread_columns"] == ["transactions.note"] and "unread_columns" not in extract.facts


def test_rows_of_another_day_are_quarantined(place):
    """No query brings them; whoever writes into the lake otherwise is told all the same."""
    extract = place.run("extract")
    source = sources("fraud")[0]
    table = place.lake.read_table(extract.output(source.name))
    good, bad = split(table, source, AFTER, FraudValidateParams())
    assert good.num_rows == 0 and set(bad[REASON].to_pylist()) == {f"event_time is not on {AFTER}"}


def test_a_label_is_not_seen_before_the_day_of_its_report(place):
    extract = place.run("extract")
    place.upstream(
        f"INSERT INTO fraud_labels SELECT min(transaction_id), true, '{AFTER} 00:00Z' FROM transactions WHERE {TODAY}"
    )
    assert place.run("extract").content == extract.content
    later = place.run("extract", AFTER)
    reported = place.lake.read_table(later.output("fraud_labels"), ["transaction_id"])[
        "transaction_id"
    ].to_pylist()
    assert place.upstream(f"SELECT min(transaction_id) FROM transactions WHERE {TODAY}")[0][0] in reported


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
    with pytest.raises(DataError, match=r"transactions\.volume: 0\.\d+ against 0\.5 of the trailing mean"):
        place.run("validate")
    place.set_params(validate={"volume_severity": "warn"})
    _, validate = validated(place)
    (volume,) = [check for check in validate.checks if check["name"] == "transactions.volume"]
    assert not volume["passed"] and volume["severity"] == "warn"


def test_the_volume_is_held_against_the_days_that_the_source_has(place):
    """The first day of all has nothing before it to be held against."""
    extract = place.run("extract", BEFORE)
    counted = place.upstream(
        f"SELECT count(*) / 3.0 FROM transactions WHERE event_time >= date '{BEFORE}' - 3 AND event_time < '{BEFORE}'"
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
    assert raised.value.input in str(path) and "re-run the step that wrote it" in raised.value.remedy
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
    types = place.lake.read_table(extract.output("transactions"), ["device_type"])["device_type"].to_pylist()
    assert types.count("café") == 1
