"""Checks of columns: a finding for each kind of bad input, and distances that separate shifts."""

from __future__ import annotations

import json
import re
from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from jobs.core.errors import ConfigError, DataError
from jobs.core.params import CheckDriftParams
from jobs.evaluation import distances, drift
from jobs.evaluation.reference import Reference, read
from jobs.evaluation.sampling import sample
from jobs.evaluation.watched import Watched, configured

PARAMS = CheckDriftParams(min_rows=50)
AMOUNT, COUNTRY = Watched("amount", "number", 0.25, "fail"), Watched("country", "category", 0.1)


def reference(**columns):
    count = len(next(iter(columns.values())))
    rows = pa.table(
        {name: pa.array(values) for name, values in columns.items()} | {"split": ["train"] * count}
    )
    return Reference(rows, date(2018, 6, 1), 7, {"roc_auc": 0.9})


def normal(count=400, mean=0.0, seed=0):
    return np.random.default_rng(seed).normal(mean, 1, count).tolist()


def compared(watched, now, then):
    """The outcomes of a day by name, and the pairs left to be measured."""
    outcomes, pairs = drift.compare(
        [("day", "feature", watched)], {"day": pa.table(now)}, reference(**then), PARAMS
    )
    return {each.name: each for each in outcomes}, pairs


def test_the_same_distribution_is_near_and_another_far_by_both_methods():
    then = {"amount": normal(seed=1), "country": ["ES", "FR", "IT", "PT"] * 100}
    same = {"amount": normal(seed=2), "country": ["PT", "IT", "FR", "ES"] * 100}
    other = {"amount": normal(mean=1, seed=2), "country": ["ES", "FR", "ES", "FR"] * 100}
    values = []
    for now in (same, other):
        pairs = [compared(watched, now, then)[1][0] for watched in (AMOUNT, COUNTRY)]
        values.append(distances.measure(pairs).values)
    assert values[0]["day amount"] < 0.15 and values[0]["day country"] == pytest.approx(0, abs=1e-9)
    assert values[1]["day amount"] == pytest.approx(1, abs=0.2)  # in standard deviations
    assert values[1]["day country"] == pytest.approx(
        0.4645, abs=1e-3
    )  # sqrt of the divergence, in nats


def test_the_report_repeats_as_data_and_names_the_column_and_its_scope():
    pairs = compared(AMOUNT, {"amount": normal(seed=2)}, {"amount": normal()})[1]
    first, second = distances.measure(pairs), distances.measure(pairs)
    assert first.json == second.json and b"day amount" in first.html
    assert [each["config"]["method"] for each in json.loads(first.json)["metrics"]] == [
        "wasserstein"
    ]


def test_a_feature_that_vanished_is_said_with_its_severity_and_not_measured():
    findings, pairs = compared(AMOUNT, {"other": normal()}, {"amount": normal()})
    assert (
        findings["amount.schema"].message == "the feature vanished"
        and not findings["amount.schema"].passed
    )
    assert findings["amount.schema"].severity == "fail" and pairs == []


def test_a_feature_that_is_new_since_the_champion_is_a_warning():
    findings, pairs = compared(AMOUNT, {"amount": normal()}, {"other": normal()})
    assert findings["amount.schema"].message == "new since the champion was trained"
    assert findings["amount.schema"].severity == "warn" and pairs == []


def test_a_feature_that_became_text_is_said_and_not_measured():
    findings, pairs = compared(AMOUNT, {"amount": ["1"] * 100}, {"amount": normal()})
    assert "no number any more but string" in findings["amount.schema"].message and pairs == []


def test_all_nulls_fail_their_gate_and_are_not_measured():
    findings, pairs = compared(
        AMOUNT, {"amount": pa.nulls(100, pa.float64())}, {"amount": normal()}
    )
    assert findings["amount.null_growth"].value == 1 and not findings["amount.null_growth"].passed
    assert findings["amount.null_growth"].message == "every value is null"
    assert (
        findings["amount"].passed
        and findings["amount"].value is None
        and "not judged: 0 rows" in findings["amount"].message
    )
    assert pairs == []


def test_more_nulls_than_in_the_reference_fail_and_as_many_do_not():
    holey = [None, *normal(3)] * 100
    findings, _ = compared(AMOUNT, {"amount": holey}, {"amount": normal()})
    assert (
        findings["amount.null_growth"].value == 0.25 and not findings["amount.null_growth"].passed
    )
    assert compared(AMOUNT, {"amount": holey}, {"amount": holey})[0]["amount.null_growth"].passed


def test_a_constant_fails_where_the_reference_is_none():
    findings, _ = compared(AMOUNT, {"amount": [3.0] * 100}, {"amount": normal()})
    assert (
        not findings["amount.constant"].passed
        and findings["amount.constant"].message == "always 3.0"
    )
    assert compared(AMOUNT, {"amount": [3.0] * 100}, {"amount": [4.0] * 100})[0][
        "amount.constant"
    ].passed


