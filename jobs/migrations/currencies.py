"""The currency of past transactions, for migrations that add the column."""

from __future__ import annotations

from datetime import date

import pyarrow as pa

from jobs.core.errors import DataError
from jobs.core.settings import Settings
from jobs.stores.lake import Lake


def of_day(settings: Settings, day: date) -> pa.Table | None:
    """Return (transaction_id, currency) of the day's valid rows.

    None if the lake no longer has them.

    One row per transaction; transactions without a currency in the source are left out.
    """
    lake = Lake(settings.lake)
    try:
        validate = lake.manifest(f"fraud/validate/{day}")
        if validate is None:
            return None
        rows = lake.read_table(validate.output("transactions"), ["transaction_id", "currency"])
    except DataError:
        return None
    return rows.filter(rows["currency"].is_valid())
