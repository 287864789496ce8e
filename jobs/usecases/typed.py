"""The contract over the own types of a use case: M its model, J its results, the rest its sections.

Steps hold a `Section` and a `FittedModel`. The classes here hand a function of the use case the
type that it declares, after a check at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import pyarrow as pa

from jobs.core.params import Section
from jobs.core.tables import Days, Frames
from jobs.usecases.contract import Estimator, ExampleSet, FittedModel, LookBack

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame
    from xgboost import Booster

    from jobs.evaluation.judged import Judged
    from jobs.training.boosting import Checkpoints


class Storable(Protocol):
    """A model that can be stored; `booster` as in FittedModel."""

    @property
    def booster(self) -> Booster | None: ...
    def to_bytes(self) -> bytes: ...


T = TypeVar("T")
S = TypeVar("S", bound=Section)
Train = TypeVar("Train", bound=Section)
Predict = TypeVar("Predict", bound=Section)
M = TypeVar("M", bound=Storable)
J = TypeVar("J", bound="Judged")


def narrow(value: object, kind: type[T]) -> T:
    """`value`, which is of type `kind`; TypeError when it is not."""
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__qualname__}, not {type(value).__qualname__}")
    return value


@dataclass(frozen=True)
class RulesOf(Generic[S]):
    """Rules of a source, by the use case's section of `validate`."""

    section: type[S]
    judge: Callable[[pd.DataFrame, date, S], pd.Series]

    def __call__(self, rows: pd.DataFrame, day: date, section: Section) -> pd.Series:
        return self.judge(rows, day, narrow(section, self.section))


@dataclass(frozen=True)
class ExampleSetOf(ExampleSet, Generic[S]):
    """A set of examples, by the use case's section of the step that builds it."""

    section: type[S]
    days_of: Callable[[date, S], Days]
    rows_of: Callable[[Frames, date, S], DataFrame]

    def days(self, day: date, section: Section) -> Days:
        return self.days_of(day, narrow(section, self.section))

    def build(self, frames: Frames, day: date, section: Section) -> DataFrame:
        return self.rows_of(frames, day, narrow(section, self.section))


@dataclass(frozen=True)
class ModelFunctions(Generic[M, J, Train, Predict]):
    """The functions of a use case about its model; what they do, Estimator and FittedModel say."""

    judged: type[J]
    train: type[Train]
    predict: type[Predict]
    fit: Callable[[pa.Table, Train, Sequence[pa.Table], Checkpoints | None], M]
    load: Callable[[bytes], M]
    judge: Callable[[M, pa.Table, pa.Table], J]
    decisions: Callable[[M], dict[str, object]]
    parameters: Callable[[M, Train], dict[str, object]]
    example: Callable[[M, pa.Table], pd.DataFrame]
    report: Callable[[M, J, Path], None]
    look_back: Callable[[Predict], LookBack]
    build: Callable[
        [M, pa.Table, pa.Table | None, Mapping[str, pa.Table], date, Predict],
        dict[str, pa.Table],
    ]
    disagreement: Callable[[Callable[[], M], pa.Table, pa.Table], tuple[int, int]]
    examples: Callable[[pa.Table, date], pa.Table]
    with_predictions: Callable[[M, pa.Table, pa.Table], pa.Table]


@dataclass(frozen=True, kw_only=True)
class EstimatorOf(Estimator, Generic[M, J, Train, Predict]):
    """An estimator made of a use case's functions."""

    functions: ModelFunctions[M, J, Train, Predict]

    def fit(
        self,
        rows: pa.Table,
        section: Section,
        beside: Sequence[pa.Table] = (),
        checkpoints: Checkpoints | None = None,
    ) -> FittedModel:
        train = narrow(section, self.functions.train)
        return ModelOf(self.functions, self.functions.fit(rows, train, beside, checkpoints))

    def load(self, data: bytes) -> FittedModel:
        return ModelOf(self.functions, self.functions.load(data))

    def look_back(self, section: Section) -> LookBack:
        return self.functions.look_back(narrow(section, self.functions.predict))

    def examples(self, events: pa.Table, since: date) -> pa.Table:
        return self.functions.examples(events, since)

    def disagreement(
        self, data: Callable[[], bytes], examples: pa.Table, predicted: pa.Table
    ) -> tuple[int, int]:
        return self.functions.disagreement(lambda: self.functions.load(data()), examples, predicted)


@dataclass(frozen=True)
class ModelOf(FittedModel, Generic[M, J, Train, Predict]):
    """A model together with the functions of its use case."""

    functions: ModelFunctions[M, J, Train, Predict]
    model: M

    @property
    def booster(self) -> Booster | None:
        return self.model.booster

    def to_bytes(self) -> bytes:
        return self.model.to_bytes()

    def judge(self, train: pa.Table, holdout: pa.Table) -> Judged:
        return self.functions.judge(self.model, train, holdout)

    def decisions(self) -> dict[str, object]:
        return self.functions.decisions(self.model)

    def parameters(self, section: Section) -> dict[str, object]:
        return self.functions.parameters(self.model, narrow(section, self.functions.train))

    def example(self, rows: pa.Table) -> pd.DataFrame:
        return self.functions.example(self.model, rows)

    def report(self, judged: Judged, folder: Path) -> None:
        self.functions.report(self.model, narrow(judged, self.functions.judged), folder)

    def predict(
        self,
        events: pa.Table,
        past: pa.Table | None,
        seen: Mapping[str, pa.Table],
        day: date,
        section: Section,
    ) -> dict[str, pa.Table]:
        predict = narrow(section, self.functions.predict)
        return self.functions.build(self.model, events, past, seen, day, predict)

    def with_predictions(self, examples: pa.Table, events: pa.Table) -> pa.Table:
        return self.functions.with_predictions(self.model, examples, events)
