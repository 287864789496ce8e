"""Labels, in files of their own and with their transactions."""

from __future__ import annotations

from psycopg2 import sql

from jobs.source.request import Reading, Remark
from jobs.source.schema import FRAUD_LABELS
from jobs.source.stage import Stage

_TOO_EARLY = Remark(
    "labels are reported before their transaction, and validate quarantines them: is --timezone right, and is a date"
    " without a clock time written as a date?",
    "SELECT count(*) FROM stage JOIN transactions USING (transaction_id) WHERE reported_at < event_time",
)


def labels() -> Reading:
    """Rows of fraud_labels as the table has them."""
    return Reading(FRAUD_LABELS.columns, remarks=(_TOO_EARLY,))


def merge_labels(stage: Stage, *, genuine: bool) -> int:
    """Merge the labels staged beside their transactions; how many were written.

    Unless `genuine`, a label that says "no fraud" is written only over one that is already there.
    """
    if genuine:
        return stage.merge(FRAUD_LABELS, FRAUD_LABELS.names, sql.SQL("is_fraud IS NOT NULL"))
    known = (
        "EXISTS (SELECT FROM fraud_labels known WHERE known.transaction_id = stage.transaction_id)"
    )
    return stage.merge(
        FRAUD_LABELS, FRAUD_LABELS.names, sql.SQL("is_fraud OR (NOT is_fraud AND " + known + ")")
    )
