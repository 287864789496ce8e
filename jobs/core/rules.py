"""Building blocks of a use case's validation rules: one reason per row, null for a good row."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# Control characters, and U+FFFD, which a decoder writes for bytes in another encoding.
_GARBLED = r"[\x00-\x1f\x7f\ufffd]"


def first_of(rows: pd.DataFrame, *rules: tuple[pd.Series, str]) -> pd.Series:
    """Return, per row, the reason of the first broken rule (broken, reason); null is not broken."""
    import pandas as pd  # slow: the commands that only name sources do without it

    reasons = pd.Series(None, index=rows.index, dtype="object")
    for broken, reason in reversed(rules):
        reasons[broken.fillna(False).astype(bool)] = reason
    return reasons


def garbled(rows: pd.DataFrame) -> pd.Series:
    """Return, per row, whether any text has control characters or undecodable bytes."""
    import pandas as pd

    texts = rows.select_dtypes(["object", "string"]).astype("string")
    return pd.concat(
        [texts[name].str.contains(_GARBLED, regex=True) for name in texts], axis=1
    ).any(axis=1)
