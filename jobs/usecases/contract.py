"""What a use case is: a folder `jobs/usecases/<pipeline>/` whose modules provide these protocols.

sources.py      Sources      what is extracted, and what makes a row good
tables.py       Tables       the aggregates and the predictions: names, keys, columns
params.py       Parameters   the sections of params.yaml
features.py     Features     frames in, frames out, by Spark
model.py        Model        fit, score, evaluate
predictions.py  Predictions  what is published, from the champion's scores
drift.py        Drift        what of an example is watched for drift
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from jobs.core.params import Section
from jobs.core.tables import Days, Frames, Source, Table
from jobs.evaluation.judged import Judged

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from pyspark.sql import DataFrame

    from jobs.training.boosting import Checkpoints


class Sources(Protocol):
    SOURCES: tuple[Source, ...]


class Tables(Protocol):
    AGGREGATES: tuple[Table, ...]
    PREDICTIONS: tuple[Table, ...]


class Parameters(Protocol):
    PARAMS: Mapping[str, type[Section]]

    def conflicts(self, sections: Mapping[str, Section]) -> Iterable[str]:
        """What is wrong between sections, or with what the model knows: `<step>.<key>`, and why. Empty: nothing is."""


class Features(Protocol):
    """Point-in-time frames. Days are asked for by name: a source of sources.py or a table of tables.py.

    KEY identifies an example; EXAMPLES is the source of which each row becomes one; LABEL is its target.
    """

    KEY: tuple[str, ...]
    EXAMPLES: str
    LABEL: str

    def aggregate(self, rows: Frames) -> Mapping[str, DataFrame]:
        """Every aggregate of the days in `rows`, the good rows of every source."""

    def training_days(self, day: date, params: Any) -> Days:
        """The days of each input that the training set of D needs."""

    def training_set(self, frames: Frames, day: date, params: Any) -> DataFrame:
        """One row an example, with `split` (train, holdout) and the label."""

    def scoring_days(self, day: date, params: Any) -> Days:
        """The days of each input that the features of D's events need."""

    def scoring_set(self, frames: Frames, day: date, params: Any) -> DataFrame:
        """One row an event of D: the features as training_set makes them, without label."""


class Model(Protocol):
    """Fit and judge. What `fit` returns can write itself (`to_bytes`) and is what `load` brings back; its
    `booster` is an XGBoost model that is all of it, or None: then `_load_pyfunc` of this module loads the bytes.

    NAME is that of the registered model, REQUIREMENTS what it takes to load it elsewhere, GPU_LIBRARIES what `fit`
    needs on a GPU, LIMITS what its model card warns of, FILLED the columns of a training set in which nulls must not
    become more. `fit` takes the good
    rows that D has of each source in BESIDE, and goes on at `checkpoints` where boosting had come further. `judge` judges on
    `holdout`; `train` is what was known before. `chosen` is what training decided by itself.
    """

    NAME: str
    REQUIREMENTS: tuple[str, ...]
    GPU_LIBRARIES: tuple[str, ...]
    LIMITS: tuple[str, ...]
    FILLED: tuple[str, ...]
    BESIDE: tuple[str, ...]

    def fit(
        self,
        table: pa.Table,
        params: Any,
        *beside: pa.Table,
        checkpoints: Checkpoints | None = None,
    ) -> Any: ...
    def load(self, data: bytes) -> Any: ...
    def judge(self, model: Any, train: pa.Table, holdout: pa.Table) -> Judged: ...
    def chosen(self, model: Any) -> dict[str, Any]: ...
    def parameters(self, model: Any, params: Any) -> dict[str, Any]: ...
    def example(self, model: Any, table: pa.Table) -> pd.DataFrame: ...
    def report(self, model: Any, judged: Any, folder: Path) -> None: ...


class Predictions(Protocol):
    """From the champion and its inputs to tables. PAST names the prediction of which `look_back` earlier days
    are read (None: none are), SEEN the inputs (names as in Features) that the tables need beside the events.
    `disagreement` holds the training set's rows against the prediction COMPARED: (rows compared, rows that differ)."""

    PAST: str | None
    SEEN: tuple[str, ...]
    COMPARED: str

    def look_back(self, params: Any) -> int: ...
    def build(
        self,
        model: Any,
        events: pa.Table,
        past: pa.Table | None,
        seen: Mapping[str, pa.Table],
        day: date,
        params: Any,
    ) -> dict[str, pa.Table]: ...
    def disagreement(
        self, model: Callable[[], Any], examples: pa.Table, predicted: pa.Table
    ) -> tuple[int, int]: ...
