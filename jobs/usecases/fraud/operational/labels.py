"""Fraud labels, in separate files or in the files of their transactions."""

from __future__ import annotations

from psycopg2 import sql

from jobs.source.request import Reading, Remark
from jobs.source.schema import FRAUD_LABELS
from jobs.source.stage import Stage

_TOO_EARLY = Remark(
    "labels are reported before their transaction, and validate quarantines them: check "
    "--timezone, and that a date without a clock time is written as a date",
    "SELECT count(*) FROM stage JOIN transactions USING (transaction_id)"
    " WHERE reported_at < event_time",
)


def labels() -> Reading:
    """Return the reading of files with the columns of fraud_labels."""
    return Reading(FRAUD_LABELS.columns, remarks=(_TOO_EARLY,))


def merge_labels(stage: Stage, *, genuine: bool) -> int:
    """Merge the labels that were staged with their transactions; return how many were written.

    Unless `genuine`, a label "no fraud" only replaces an existing label.
    """
    if genuine:
        return stage.merge(FRAUD_LABELS, FRAUD_LABELS.names, sql.SQL("is_fraud IS NOT NULL"))
    exists = (
        "EXISTS (SELECT FROM fraud_labels known WHERE known.transaction_id = stage.transaction_id)"
    )
    return stage.merge(
        FRAUD_LABELS, FRAUD_LABELS.names, sql.SQL("is_fraud OR (NOT is_fraud AND " + exists + ")")
    )
