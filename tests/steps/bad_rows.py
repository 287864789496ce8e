"""Statements that spoil rows of DAY in the operational database: statement, reason, row count."""

from __future__ import annotations

from nights import AFTER, DAY

REQUIRED = {
    "fraud": {
        "transactions": ("transaction_id", "event_time"),
        "fraud_labels": ("transaction_id", "is_fraud", "reported_at"),
    },
    "movies": {
        "user_interactions": ("id", "user_id", "movie_id", "interaction_type", "timestamp"),
        "movies": ("movie_id", "title"),
    },
}
TODAY = f"event_time >= '{DAY}' AND event_time < '{AFTER}'"
REPORTED = f"reported_at >= '{DAY}' AND reported_at < '{AFTER}'"
ACTED = f"timestamp >= '{DAY}' AND timestamp < '{AFTER}'"
ONE = f"transaction_id = (SELECT min(transaction_id) FROM transactions WHERE {TODAY})"
LABEL = f"transaction_id = (SELECT min(transaction_id) FROM fraud_labels WHERE {REPORTED})"
MOVIE = "movie_id = (SELECT min(movie_id) FROM movies)"


def _one(kind):
    return (
        "id = (SELECT min(id) FROM user_interactions "
        f"WHERE interaction_type = '{kind}' AND {ACTED})"
    )


RATING, VIEW = _one("rating"), _one("view")


def again(values):
    """One transaction once more, with other values."""
    names = [
        *[
            "event_time",
            "customer_id",
            "merchant_id",
            "amount",
            "currency",
            "country",
            "device_type",
            "card_last_4",
        ]
    ]
    columns = ", ".join(str(values.get(name, name)) for name in ("transaction_id", *names))
    return (
        f"INSERT INTO transactions (transaction_id, {', '.join(names)}) SELECT {columns} "
        f"FROM transactions WHERE {ONE}"
    )


def changed(values, rows=RATING):
    return f"UPDATE user_interactions SET {values} WHERE {rows}"


NINES = changed("value = repeat('9', 400)")

