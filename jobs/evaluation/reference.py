"""Reference sample for drift: rows that a model was fitted and judged on, and its metrics."""

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
_REMEDY = "train a new model, which creates a new reference"


@dataclass(frozen=True)
class Reference:
    """Rows with `split`, the watched features, the label if there is one, and predictions.

    Only the holdout has predictions, since scores of rows that a model was fitted on are too good.
    `baseline` holds the metrics on the whole holdout.
    """

    rows: pa.Table
    fitted_until: date
    holdout_days: int
    baseline: Mapping[str, float]

    def of(self, split: str) -> pa.Table:
        """Return the rows of a split."""
        return self.rows.filter(pc.equal(self.rows["split"], split))

    def to_bytes(self) -> bytes:
        """Return the reference as parquet; the same reference gives the same bytes."""
        about = {
            "fitted_until": str(self.fitted_until),
            "holdout_days": self.holdout_days,
            "baseline": dict(self.baseline),
        }
        described = self.rows.replace_schema_metadata(
            {_ABOUT: json.dumps(about, sort_keys=True).encode()}
        )
        buffer = io.BytesIO()
        pq.write_table(described, buffer, compression="zstd")
        return buffer.getvalue()


def read(data: bytes) -> Reference:
    """Read a reference; DataError if `data` is not one, or has no rows."""
    try:
        rows = pq.read_table(io.BytesIO(data))
        about = json.loads((rows.schema.metadata or {})[_ABOUT])
        reference = Reference(
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
    return reference


def of(
    watchlist: Watchlist,
    key: Sequence[str],
    examples: Callable[[pa.Table, date], pa.Table],
    with_predictions: Callable[[pa.Table, pa.Table], pa.Table],
    train: pa.Table,
    holdout: pa.Table,
    baseline: Mapping[str, float],
) -> Reference:
    """Return the reference of a model that was fitted on `train` and judged on `holdout`.

    `baseline` holds its metrics on the holdout. `examples` is its estimator's function,
    `with_predictions` the model's.
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
    watched = rows.select([name for name in names if name in rows.column_names])
    return watched.append_column("split", pa.array([split] * rows.num_rows, pa.string()))
