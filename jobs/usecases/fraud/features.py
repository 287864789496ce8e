"""Fraud features by Spark, point in time.

A window of N days at an event of time t on day D is the whole days [D-N, D) from the daily
aggregates, plus the rows of D before t. Sums are integers, so they are exact in any order; every
ratio is taken once, at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING

from jobs.core.identity import before, days
from jobs.core.tables import Days, Frames
from jobs.usecases.fraud.columns import (
    DERIVED,
    FEATURES,
    HAPPENED,
    LONGEST,
    MATURED,
    NIGHT_HOURS,
    STREAK,
    SUMMED,
    WINDOWS,
)
from jobs.usecases.fraud.params import FraudPredictParams, FraudSnapshotParams

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

KEY = ("transaction_id",)
EXAMPLES = "transactions"
LABEL = "is_fraud"
# The transactions that mature on a day of EXAMPLES: those of `label_delay_days` earlier.
MATURED_TODAY = "transactions:matured"

_ROW = ("date", "transaction_id", "event_time", "customer_id", "merchant_id", "amount_minor")


def aggregate(rows: Frames) -> Mapping[str, DataFrame]:
    """customer_daily and merchant_daily of the days in `rows`.

    Transactions count on their own day, labels on the day of their report.
    """
    from pyspark.sql import functions as F

    amount, night = F.col("amount_minor"), F.hour("event_time").isin(list(NIGHT_HOURS))
    sums = [F.count("*").alias("transactions"), F.sum(amount).alias("amount_sum")]
    more = [
        F.sum(_square(amount)).alias("amount_sum_of_squares"),
        F.max(amount).alias("amount_max"),
        F.sum(night.cast("long")).alias("night_transactions"),
        F.max("event_time").alias("last_event_time"),
    ]
    return {
        "customer_daily": _daily(rows, "customer_id", sums + more),
        "merchant_daily": _daily(rows, "merchant_id", sums),
    }


def _daily(rows: Frames, key: str, measures: list[Column]) -> DataFrame:
    """One row per day and entity with a transaction or a reported fraud on that day."""
    from pyspark.sql import functions as F

    amount = F.col("amount_minor")
    reported = [
        F.count("*").alias("reported_frauds"),
        F.sum(amount).alias("reported_fraud_sum"),
        F.sum(_square(amount)).alias("reported_fraud_sum_of_squares"),
    ]
    made = rows["transactions"].groupBy(F.to_date("event_time").alias("date"), key).agg(*measures)
    labels = rows["fraud_labels"].where("is_fraud")
    frauds = labels.groupBy(F.to_date("reported_at").alias("date"), key).agg(*reported)
    numbers = ("bigint", "decimal")
    counts = [name for name, kind in frauds.dtypes + made.dtypes if kind.startswith(numbers)]
    return made.join(frauds, ["date", key], "full").na.fill(0, counts)


def _square(amount: Column) -> Column:
    """Exact for all allowed amounts: 38 digits, where 64 bits end at an amount of 3e9."""
    wide = amount.cast("decimal(19,0)")
    return wide * wide


def training_days(day: date, params: FraudSnapshotParams) -> Days:
    """Rows of the training and holdout days, labels reported up to D, aggregates of all windows."""
    train, holdout = split_days(day, params)
    first, last = train[0], holdout[-1]
    windows = list(
        days(first - timedelta(days=LONGEST + params.label_delay_days), last - timedelta(days=1))
    )
    return {
        "transactions": train + holdout,
        MATURED_TODAY: [each - timedelta(days=params.label_delay_days) for each in train + holdout],
        "fraud_labels": list(days(first, day)),
        "customer_daily": windows,
        "merchant_daily": windows,
    }


def split_days(day: date, params: FraudSnapshotParams) -> tuple[list[date], list[date]]:
    """(training days, holdout days), so old that their labels are known at the end of D."""
    last = day - timedelta(days=params.label_delay_days)
    holdout = before(last + timedelta(days=1), params.holdout_days)
    return before(holdout[0] - timedelta(days=params.gap_days), params.train_days), holdout


def scoring_days(day: date, params: FraudPredictParams) -> Days:
    """Rows and labels of D; aggregates of all windows before it, and of D for who was seen."""
    delay = timedelta(days=params.label_delay_days)
    windows = list(days(day - timedelta(days=LONGEST) - delay, day))
    return {
        "transactions": [day],
        MATURED_TODAY: [day - delay],
        "fraud_labels": [day],
        "customer_daily": windows,
        "merchant_daily": windows,
    }


def training_set(frames: Frames, day: date, params: FraudSnapshotParams) -> DataFrame:
    """One row per transaction of the training and holdout days: features, `split`, `is_fraud`.

    The label is the last one reported up to the end of D. A transaction without one is older than
    `label_delay_days`, hence genuine.
    """
    from pyspark.sql import functions as F

    _, holdout = split_days(day, params)
    split = F.when(F.col("date") >= F.lit(holdout[0]), "holdout").otherwise("train")
    label = F.coalesce(F.col(LABEL), F.lit(False)).alias(LABEL)
    table = with_features(frames, params.label_delay_days).join(
        last_labels(frames), "transaction_id", "left"
    )
    return table.select(*_ROW, split.alias("split"), *FEATURES, label)


def scoring_set(frames: Frames, day: date, params: FraudPredictParams) -> DataFrame:
    """One row per transaction of D, with the same features as in training_set."""
    return with_features(frames, params.label_delay_days).select(*_ROW, *FEATURES)


def last_labels(frames: Frames) -> DataFrame:
    """(transaction_id, is_fraud): the last reported label of each transaction."""
    from pyspark.sql import functions as F

    last = F.max_by(LABEL, F.struct("reported_at", LABEL)).alias(LABEL)
    return frames["fraud_labels"].groupBy("transaction_id").agg(last)


def with_features(frames: Frames, delay: int) -> DataFrame:
    """The transactions with FEATURES; rows out = rows in."""
    from pyspark.sql import functions as F

    rows = frames["transactions"].withColumn("date", F.to_date("event_time"))
    for entity in ("customer", "merchant"):
        windows = _windows(rows, frames[f"{entity}_daily"], entity, delay)
        rows = _earlier_today(rows, frames, entity, delay).join(
            windows, ["date", f"{entity}_id"], "left"
        )
        rows = _add_today(rows, entity)
    previous = F.greatest("customer_today_last", "customer_last")
    seconds = (F.unix_micros("event_time") - F.unix_micros(previous)) / 1e6
    rows = rows.withColumn("seconds_since_previous", F.when(seconds <= LONGEST * 86_400, seconds))
    # One projection: later expressions use earlier aliases, and each withColumn would add a plan.
    return rows.selectExpr(
        "*", *(f"{expression} AS {name}" for name, expression in DERIVED.items())
    )


def _earlier_today(rows: DataFrame, frames: Frames, entity: str, delay: int) -> DataFrame:
    """Counts and sums over the events of the entity on the same day strictly before t.

    The events are its transactions, its reported frauds, and its matured transactions.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    def happened(frame: DataFrame, moment: Column, what: str) -> DataFrame:
        return frame.select(
            F.to_date(moment).alias("date"),
            f"{entity}_id",
            moment.alias("moment"),
            F.lit(1).alias(what),
        )

    reported = happened(frames["fraud_labels"].where("is_fraud"), F.col("reported_at"), "reported")
    later = F.timestamp_add("DAY", F.lit(delay), F.col("event_time"))
    together = rows.withColumn("moment", F.col("event_time"))
    for other in (reported, happened(frames[MATURED_TODAY], later, "matured")):
        together = together.unionByName(other, allowMissingColumns=True)
    by_time = Window.partitionBy("date", f"{entity}_id").orderBy(F.unix_micros("moment"))
    earlier, amount = by_time.rangeBetween(Window.unboundedPreceding, -1), F.col("amount_minor")
    made = together.withColumns(
        {
            f"{entity}_today_count": F.count("transaction_id").over(earlier),
            f"{entity}_today_sum": F.coalesce(F.sum(amount).over(earlier), F.lit(0)),
            f"{entity}_today_squares": F.coalesce(F.sum(_square(amount)).over(earlier), F.lit(0)),
            f"{entity}_today_max": F.max(amount).over(earlier),
            f"{entity}_today_last": F.max("event_time").over(earlier),
            f"{entity}_today_frauds": F.count("reported").over(earlier),
            f"{entity}_today_matured": F.count("matured").over(earlier),
        }
    )
    return made.where("transaction_id IS NOT NULL").drop("moment", "reported", "matured")


