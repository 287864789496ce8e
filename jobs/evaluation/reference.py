"""What a model's examples are held against later: a sample of what it was fitted and judged on, and how well it did."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.core.errors import DataError
from jobs.evaluation.sampling import sample
from jobs.evaluation.watched import Watchlist

ROWS = 5_000  # of each split
_ABOUT = b"nightshift"
_REMEDY = "train a new model: it brings a reference of its own"


@dataclass(frozen=True)
class Reference:
    """Rows with `split`, the watched features, the predictions (of the holdout alone: scores of rows that a model was
    fitted on flatter) and the label, where there is one. `baseline` are the metrics on the whole holdout."""

    rows: pa.Table
    fitted_until: date
    holdout_days: int
    baseline: Mapping[str, float]

    def of(self, split: str) -> pa.Table:
        """The rows of a split."""
        return self.rows.filter(pc.equal(self.rows["split"], split))

    def to_bytes(self) -> bytes:
        """The same reference gives the same bytes."""
        about = {
            "fitted_until": str(self.fitted_until),
            "holdout_days": self.holdout_days,
            "baseline": dict(self.baseline),
        }
        told = self.rows.replace_schema_metadata(
            {_ABOUT: json.dumps(about, sort_keys=True).encode()}
        )
        buffer = io.BytesIO()
        pq.write_table(told, buffer, compression="zstd")
        return buffer.getvalue()


def read(data: bytes) -> Reference:
    """The reference in `data`; DataError when it is none, or holds nothing."""
    try:
        rows = pq.read_table(io.BytesIO(data))
        about = json.loads((rows.schema.metadata or {})[_ABOUT])
        found = Reference(
            rows,
            date.fromisoformat(about["fitted_until"]),
            about["holdout_days"],
            about["baseline"],
        )
        empty = not rows.num_rows or "split" not in rows.column_names
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise DataError(
            f"the champion's reference cannot be read: {error}", remedy=_REMEDY
        ) from None
    if empty:
        raise DataError("the champion's reference is empty", remedy=_REMEDY)
    return found


def of(
    watchlist: Watchlist,
    key: Sequence[str],
    examples: Callable[[pa.Table, date], pa.Table],
    with_predictions: Callable[[pa.Table, pa.Table], pa.Table],
    train: pa.Table,
    holdout: pa.Table,
    baseline: Mapping[str, float],
) -> Reference:
    """The reference of a model that was fitted on `train` and judged on `holdout`.

    `baseline` are its metrics there. `examples` and `with_predictions` are those of its estimator
    and of the model itself.
    """
    every, first = pa.concat_tables([train, holdout]), pc.min(holdout["date"]).as_py()
    early = sample(examples(train, pc.min(train["date"]).as_py()), key, ROWS)
    late = with_predictions(sample(examples(every, first), key, ROWS), every)
    rows = pa.concat_tables(
        [_marked(early, "train", watchlist), _marked(late, "holdout", watchlist)],
        promote_options="default",
    )
    numbers = {name: value for name, value in sorted(baseline.items()) if value == value}
    days = (pc.max(holdout["date"]).as_py() - first).days + 1
    return Reference(rows.combine_chunks(), pc.max(train["date"]).as_py(), days, numbers)


def _marked(rows: pa.Table, split: str, watchlist: Watchlist) -> pa.Table:
    names = [watched.name for watched in watchlist.columns]
    chosen = rows.select([name for name in names if name in rows.column_names])
    return chosen.append_column("split", pa.array([split] * rows.num_rows, pa.string()))
