"""Fraud labels, in separate files or in the files of their transactions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from jobs.source.request import Companion, Reading, Remark
from jobs.source.schema import OperationalColumn
from jobs.source.stage import Stage
from jobs.usecases.fraud.operational.tables import FRAUD_LABELS, TRANSACTIONS

_TOO_EARLY = Remark(
    "labels are reported before their transaction, and validate quarantines them: check "
    "--timezone, and that a date without a clock time is written as a date",
    "SELECT count(*) FROM stage JOIN transactions USING (transaction_id)"
    " WHERE reported_at < event_time",
)
# The columns of a label that is staged with its transaction; both are null without a label.
IS_FRAUD = OperationalColumn("is_fraud", "flag")
REPORTED_AT = OperationalColumn("reported_at", "time")


@dataclass(frozen=True)
class LabelRule:
    """Labels in a column of the transactions' file, reported `delay` after the transaction.

    Unless `genuine`, only frauds get a row, since a transaction older than the delay without a
    label is genuine. An existing label is always replaced.
    """

    column: str
    delay: timedelta = timedelta(days=7)
    genuine: bool = False


def labels() -> Reading:
    """Return the reading of files with the columns of fraud_labels."""
    return Reading(FRAUD_LABELS.columns, remarks=(_TOO_EARLY,))


def labelled_transactions(rule: LabelRule) -> Reading:
    """Return the reading of files with the columns of transactions, and their labels in one."""

    def reported(rows: pa.Table) -> pa.Table:
        times = pc.add(rows["event_time"], pa.scalar(rule.delay, pa.duration("us")))
        return rows.append_column("reported_at", times)

    return Reading(
        columns=(*TRANSACTIONS.columns, IS_FRAUD),
        mapped={"is_fraud": rule.column},
        derived=(REPORTED_AT,),
        derive=reported,
        companion=Companion("labels", partial(merge_labels, genuine=rule.genuine)),
    )


def merge_labels(stage: Stage, *, genuine: bool) -> int:
    """Merge the labels that were staged with their transactions; return how many were written.

    Unless `genuine`, a label "no fraud" only replaces an existing label.
    """
    if genuine:
        return stage.merge_where(FRAUD_LABELS, FRAUD_LABELS.names, "is_fraud IS NOT NULL")
    exists = (
        "EXISTS (SELECT FROM fraud_labels known WHERE known.transaction_id = stage.transaction_id)"
    )
    condition = f"is_fraud OR (NOT is_fraud AND {exists})"
    return stage.merge_where(FRAUD_LABELS, FRAUD_LABELS.names, condition)