def test_a_constant_is_no_news_where_the_reference_was_nearly_one():
    then = {"amount": [0.0] * 98 + [1.0] * 2}
    assert compared(AMOUNT, {"amount": [0.0] * 100}, then)[0]["amount.constant"].passed


def test_infinite_values_are_counted_and_left_out_of_the_distance():
    findings, pairs = compared(
        AMOUNT, {"amount": [np.inf, -np.inf, *normal()]}, {"amount": normal()}
    )
    assert findings["amount.infinite"].value == 2 and not findings["amount.infinite"].passed
    assert distances.measure(pairs).values["day amount"] < 0.05


def test_a_category_never_seen_fails_from_its_share_on():
    then = {"country": ["ES", "FR"] * 100}
    findings, _ = compared(COUNTRY, {"country": ["ES"] * 99 + ["XX"] * 6}, then)
    assert not findings["country.unseen"].passed and "XX" in findings["country.unseen"].message
    assert compared(COUNTRY, {"country": ["ES"] * 99 + ["XX"]}, then)[0]["country.unseen"].passed


@pytest.mark.parametrize("count", [0, 49])
def test_too_few_rows_are_not_judged_and_say_so(count):
    findings, pairs = compared(
        AMOUNT, {"amount": pa.array([1.0] * count, pa.float64())}, {"amount": normal()}
    )
    assert (
        findings["amount"].passed
        and f"not judged: {count} rows, 50 needed" in findings["amount"].message
    )
    assert pairs == []


def test_params_replace_threshold_and_severity_and_an_unknown_name_is_refused():
    params = CheckDriftParams(thresholds={"amount": 0.5}, severities={"amount": "warn"})
    [column] = configured([AMOUNT], params)
    assert (column.threshold, column.severity) == (0.5, "warn")
    with pytest.raises(ConfigError, match="no column amont is watched"):
        configured([AMOUNT], CheckDriftParams(thresholds={"amont": 0.5}))


def test_a_reference_comes_back_as_it_was_written_in_the_same_bytes():
    made = reference(amount=normal())
    reread = read(made.to_bytes())
    assert reread.rows.equals(made.rows) and reread.to_bytes() == made.to_bytes()
    assert (reread.fitted_until, reread.holdout_days, reread.baseline) == (
        date(2018, 6, 1),
        7,
        {"roc_auc": 0.9},
    )


@pytest.mark.parametrize(("data", "message"), [(b"nonsense", "cannot be read"), (None, "is empty")])
def test_a_reference_that_is_none_or_empty_says_to_train(data, message):
    empty = reference(amount=pa.array([], pa.float64()))
    with pytest.raises(DataError, match=message) as caught:
        read(empty.to_bytes() if data is None else data)
    assert "train a new model" in str(caught.value)


def test_a_sample_depends_on_the_rows_and_not_on_their_order():
    table = pa.table({"id": [f"{n:04}" for n in range(1000)], "value": range(1000)})
    shuffled = table.take(pa.array(np.random.default_rng(3).permutation(1000)))
    assert sample(table, ["id"], 100).equals(sample(shuffled, ["id"], 100))
    assert sample(table, ["id"], 100).num_rows == 100 and sample(shuffled, ["id"], 1000).equals(
        table
    )


HOSTILE = (
    "</script><script>document.title = 'pwned'</script>",
    "<img src=x onerror=\"document.title = 'pwned'\">",
    "\x1b",
    r"\x1b",
    "&lt;",
    "<",
    "<!--",
    "]]>",
    "\u202eevil",
    "\u2028",
    "'",
    '"',
    "a\nb",
    "a b",
    "日本",
)


def shares(names):
    """A day and a reference of these categories, with other shares of each."""
    now = [name for n, name in enumerate(names, 1) for _ in range(n * 10)]
    then = [name for n, name in enumerate(reversed(names), 1) for _ in range(n * 10)]
    return {"country": now}, {"country": then}


def test_a_text_of_the_data_is_a_text_in_the_report_and_changes_no_distance():
    plain = distances.measure(compared(COUNTRY, *shares([f"c{n}" for n in range(len(HOSTILE))]))[1])
    odd = distances.measure(compared(COUNTRY, *shares(HOSTILE))[1])
    assert odd.values == pytest.approx(plain.values, abs=1e-9)
    tags = re.compile(rb"<(?:/?script|img|!--)", re.IGNORECASE)
    assert tags.findall(odd.html) == tags.findall(plain.html), "no tag but those of Evidently"
    assert b"document.title" in odd.html and not [
        each for each in ("\x1b", "\u202e", "\u2028") if each.encode() in odd.html
    ]
