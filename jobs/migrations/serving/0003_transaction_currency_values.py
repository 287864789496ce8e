"""Fill `currency` of `transaction_scores` in the kept versions, one transaction per version.

The values come from the lake's valid rows; if the lake no longer has the day, they stay null. The
digest of a version stays valid: it covers the columns that the version was published with.
"""

from __future__ import annotations

from datetime import date

import pyarrow as pa
from psycopg2.extensions import connection
from psycopg2.sql import SQL, Identifier

from jobs.core.settings import Settings
from jobs.migrations import currencies
from jobs.migrations.types import Say
from jobs.stores import postgres

_VERSIONS = """
SELECT p.date, c.relname FROM publication AS p
JOIN pg_class AS c
    ON c.relname = 'transaction_scores_' || replace(p.version, '-', '_') AND c.relispartition
WHERE p.pipeline = 'fraud' AND c.relnamespace = to_regnamespace('fraud') ORDER BY p.date, p.version
"""
_FILL = """
UPDATE {} AS t SET currency = k.currency FROM currencies AS k
WHERE k.transaction_id = t.transaction_id AND t.currency IS NULL
"""


def apply(settings: Settings, say: Say) -> None:
    with postgres.connect_postgres(settings.postgres, "nightshift migrate") as session:
        with session.cursor() as cursor:
            cursor.execute(_VERSIONS)
            versions: list[tuple[date, str]] = cursor.fetchall()
        for day, table in versions:
            if (values := currencies.of_day(settings, day)) is None:
                say(f"  {table}: the lake has no rows of {day}, so currency stays null")
            else:
                _fill(session, table, values)


def _fill(session: connection, table: str, values: pa.Table) -> None:
    with session, session.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE currencies"
            " (transaction_id text PRIMARY KEY, currency text) ON COMMIT DROP"
        )
        postgres.copy_in(cursor, Identifier("currencies"), values)
        cursor.execute(SQL(_FILL).format(Identifier("fraud", table)))