TRANSACTIONS = {
    "nan": (f"UPDATE transactions SET amount = 'NaN' WHERE {ONE}", "amount is not a number", 1),
    "negative": (f"UPDATE transactions SET amount = -0.01 WHERE {ONE}", "negative amount", 1),
    "absurd": (
        f"UPDATE transactions SET amount = 100000.01 WHERE {ONE}",
        "absurd amount (over 10000000)",
        1,
    ),
    "no amount": (f"UPDATE transactions SET amount = NULL WHERE {ONE}", "missing amount_minor", 1),
    "no customer": (
        f"UPDATE transactions SET customer_id = '' WHERE {ONE}",
        "missing customer_id",
        1,
    ),
    "no id": (
        f"UPDATE transactions SET transaction_id = NULL WHERE {ONE}",
        "missing transaction_id",
        1,
    ),
    "twice": (again({}), "duplicate, same content", 1),
    "two contents": (again({"amount": "amount + 1"}), "duplicate key, different content", 2),
    "replaced bytes": (
        f"UPDATE transactions SET merchant_id = 'M\ufffd' WHERE {ONE}",
        "text in an unknown encoding",
        1,
    ),
    "control character": (
        f"UPDATE transactions SET country = E'F\\nR' WHERE {ONE}",
        "text in an unknown encoding",
        1,
    ),
    "third decimal": (
        "ALTER TABLE transactions ALTER amount TYPE numeric; "
        f"UPDATE transactions SET amount = 1.005 WHERE {ONE}",
        "amount is not a number",
        1,
    ),
    "amount as text": (
        "ALTER TABLE transactions ALTER amount TYPE text; "
        f"UPDATE transactions SET amount = 'twelve' WHERE {ONE}",
        "amount is not a number",
        1,
    ),
}
LABELS = {
    "unknown": (
        f"INSERT INTO fraud_labels VALUES ('nobody', true, '{DAY} 12:00Z')",
        "label of an unknown transaction",
        1,
    ),
    "too early": (
        f"INSERT INTO fraud_labels SELECT min(transaction_id), true, '{DAY} 12:00Z' "
        "FROM transactions"
        f" WHERE event_time >= '{AFTER}'",
        "reported before its transaction",
        1,
    ),
    "twice": (
        f"INSERT INTO fraud_labels SELECT * FROM fraud_labels WHERE {LABEL}",
        "duplicate, same content",
        1,
    ),
    "two contents": (
        "INSERT INTO fraud_labels SELECT transaction_id, NOT is_fraud, reported_at "
        f"FROM fraud_labels WHERE {LABEL}",
        "duplicate key, different content",
        2,
    ),
    "neither true nor false": (
        "ALTER TABLE fraud_labels ALTER is_fraud TYPE text; "
        f"UPDATE fraud_labels SET is_fraud = 'perhaps' WHERE {LABEL}",
        "is_fraud is not true or false",
        1,
    ),
    "nothing": (f"UPDATE fraud_labels SET is_fraud = NULL WHERE {LABEL}", "missing is_fraud", 1),
}
INTERACTIONS = {
    "above the scale": (changed("value = 10.01"), "rating outside 0 to 10", 1),
    "below the scale": (changed("value = -1"), "rating outside 0 to 10", 1),
    "absurd": (changed("value = 1e300"), "rating outside 0 to 10", 1),
    "no value": (changed("value = NULL"), "rating without a value", 1),
    "nan": (changed("value = 'NaN'"), "value is not a number", 1),
    "infinite": (changed("value = 'Infinity'"), "value is not a number", 1),
    "unknown type": (
        changed("interaction_type = 'click'"),
        "interaction_type is none of rating, view, like",
        1,
    ),
    "no user": (changed("user_id = NULL"), "missing user_id", 1),
    "negative watch time": (
        changed("""metadata = '{"watch_time_s": -1}'""", VIEW),
        "negative watch time",
        1,
    ),
    "watch time as text": (
        changed("""metadata = '{"watch_time_s": "long"}'""", VIEW),
        "watch_time_s is not a number",
        1,
    ),
    "replaced bytes": (changed("user_id = 'U\ufffd'"), "text in an unknown encoding", 1),
    "twice": (
        f"INSERT INTO user_interactions SELECT * FROM user_interactions WHERE {RATING}",
        "duplicate, same content",
        1,
    ),
    "two contents": (
        "INSERT INTO user_interactions (id, user_id, movie_id, interaction_type, value, timestamp)"
        " SELECT id, user_id, movie_id, interaction_type, 10 - value, timestamp "
        f"FROM user_interactions WHERE {RATING}",
        "duplicate key, different content",
        2,
    ),
    "value as text": (
        f"ALTER TABLE user_interactions ALTER value TYPE text; {NINES}",
        "value is not a number",
        1,
    ),
}
MOVIES = {
    "before film": (f"UPDATE movies SET year = 1492 WHERE {MOVIE}", "year out of range", 1),
    "in the far future": (f"UPDATE movies SET year = 3000 WHERE {MOVIE}", "year out of range", 1),
    "no title": (f"UPDATE movies SET title = NULL WHERE {MOVIE}", "missing title", 1),
    "empty title": (f"UPDATE movies SET title = '' WHERE {MOVIE}", "missing title", 1),
    "replaced bytes": (
        f"UPDATE movies SET title = 'Am\ufffdlie' WHERE {MOVIE}",
        "text in an unknown encoding",
        1,
    ),
    "twice": (
        f"INSERT INTO movies SELECT * FROM movies WHERE {MOVIE}",
        "duplicate, same content",
        1,
    ),
    "two contents": (
        "INSERT INTO movies SELECT movie_id, title || ' II', year, genres FROM movies "
        f"WHERE {MOVIE}",
        "duplicate key, different content",
        2,
    ),
    "year as text": (
        f"ALTER TABLE movies ALTER year TYPE text; UPDATE movies SET year = 'MMX' WHERE {MOVIE}",
        "year is not a number",
        1,
    ),
}
CASES = {
    "fraud": {"transactions": TRANSACTIONS, "fraud_labels": LABELS},
    "movies": {"user_interactions": INTERACTIONS, "movies": MOVIES},
}
