"""What a use case is: a folder `jobs/usecases/<pipeline>/` whose modules provide the protocols below.

sources.py      Sources      what is extracted, and what makes a row good
tables.py       Tables       the aggregates and the predictions: names, keys, columns
params.py       Parameters   the sections of params.yaml
features.py     Features     frames in, frames out, by Spark
model.py        Model        fit, score, evaluate
predictions.py  Predictions  what is published, from the champion's scores
drift.py        Drift        what of an example is watched for drift
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import pyarrow as pa

from jobs.core.digest import table_digest
from jobs.core.errors import ConfigError
from jobs.core.params import Section
from jobs.core.text import choice

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pandas as pd
    from pyspark.sql import DataFrame

    from jobs.evaluation.watched import Watched
    from jobs.training.boosting import Checkpoints

PIPELINES = ("fraud", "movies")

Days = dict[str, list[date]]
Frames = Mapping[str, "DataFrame"]


@dataclass(frozen=True, eq=False)
class Source:
    """An operational table and how one day of it is read and judged.

    `query` selects the columns of `schema` for [%(start)s, %(end)s) by the upstream column `time`. Without
    one the table is read whole, and a re-extract of D keeps what D has, unless told to refresh it. `tables`
    are the upstream tables and the columns that it needs of them. `money` maps a column of the schema, in
    integer minor units, to the upstream column that holds major units. `rules` returns one reason, or null,
    for each row. `closes` are columns in which a date without a time means the end of that day: when something
    became known, for instance.
    """

    name: str
    query: str
    tables: Mapping[str, tuple[str, ...]]
    schema: pa.Schema
    key: tuple[str, ...]
    time: str | None
    required: tuple[str, ...]
    money: Mapping[str, str]
    rules: Callable[[pd.DataFrame, date, Any], pd.Series]
    closes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Table:
    """A table with one partition a day. Its grain is (date, *key).

    `ranked`: the key ends in a rank, and a lookup by the rest of it answers with all ranks, in order.
    `added`: the last columns of the schema, which later releases added by a migration, oldest first.
    `text`: columns with sentences for people. Digests leave them out, so that wording can improve.
    """

    name: str
    key: tuple[str, ...]
    schema: pa.Schema  # first column: date
    grain: str
    kind: Literal["aggregate", "entity", "event"] = "aggregate"
    ranked: bool = False
    added: tuple[str, ...] = ()
    text: tuple[str, ...] = ()

    def digest(self, rows: pa.Table) -> str:
        """The content digest of `rows`, without their text columns."""
        return table_digest(rows.select(self._without_text(rows.column_names)), self.key)

    def matches(self, rows: pa.Table, digest: str) -> bool:
        """Whether `digest` is that of `rows`, in the way of this release or of an earlier one.

        A digest covers the columns that the table had when it was made, and their names are part
        of it. Digests of earlier releases covered the text columns too.
        """
        names = self.schema.names
        releases = [names[: len(names) - later] for later in range(len(self.added) + 1)]
        coverages = [self._without_text(columns) for columns in releases]
        coverages += releases if self.text else []
        return any(table_digest(rows.select(columns), self.key) == digest for columns in coverages)

    def _without_text(self, columns: Iterable[str]) -> list[str]:
        return [name for name in columns if name not in self.text]

    @property
    def lookup_key(self) -> tuple[str, ...]:
        """The columns that a lookup names."""
        return self.key[:-1] if self.ranked else self.key


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


class Judged(Protocol):
    """A model's results on a holdout. Its units (customers, users) are independent of each other and do not depend on
    the model, so that two models judged on the same rows can be compared unit by unit."""

    units: int

    def summary(self) -> dict[str, float]:
        """Every metric by name; NaN where it cannot be had."""

    def value(self, metric: str, weights: np.ndarray | None = None) -> float:
        """A metric in which each unit counts as often as `weights` says; ConfigError names those there are."""

    def slices(self, metric: str) -> dict[str, tuple[float, int]]:
        """The metric in each slice of the holdout, and how many frauds, or users, it rests on; `latest` is the last days."""


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


class Drift(Protocol):
    """What is watched of an example, of the predictions for it, and of its label (None where there is none to wait for).

    LABEL names a column that training sets alone have. What `examples` makes holds the key, `date`, the watched columns as
    far as the events have them, and what `predictions` needs.
    """

    FEATURES: tuple[Watched, ...]
    PREDICTIONS: tuple[Watched, ...]
    LABEL: Watched | None

    def examples(self, events: pa.Table, since: date) -> pa.Table:
        """The events from `since` on as examples; the earlier ones are what was known before."""

    def predictions(self, model: Any, examples: pa.Table, events: pa.Table) -> pa.Table:
        """The examples with PREDICTIONS beside them; `events` are those that they were made of, and what was known before."""


def module(pipeline: str, name: str) -> Any:
    """The module `name` of a use case; ConfigError for an unknown pipeline."""
    if pipeline not in PIPELINES:
        raise ConfigError(
            "there is no such pipeline", input=pipeline, remedy=choice(pipeline, PIPELINES)
        )
    return importlib.import_module(f"jobs.usecases.{pipeline}.{name}")


def sources(pipeline: str) -> Sequence[Source]:
    return cast(Sources, module(pipeline, "sources")).SOURCES


def tables(pipeline: str) -> Tables:
    return cast(Tables, module(pipeline, "tables"))


def parameters(pipeline: str) -> Mapping[str, type[Section]]:
    return cast(Parameters, module(pipeline, "params")).PARAMS


def conflicts(pipeline: str, sections: Mapping[str, Section]) -> list[str]:
    """What is wrong between the sections, by `<pipeline>.<step>.<key>`."""
    found = cast(Parameters, module(pipeline, "params")).conflicts(sections)
    return [f"{pipeline}.{each}" for each in found]


def features(pipeline: str) -> Features:
    return cast(Features, module(pipeline, "features"))


def model(pipeline: str) -> Model:
    return cast(Model, module(pipeline, "model"))


def predictions(pipeline: str) -> Predictions:
    return cast(Predictions, module(pipeline, "predictions"))


def drift(pipeline: str) -> Drift:
    return cast(Drift, module(pipeline, "drift"))


def prediction(pipeline: str, name: str) -> Table:
    """The published table `name`; ConfigError names those there are."""
    for table in tables(pipeline).PREDICTIONS:
        if table.name == name:
            return table
    known = ", ".join(table.name for table in tables(pipeline).PREDICTIONS)
    raise ConfigError(f"{pipeline} publishes no table {name!r}", remedy=f"tables: {known}")