def _add_today(rows: DataFrame, entity: str) -> DataFrame:
    """Add the rows of D before t to the whole days, for measures that are known at once."""
    from pyspark.sql import functions as F

    columns: dict[str, Column] = {}
    for n in WINDOWS:
        for measure in ("count", "sum", "squares"):
            name = f"{entity}_{measure}_{n}"
            if name in rows.columns:
                columns[name] = F.col(name) + F.col(f"{entity}_today_{measure}")
        columns[f"{entity}_max_{n}"] = F.greatest(f"{entity}_max_{n}", f"{entity}_today_max")
    return rows.withColumns(columns)


def _windows(rows: DataFrame, daily: DataFrame, entity: str, delay: int) -> DataFrame:
    """One row per (date, entity) of `rows`: every measure over [D-N, D) for each N."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    asked = rows.select("date", f"{entity}_id").distinct().withColumn("asked", F.lit(True))
    table = _measures(daily, entity, delay).unionByName(asked, allowMissingColumns=True)
    table = table.withColumn("day", F.unix_date("date"))
    by_day = Window.partitionBy(f"{entity}_id").orderBy("day")
    columns: dict[str, Column] = {}
    for n in WINDOWS:
        window = by_day.rangeBetween(-n, -1)
        for measure in SUMMED[entity]:
            columns[f"{entity}_{measure}_{n}"] = F.coalesce(F.sum(measure).over(window), F.lit(0))
        columns[f"{entity}_max_{n}"] = F.max("max").over(window)
    longest = by_day.rangeBetween(-LONGEST, -1)
    columns[f"{entity}_last"] = F.max("last").over(longest)
    if entity == "merchant":
        history = F.collect_list(
            F.struct("day", "frauds", (F.col("matured") - F.col("frauds")).alias("genuine"))
        )
        table = table.withColumn("history", history.over(longest))
        columns |= {name: F.expr(expression) for name, expression in STREAK.items()}
    return table.withColumns(columns).where("asked").select("date", f"{entity}_id", *columns)


def _measures(daily: DataFrame, entity: str, delay: int) -> DataFrame:
    """One row per (date, entity): what happened that day, and what matured that day."""
    from pyspark.sql import functions as F

    happened = daily.select(
        "date",
        f"{entity}_id",
        *(F.expr(f"{column} AS {name}") for name, column in HAPPENED[entity].items()),
    )
    matured = daily.select(
        F.date_add("date", delay).alias("date"),
        f"{entity}_id",
        *(F.expr(f"{column} AS {name}") for name, column in MATURED[entity].items()),
    )
    together = happened.unionByName(matured, allowMissingColumns=True)
    sums = [F.coalesce(F.sum(name), F.lit(0)).alias(name) for name in SUMMED[entity]]
    return together.groupBy("date", f"{entity}_id").agg(
        *sums, F.max("max").alias("max"), F.max("last").alias("last")
    )
