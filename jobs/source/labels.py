"""Labels that come with their transactions."""

from __future__ import annotations

from psycopg2 import sql

from jobs.source.schema import FRAUD_LABELS
from jobs.source.stage import Stage


def merge_labels(stage: Stage, *, genuine: bool) -> int:
    """Merge the labels staged beside their transactions; how many were written.

    Unless `genuine`, a label that says "no fraud" is written only over one that is already there.
    """
    if genuine:
        return stage.merge(FRAUD_LABELS, FRAUD_LABELS.names, sql.SQL("is_fraud IS NOT NULL"))
    known = "EXISTS (SELECT FROM fraud_labels known WHERE known.transaction_id = stage.transaction_id)"
    return stage.merge(
        FRAUD_LABELS, FRAUD_LABELS.names, sql.SQL("is_fraud OR (NOT is_fraud AND " + known + ")")
    )
