"""The contract of a use case: the value `USECASE` of `jobs/usecases/<pipeline>/usecase.py`.

Steps see the classes of this module, which know no type of a single use case. A use case fills the
generic classes of `typed.py` with its functions, so that mypy checks that these agree on the use
case's own parameters, model and results.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from jobs.core.errors import ConfigError
from jobs.core.params import Section
from jobs.core.tables import Days, Frames, Source, Table

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame
    from xgboost import Booster

    from jobs.evaluation.judged import Judged
    from jobs.evaluation.watched import Watchlist
    from jobs.training.boosting import Checkpoints


@dataclass(frozen=True)
class Demo:
    """What `nightshift demo` runs and shows of a use case.

    days       days of data to simulate
    last_real  last day of the real data's nights
    metrics    metrics of a model to print
    order      by table: the ORDER BY that picks the example row
    """

    days: int
    last_real: date
    metrics: tuple[str, ...]
    order: Mapping[str, str]


@dataclass(frozen=True)
class UseCase:
    """Everything that the platform knows about a use case."""

    name: str  # of its folder, its pipeline and its registered model
    summary: str  # one sentence: what readers of its tables get
    sources: tuple[Source, ...]
    aggregates: tuple[Table, ...]
    predictions: tuple[Table, ...]
    params: Mapping[str, type[Section]]  # by step: its section of params.yaml
    # Contradictions between sections, or with what the model can do: `<step>.<key>` and why.
    conflicts: Callable[[Mapping[str, Section]], Iterable[str]]
    features: Features
    limits: tuple[str, ...]  # what the model card warns of
    dag: str  # its nightly DAG
    entities: Mapping[str, str]  # name on the command line: the prediction to look it up in
    demo: Demo
    estimator: Callable[[], Estimator]  # slow: imports XGBoost and all else that models need

    def source(self, name: str) -> Source:
        return next(source for source in self.sources if source.name == name)

    def prediction(self, name: str) -> Table:
        """The published table `name`; ConfigError lists the published tables."""
        tables = {table.name: table for table in self.predictions}
        if name not in tables:
            raise ConfigError(
                f"{self.name} publishes no table {name!r}", remedy=f"tables: {', '.join(tables)}"
            )
        return tables[name]


@dataclass(frozen=True)
class Features:
    """Point-in-time frames. An input is named after a source or an aggregate.

    `key` identifies an example, `examples` is the source whose rows become examples, one each, and
    `label` is the target. `aggregate` makes every aggregate of the days in the good rows it gets.
    """

    key: tuple[str, ...]
    examples: str
    label: str
    aggregate: Callable[[Frames], Mapping[str, DataFrame]]
    training: ExampleSet  # one row per example, with `split` (train, holdout) and the label
    scoring: ExampleSet  # one row per event of D, with the same features and no label


class ExampleSet(ABC):
    """A set of examples for D, by the parameters of the step that builds it."""

    @abstractmethod
    def days(self, day: date, section: Section) -> Days:
        """The days of each input that the set of D needs."""

    @abstractmethod
    def build(self, frames: Frames, day: date, section: Section) -> DataFrame:
        """The rows of D's set."""


class LookBack(NamedTuple):
    """How many days before D are read, and how many of them may be missing."""

    days: int
    max_missing: int


@dataclass(frozen=True, kw_only=True)
class Estimator(ABC):
    """Fits and loads models, and says what steps must know to use them.

    requirements    packages that load the model elsewhere
    gpu_libraries   packages that `fit` needs on a GPU
    filled          columns of the training set whose share of nulls the gate limits
    beside          sources whose good rows of D are fitted on, too
    watchlist       what is watched for drift
    past            the prediction whose earlier days `predict` reads; None reads none
    seen            the inputs (names as in Features) that `predict` reads beside the events
    compared        the prediction that the gate compares with the training set, for skew
    """

    requirements: tuple[str, ...]
    gpu_libraries: tuple[str, ...]
    filled: tuple[str, ...]
    beside: tuple[str, ...]
    watchlist: Watchlist
    past: str | None
    seen: tuple[str, ...]
    compared: str

    @abstractmethod
    def fit(
        self,
        rows: pa.Table,
        section: Section,
        beside: Sequence[pa.Table] = (),
        checkpoints: Checkpoints | None = None,
    ) -> FittedModel:
        """A model of `rows`; training resumes from the newest of `checkpoints`."""

    @abstractmethod
    def load(self, data: bytes) -> FittedModel:
        """The model whose `to_bytes` gave `data`."""

    @abstractmethod
    def look_back(self, section: Section) -> LookBack:
        """The earlier days of `past` that `predict` reads."""

    @abstractmethod
    def examples(self, events: pa.Table, since: date) -> pa.Table:
        """The events from `since` on as examples for drift; earlier events are history.

        An example holds the key, `date`, the watched columns that the events have, and what
        predictions need. The label is only in examples of training sets.
        """

    @abstractmethod
    def disagreement(
        self, data: Callable[[], bytes], examples: pa.Table, predicted: pa.Table
    ) -> tuple[int, int]:
        """(rows compared, rows that differ) between a training set and the prediction `compared`.

        `data` reads the bytes of the model that predicted; it is called only where they matter.
        """


class FittedModel(ABC):
    """A model with everything that steps ask of it."""

    @property
    @abstractmethod
    def booster(self) -> Booster | None:
        """The XGBoost model that is all of it; None where MLflow must load its bytes."""

    @abstractmethod
    def to_bytes(self) -> bytes:
        """The model as bytes; the same model gives the same bytes."""

    @abstractmethod
    def judge(self, train: pa.Table, holdout: pa.Table) -> Judged:
        """Its results on `holdout`; `train` is what was known before."""

    @abstractmethod
    def decisions(self) -> dict[str, object]:
        """What training decided by itself, such as the number of rounds."""

    @abstractmethod
    def parameters(self, section: Section) -> dict[str, object]:
        """What people compare between runs: the section, and the decisions."""

    @abstractmethod
    def example(self, rows: pa.Table) -> pd.DataFrame:
        """A few rows as the model takes them, for the signature in MLflow."""

    @abstractmethod
    def report(self, judged: Judged, folder: Path) -> None:
        """Write files about the model and its results into `folder`."""

    @abstractmethod
    def predict(
        self,
        events: pa.Table,
        past: pa.Table | None,
        seen: Mapping[str, pa.Table],
        day: date,
        section: Section,
    ) -> dict[str, pa.Table]:
        """The rows of every prediction table of `day`."""

    @abstractmethod
    def with_predictions(self, examples: pa.Table, events: pa.Table) -> pa.Table:
        """The examples with the watched predictions; `events` are they and their history."""
