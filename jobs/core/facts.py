"""The facts of each step: headline counts, and what later steps and people decide by.

A manifest stores them as a JSON object. A field with a default is left out while it has it, and
fields that this code does not know are ignored, so that manifests of earlier releases can be read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from jobs.core.errors import DataError

if TYPE_CHECKING:
    from jobs.core.manifest import Manifest

# An undefined metric is NaN, which JSON stores as null.
Metrics = dict[str, int | float | None]
Verdict = Literal["promoted", "rejected", "declined", "expired"]
Answer = Literal["asked", "approved", "declined", "expired"]


class Facts(BaseModel):
    """Base of the facts of a step."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    step: ClassVar[str]

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """Return the facts of a manifest of this step; DataError if they are of another form."""
        assert manifest.step == cls.step, (manifest.step, cls.step)
        try:
            return cls.model_validate(manifest.facts)
        except ValidationError as error:
            keys = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors())
            raise DataError(
                f"the facts of {manifest.name} cannot be read: {keys}",
                remedy=f"run {manifest.step} of that day again",
                input=manifest.name,
            ) from None

    def to_json(self) -> dict[str, object]:
        """Return the facts as the manifest stores them."""
        return self.model_dump(mode="json", exclude_defaults=True)


class ExtractFacts(Facts):
    """As further keys: the rows of each source."""

    step = "extract"
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, int]
    trailing_mean: dict[str, float]  # rows per day of each source, in the days before
    unread_columns: list[str] = []


class ValidateFacts(Facts):
    """The good rows of each source, and as `quarantine-<source>` its bad rows by reason."""

    step = "validate"
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, int | dict[str, int]]


class BuildFeaturesFacts(Facts):
    """The rows of each table of aggregates."""

    step = "build_features"
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, int]


class SnapshotFacts(Facts):
    step = "snapshot"
    rows: int
    snapshot_md5: str
    dvc: str  # the content of the .dvc file
    train: int = 0
    holdout: int = 0


class CheckDriftFacts(Facts):
    step = "check_drift"
    report: str  # lake path; empty if nothing was compared
    report_url: str  # in MLflow; empty if it did not answer
    judged: bool
    drifted: list[str]
    warnings: list[str]
    decayed: bool
    mlflow: str = ""


class RetrainFacts(Facts):
    step = "retrain"
    policy: str
    decision: Literal["train", "keep"]
    reasons: str
    champion: str | None
    champion_age_days: int | None


class TrainFacts(Facts):
    """As further keys: what training decided, such as the number of rounds."""

    step = "train"
    model_config = ConfigDict(extra="allow")
    device: str
    model_version: str
    metrics: Metrics


class GateFacts(Facts):
    """`champion…` describe the model that the challenger was compared with; None without one."""

    step = "gate"
    verdict: Verdict
    mode: str
    model_version: str
    metrics: Metrics
    slices: dict[str, tuple[float | None, int]]  # the metric, and positives or users
    champion: str | None
    champion_version: str | None
    champion_metrics: Metrics | None
    reasons: list[str]


class ApproveFacts(Facts):
    """The question or its answer; `dag_run` is the Airflow run that asked, empty in a shell."""

    step = "approve"
    answer: Answer
    by: str
    comment: str
    dag_run: str


class PromoteFacts(Facts):
    step = "promote"
    verdict: Verdict
    approved_by: str
    champion: str | None
    promoted: bool  # whether the challenger is the pipeline's champion now
    aliases: str = ""  # what is wrong with the aliases in MLflow


class PredictFacts(Facts):
    """As further keys: the rows of each table of predictions."""

    step = "predict"
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, int]
    model_version: str | None
    model_date: str


class Reconciled(Facts):
    """What reconciling changed; publish and rollback reconcile too."""

    reloaded: list[str] = []  # versions that were loaded into Redis
    served_version: str | None = None
    aliases: str = ""  # what is wrong with the aliases in MLflow


class ReconcileFacts(Reconciled):
    step = "reconcile"
    dropped: list[str]  # versions
    retention: str = ""  # why an expired version is still there


class PublishFacts(Reconciled):
    step = "publish"
    version: str
    state: str
    served: bool
    loaded: list[str]
    dropped: list[str]
    retention: str = ""
    warning: str = ""


class VerifyFacts(Facts):
    step = "verify"
    version: str
    state: str
    checks: int
    passed: int


class FreshnessFacts(Facts):
    step = "freshness"
    serves: str | None
    date: str | None
    checks: int
    passed: int


class RollbackFacts(Reconciled):
    """`left_…` is what was served before; None for what stays."""

    step = "rollback"
    version: str | None
    left_version: str | None
    model: str | None
    left_model: str | None
    dry_run: bool
    what: str
    reason: str
    withdrawn: list[str] | None = None


class HousekeepingFacts(Facts):
    """Counts of leftovers by kind."""

    step = "housekeeping"
    dry_run: bool
    found: dict[str, int]
    removed: dict[str, int] | None = None
    bytes: int | None = None
    retention: str = ""
