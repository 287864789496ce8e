"""What the rules of use cases are made of: one reason a row, null where it is good."""

from __future__ import annotations

import pandas as pd

# U+FFFD is what a decoder leaves of bytes in an unknown encoding; control characters are no better.
_GARBLED = r"[\x00-\x1f\x7f\ufffd]"


def first_of(rows: pd.DataFrame, *rules: tuple[pd.Series, str]) -> pd.Series:
    """The reason of the first rule (broken, reason) that a row breaks; unknown counts as not broken."""
    reasons = pd.Series(None, index=rows.index, dtype="object")
    for broken, reason in reversed(rules):
        reasons[broken.fillna(False).astype(bool)] = reason
    return reasons


def garbled(rows: pd.DataFrame) -> pd.Series:
    """Whether any text of the row holds what no text should."""
    texts = rows.select_dtypes(["object", "string"]).astype("string")
    return pd.concat(
        [texts[name].str.contains(_GARBLED, regex=True) for name in texts], axis=1
    ).any(axis=1)
