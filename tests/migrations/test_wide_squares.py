"""The last release's sums of squares are widened: same values and digest, room for larger ones."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest

from jobs.core import settings
from jobs.core.digest import table_digest
from jobs.migrations.clickhouse import __name__ as package
from jobs.stores import clickhouse
from jobs.usecases.fraud.tables import AGGREGATES

DAY = date(2018, 7, 10)
MERCHANTS = AGGREGATES[1]


@pytest.mark.process
def test_the_values_stay_and_larger_ones_fit(tmp_path, monkeypatch):
    from importlib import import_module

    monkeypatch.setenv(settings.CLICKHOUSE, f"chdb:///{tmp_path / 'chdb'}")
    migration = import_module(f"{package}.0003_wide_squares")
    row = dict.fromkeys(MERCHANTS.schema.names, 7) | {"date": DAY, "merchant_id": "m"}
    table = pa.Table.from_pylist(
        [row | {"reported_fraud_sum_of_squares": 2**63 - 1}], MERCHANTS.schema
    )
    with clickhouse.connect_clickhouse(settings.load(), check=False) as db:
        db.client.command("CREATE DATABASE fraud")
        columns = ", ".join(f"{name} Int64" for name in MERCHANTS.schema.names[2:])
        db.client.command(
            f"CREATE TABLE fraud.merchant_daily (date Date, merchant_id String, {columns})"
            " ENGINE = MergeTree PARTITION BY date ORDER BY merchant_id"
        )
        narrow = table.cast(
            pa.schema(
                [
                    (f.name, pa.int64() if pa.types.is_decimal(f.type) else f.type)
                    for f in table.schema
                ]
            )
        )
        db.client.insert_arrow("fraud.merchant_daily", narrow)
    for _ in range(2):  # a migration that is killed runs again
        migration.apply(settings.load(), lambda line: None)
    with clickhouse.connect_clickhouse(settings.load(), check=False) as db:
        kept = db.read_partition("fraud", MERCHANTS, DAY)
        assert kept.equals(table)
        assert table_digest(kept, MERCHANTS.key) == table_digest(narrow, MERCHANTS.key)
        large = pa.Table.from_pylist(
            [row | {"reported_fraud_sum_of_squares": 10**30}], MERCHANTS.schema
        )
        staging = db.stage("fraud", MERCHANTS, DAY, "attempt", large)
        db.swap("fraud", staging)
        assert db.read_partition("fraud", MERCHANTS, DAY).equals(large)
