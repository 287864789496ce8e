"""Sums of squared amounts of fraud get 38 digits: 64 bits overflow at 3e9 minor units.

Values and digests do not change.
"""

from __future__ import annotations

from jobs.core.settings import Settings
from jobs.migrations.types import Say
from jobs.stores import clickhouse

_COLUMNS = {
    "customer_daily": ("amount_sum_of_squares", "reported_fraud_sum_of_squares"),
    "merchant_daily": ("reported_fraud_sum_of_squares",),
}


def apply(settings: Settings, say: Say) -> None:
    """Widen the columns where their tables exist; a table that is wide already stays as it is."""
    with clickhouse.connect_clickhouse(settings, check=False) as db:
        for table, columns in _COLUMNS.items():
            if db.client.query(f"EXISTS TABLE fraud.{table}").result_rows[0][0]:
                wider = ", ".join(f"MODIFY COLUMN {name} Decimal(38, 0)" for name in columns)
                db.client.command(f"ALTER TABLE fraud.{table} {wider}")
                say(f"  fraud.{table}: {', '.join(columns)}")
