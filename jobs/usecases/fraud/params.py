"""The sections of params.yaml that fraud's steps read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import Field

from jobs.core import params
from jobs.core.params import Section
from jobs.usecases.fraud.columns import LONGEST

# A sum of amounts has 64 bits. The longest sum covers the longest window and the day itself, of one
# customer or merchant.
MOST_A_DAY = 100_000  # transactions
LARGEST_AMOUNT = (2**63 - 1) // ((LONGEST + 1) * MOST_A_DAY)

# The metrics of a model (evaluation.py), and those in which two can be compared.
COMPARED = ("roc_auc", "average_precision")
METRICS = (
    *COMPARED,
    "card_precision_at_100",
    "precision",
    "recall",
    "calibration_error",
    "rows",
    "frauds",
    "true_positives",
    "false_positives",
    "false_negatives",
    "true_negatives",
)


class FraudValidateParams(params.ValidateParams):
    max_amount_minor: int = Field(
        10_000_000,
        gt=0,
        le=LARGEST_AMOUNT,
        description="minor units above which an amount is quarantined as absurd; at most what "
        "sums over 31 days of 100,000 transactions a day, of one customer or merchant, hold in "
        "64 bits",
    )


class FraudSnapshotParams(Section):
    """The days of D's training set: train_days, gap_days, holdout_days, label_delay_days, D."""

    train_days: int = Field(28, ge=2, description="days the model is fitted on")
    holdout_days: int = Field(
        7, ge=1, description="days the gate judges on; no model is fitted on them"
    )
    gap_days: int = Field(
        7,
        ge=0,
        description="days between the two, so that no label of the first is reported in the second",
    )
    label_delay_days: int = Field(
        7, ge=1, description="age after which a transaction without a label is genuine"
    )


class FraudTrainParams(params.TrainParams):
    n_estimators: int = Field(100, ge=1, description="rounds at most")
    max_depth: int = Field(6, ge=1, description="depth of a tree")
    learning_rate: float = Field(
        0.1, gt=0, le=1, description="share of a tree's correction that is taken"
    )
    subsample: float = Field(0.8, gt=0, le=1, description="share of rows a tree sees")
    colsample_bytree: float = Field(0.8, gt=0, le=1, description="share of features a tree sees")
    min_child_weight: float = Field(1, ge=0, description="least sum of hessians in a leaf")
    reg_lambda: float = Field(1, ge=0, description="L2 on leaf weights")
    early_stopping_rounds: int = Field(
        20, ge=1, description="rounds without a better average precision before it stops"
    )
    validation_days: int = Field(
        7,
        ge=1,
        description="last days of training that decide when to stop; a third of them at most",
    )
    refit: bool = Field(True, description="fit all days again with the rounds found")
    threshold: float = Field(
        0.5, gt=0, lt=1, description="score from which a transaction is flagged"
    )
    search_trials: int = Field(
        0, ge=0, description="random parameter sets to try; 0 takes those above"
    )
    search_folds: int = Field(5, ge=2, description="time-ordered folds of the search")
    seed: int = Field(0, ge=0, description="of XGBoost, and of the search")
    threads: int = Field(2, ge=1, description="of XGBoost")

    @property
    def booster(self) -> dict[str, object]:
        """The part that XGBoost takes and a search varies."""
        names = (
            "max_depth",
            "learning_rate",
            "subsample",
            "colsample_bytree",
            "min_child_weight",
            "reg_lambda",
        )
        return {name: getattr(self, name) for name in names}


class FraudPredictParams(Section):
    score_days: int = Field(7, ge=1, description="days of scores, D included, that risk is made of")
    seen_days: int = Field(
        30, ge=1, description="days, D included, within which somebody must have been seen"
    )
    label_delay_days: int = Field(
        7, ge=1, description="as in snapshot: a feature's definition is one"
    )
    max_missing_days: int = Field(
        6, ge=0, description="days without scores (before the first champion) that are let pass"
    )


PARAMS = params.sections(
    validate=FraudValidateParams,
    snapshot=FraudSnapshotParams,
    train=FraudTrainParams,
    predict=FraudPredictParams,
)


def conflicts(sections: Mapping[str, Section]) -> Iterator[str]:
    """The contradictions between sections, by `<step>.<key>`."""
    yield from params.unknown_metrics(sections, COMPARED, METRICS)
    snapshot, predict = sections["snapshot"], sections["predict"]
    assert isinstance(snapshot, FraudSnapshotParams) and isinstance(predict, FraudPredictParams)
    if snapshot.label_delay_days != predict.label_delay_days:
        yield (
            f"predict.label_delay_days = {predict.label_delay_days}: it must be that of snapshot,"
            f" {snapshot.label_delay_days}, for models see the feature as they were trained on it"
        )
