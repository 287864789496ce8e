"""What a model's examples are held against later: a sample of what it was fitted and judged on, and how well it did."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.core.errors import DataError
from jobs.evaluation.sampling import sample

if TYPE_CHECKING:
    from jobs.evaluation.watched import Drift

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
    usecase: Drift,
    key: Sequence[str],
    model: Any,
    train: pa.Table,
    holdout: pa.Table,
    baseline: Mapping[str, float],
) -> Reference:
    """The reference of a model that was fitted on `train` and judged on `holdout` with the metrics `baseline`."""
    every, first = pa.concat_tables([train, holdout]), pc.min(holdout["date"]).as_py()
    early = sample(usecase.examples(train, pc.min(train["date"]).as_py()), key, ROWS)
    late = usecase.predictions(model, sample(usecase.examples(every, first), key, ROWS), every)
    rows = pa.concat_tables(
        [_marked(early, "train", usecase), _marked(late, "holdout", usecase)],
        promote_options="default",
    )
    numbers = {name: value for name, value in sorted(baseline.items()) if value == value}
    days = (pc.max(holdout["date"]).as_py() - first).days + 1
    return Reference(rows.combine_chunks(), pc.max(train["date"]).as_py(), days, numbers)


def _marked(rows: pa.Table, split: str, usecase: Drift) -> pa.Table:
    label = [usecase.LABEL] if usecase.LABEL else []
    names = [each.name for each in (*usecase.FEATURES, *usecase.PREDICTIONS, *label)]
    chosen = rows.select([name for name in names if name in rows.column_names])
    return chosen.append_column("split", pa.array([split] * rows.num_rows, pa.string()))
