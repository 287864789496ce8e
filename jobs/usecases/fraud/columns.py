"""The features of fraud by name, each with the SQL that makes it from counts and sums.

`<entity>_<measure>_<N>` counts over a window: the whole days [D-N, D), and the rows of D before t
for measures that are known at once (count, sum, squares, max). Measures of labels count whole days
only. A transaction matures when it is `label_delay_days` old: it is then known to be fraudulent or
genuine.
"""

from __future__ import annotations

WINDOWS = (1, 7, 30)
LONGEST = max(WINDOWS)
NIGHT_HOURS = range(0, 7)

CATEGORIES = ("currency", "country", "device_type")

# What a window sums of the daily aggregates: known on the day, and known once it matured.
_LABELS = {"frauds": "reported_frauds", "fraud_sum": "reported_fraud_sum"}
HAPPENED: dict[str, dict[str, str]] = {
    "customer": {
        "count": "transactions",
        "sum": "amount_sum",
        "squares": "amount_sum_of_squares",
        "max": "CASE WHEN transactions > 0 THEN amount_max END",
        "last": "last_event_time",
        **_LABELS,
        "fraud_squares": "reported_fraud_sum_of_squares",
    },
    "merchant": {
        "count": "transactions",
        "sum": "amount_sum",
        "max": "NULL",
        "last": "CAST(NULL AS TIMESTAMP)",
        **_LABELS,
    },
}
MATURED = {
    "customer": {
        "matured": "transactions",
        "matured_sum": "amount_sum",
        "matured_squares": "amount_sum_of_squares",
    },
    "merchant": {"matured": "transactions"},
}
SUMMED = {
    entity: [name for name in HAPPENED[entity] | MATURED[entity] if name not in ("max", "last")]
    for entity in HAPPENED
}

# Over `history`, an array of (day, frauds, genuine) of the whole days before D: what became known
# about a merchant since its last known genuine transaction. Frauds in a row without a genuine
# transaction between them are the sign of a compromised merchant.
_LAST_GENUINE = "array_max(transform(filter(history, x -> x.genuine > 0), x -> x.day))"
_STREAK = f"filter(history, x -> x.frauds > 0 AND x.day > coalesce({_LAST_GENUINE}, -1))"
STREAK = {
    "days_since_genuine": f"day - {_LAST_GENUINE}",
    "streak": f"aggregate({_STREAK}, 0L, (sum, x) -> sum + x.frauds)",
    "streak_days": f"day - array_min(transform({_STREAK}, x -> x.day))",
}
_GENUINE_TODAY = "merchant_today_matured > merchant_today_frauds"


def _ratio(above: str, below: str) -> str:
    """The ratio; null if the divisor is 0 or null."""
    return f"try_divide(double({above}), double({below}))"


def _deviation(count: str, total: str, squares: str) -> str:
    """Standard deviation of the population, from exact sums; null below two values."""
    mean = f"(double({total}) / {count})"
    variance = f"double({squares}) / {count} - {mean} * {mean}"
    return f"CASE WHEN {count} >= 2 THEN sqrt(greatest({variance}, 0D)) END"


def _moments(entity: str, n: int) -> dict[str, str]:
    count, total, squares = (f"{entity}_{measure}_{n}" for measure in ("count", "sum", "squares"))
    return {
        f"{entity}_mean_{n}": _ratio(total, count),
        f"{entity}_std_{n}": _deviation(count, total, squares),
    }


def _derived() -> dict[str, str]:
    """Feature to expression, in order: an expression may use the features before it."""
    made = {
        "amount": "double(amount_minor)",
        "hour": "hour(event_time)",
        "night": f"int(hour(event_time) <= {max(NIGHT_HOURS)})",
        "weekend": "int(weekday(event_time) >= 5)",
    }
    for n in WINDOWS:
        made |= _moments("customer", n)
        made[f"merchant_mean_{n}"] = _ratio(f"merchant_sum_{n}", f"merchant_count_{n}")
        # Fraud Detection Handbook, chapter 3.5: frauds reported in the window over transactions
        # that matured in it.
        made[f"merchant_risk_{n}"] = _ratio(f"merchant_frauds_{n}", f"merchant_matured_{n}")
        made[f"merchant_fraud_mean_{n}"] = _ratio(f"merchant_fraud_sum_{n}", f"merchant_frauds_{n}")
    return made | {
        "merchant_days_since_genuine": (
            f"CASE WHEN {_GENUINE_TODAY} THEN 0 ELSE days_since_genuine END"
        ),
        "merchant_fraud_streak": (
            f"merchant_today_frauds + CASE WHEN {_GENUINE_TODAY} THEN 0 ELSE streak END"
        ),
        "merchant_fraud_streak_days": f"CASE WHEN NOT ({_GENUINE_TODAY}) THEN streak_days END",
        "amount_over_mean": _ratio("amount", "customer_mean_30"),
        "amount_z": _ratio("amount - customer_mean_30", "customer_std_30"),
        # What the customer spends without the fraudster: matured transactions, less the reported
        # frauds.
        "genuine_count": "customer_matured_30 - customer_frauds_30",
        "genuine_mean": _ratio("customer_matured_sum_30 - customer_fraud_sum_30", "genuine_count"),
        "genuine_std": _deviation(
            "genuine_count",
            "(customer_matured_sum_30 - customer_fraud_sum_30)",
            "(customer_matured_squares_30 - customer_fraud_squares_30)",
        ),
        "amount_over_genuine": _ratio("amount", "genuine_mean"),
        "amount_genuine_z": _ratio("amount - genuine_mean", "genuine_std"),
        "max_over_genuine_7": _ratio("customer_max_7", "genuine_mean"),
        "max_over_mean_7": _ratio("customer_max_7", "customer_mean_30"),
        "mean_over_mean_7": _ratio("customer_mean_7", "customer_mean_30"),
        "std_over_mean_7": _ratio("customer_std_7", "customer_mean_30"),
        "std_over_mean_30": _ratio("customer_std_30", "customer_mean_30"),
    }


DERIVED = _derived()

FEATURES = (
    "amount",
    "hour",
    "night",
    "weekend",
    *CATEGORIES,
    *(f"customer_{measure}_{n}" for n in WINDOWS for measure in ("count", "mean", "max", "std")),
    "amount_over_mean",
    "amount_z",
    "seconds_since_previous",
    "customer_today_count",
    "customer_today_sum",
    "customer_today_max",
    *(f"customer_frauds_{n}" for n in WINDOWS),
    "genuine_mean",
    "amount_over_genuine",
    "amount_genuine_z",
    "max_over_genuine_7",
    "max_over_mean_7",
    "mean_over_mean_7",
    "std_over_mean_7",
    "std_over_mean_30",
    *(
        f"merchant_{measure}_{n}"
        for n in WINDOWS
        for measure in ("count", "mean", "risk", "frauds", "fraud_mean")
    ),
    "merchant_today_frauds",
    "merchant_today_matured",
    "merchant_days_since_genuine",
    "merchant_fraud_streak",
    "merchant_fraud_streak_days",
)
