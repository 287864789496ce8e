"""Parameters: params.yaml, typed and validated once, one section a step (`<pipeline>.<step>`)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jobs.core.checks import Severity
from jobs.core.errors import ConfigError

DeviceChoice = Literal["auto", "cuda", "cpu"]


class Section(BaseModel):
    """Base of a section: frozen, and a key that nobody reads is an error, not a silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    # Parameters that decide whether a step runs, never what it writes: changing one makes nothing stale.
    undigested: ClassVar[frozenset[str]] = frozenset()

    @property
    def digest(self) -> str:
        from jobs.core.digest import (
            json_digest,
        )  # and Arrow, which Airflow's parsing of DAGs does without

        return json_digest(self.model_dump(mode="json", exclude=set(self.undigested)))


class ExtractParams(Section):
    undigested = frozenset({"max_gap_days"})

    volume_window_days: int = Field(
        7, ge=1, description="days before D whose mean volume is recorded"
    )
    max_gap_days: int = Field(
        31,
        ge=1,
        description="days between D and the nearest day with rows in the source or the lake, above which a date given by "
        "hand asks for --force; raised, fewer mistyped dates are caught; lowered, a day after a quiet time asks as well",
    )


class ValidateParams(Section):
    max_bad_fraction: float = Field(
        0.01, ge=0, le=1, description="quarantined / read above which the step fails"
    )
    min_volume_fraction: float = Field(
        0.5, ge=0, description="rows / trailing mean below which a day is incomplete"
    )
    volume_severity: Severity = Field("fail", description="what an incomplete day does")
    quiet_days: tuple[date, ...] = Field((), description="days on which a low volume only warns")


class TrainParams(Section):
    device: DeviceChoice = Field(
        "auto",
        description="that trains: `auto` takes a GPU where there is one, `cuda` insists on it",
    )
    checkpoint_rounds: int = Field(
        200,
        ge=1,
        description="rounds of boosting between two checkpoints; another number draws otherwise",
    )


class PublishParams(Section):
    keep_versions: int = Field(
        10, ge=2, description="newest versions that retention keeps in Postgres"
    )
    keep_days: int = Field(
        30, ge=1, description="days of event tables that retention keeps in Postgres"
    )
    redis_batch: int = Field(10_000, ge=1, description="keys per round trip to Redis")


class VerifyParams(Section):
    sample: int = Field(
        200, ge=1, description="rows a table that are read back from both stores, as a client does"
    )


class HousekeepingParams(Section):
    min_age_hours: int = Field(
        24,
        ge=6,
        description="age from which files that no manifest names and staging tables go; no step takes as long",
    )
    checkpoint_days: int = Field(
        7,
        ge=1,
        description="days after which the checkpoints of a training go, from the newest of them on",
    )


class CheckDriftParams(Section):
    window_days: int = Field(7, ge=2, description="days of the trailing window, D included")
    sample_rows: int = Field(
        5_000, ge=100, description="examples, at most, that are kept of D and compared"
    )
    min_rows: int = Field(
        500, ge=2, description="values below which a column is too small to judge"
    )
    thresholds: dict[str, float] = Field(
        {},
        description="distance from which a column has drifted, in place of the one of jobs/<pipeline>/drift.py",
    )
    severities: dict[str, Severity] = Field(
        {},
        description="what that means: `fail` is drift, `warn` is reported; in place of the one there",
    )
    max_null_growth: float = Field(
        0.1,
        ge=0,
        le=1,
        description="by how much a column may be null more often than in the reference",
    )
    max_unseen_share: float = Field(
        0.02, ge=0, le=1, description="share of rows that may have a category the reference lacks"
    )
    metric: str = Field("roc_auc", description="the metric of the champion whose loss is decay")
    max_degradation: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="loss of it, as a share of the baseline, above which it is decay",
    )
    decay_days: int = Field(
        30, ge=1, description="latest labelled days on which the champion is judged again"
    )
    draws: int = Field(200, ge=50, description="resamples that tell decay from chance")


class RetrainParams(Section):
    policy: Literal["daily", "on_drift", "weekly"] = Field(
        "daily",
        description="`daily`; `on_drift`: when drift or decay says so, or the champion is too old; `weekly`: on `weekday`",
    )
    max_age_days: int = Field(
        30, ge=1, description="days after which a champion is replaced, whatever the policy"
    )
    weekday: int = Field(
        6, ge=0, le=6, description="of `weekly`: the day whose night trains; Monday is 0, Sunday 6"
    )


class GateParams(Section):
    mode: Literal["enforce", "warn"] = Field(
        "enforce",
        description="`warn` promotes whatever the checks say, and says so beside the verdict",
    )
    metric: str = Field(
        "average_precision", description="the metric in which the challenger must beat the champion"
    )
    min_margin: float = Field(
        0.0, description="by how much; below 0 a slightly worse but fresher model passes"
    )
    min_low: float | None = Field(
        None,
        description="by how much at least, at the low end of the paired 95 % interval (of metrics that are means)",
    )
    floors: dict[str, float] = Field(
        {}, description="metrics that no challenger may fall below, champion or not"
    )
    ceilings: dict[str, float] = Field(
        {}, description="metrics that no challenger may exceed, such as calibration_error"
    )
    max_slice_loss: float = Field(
        0.1,
        ge=0,
        description="loss of the metric in a slice above which it fails, the latest days among them",
    )
    min_slice_evidence: int = Field(
        50, ge=1, description="frauds, or users, below which a slice is too small to judge"
    )
    max_skew: float = Field(
        0.001, ge=0, le=1, description="share of rows that predict and snapshot may see differently"
    )
    max_null_growth: float = Field(
        0.1,
        ge=0,
        le=1,
        description="by how much a feature may be null more often in the holdout than in training",
    )
    max_model_mib: float = Field(500, gt=0, description="size of the model")
    max_latency_ms: float = Field(
        2_000,
        gt=0,
        description="milliseconds to judge 1,000 examples; above it only warns, for machines differ",
    )
    draws: int = Field(200, ge=50, description="resamples of the paired bootstrap")


class PromoteParams(Section):
    approval: Literal["auto", "manual"] = Field(
        "auto", description="`manual`: whoever passes the gate waits for a person's approval"
    )
    timeout_hours: float = Field(
        8,
        gt=0,
        le=20,
        description="hours until an unanswered request counts as `default`; the next night begins then",
    )
    default: Literal["Approve", "Reject"] = Field("Reject", description="what no answer means")
    approvers: tuple[Annotated[str, Field(min_length=1, max_length=250)], ...] = Field(
        (),
        description="who may answer, by their user ids in Airflow (its login; with FAB, its number); empty: everybody "
        "whose role may run tasks",
    )


class FreshnessParams(Section):
    severity: Severity = Field("fail", description="what it does when the day is not served")
    sample: int = Field(
        50, ge=1, description="lookups a table that are made in both stores, as a client does"
    )


class AlertParams(Section):
    connection: str = Field(
        "nightshift_alerts",
        description="Airflow connection of type apprise that alerts go to; without it they are only logged",
    )
    published_by_hour: int = Field(
        6,
        ge=3,
        le=23,
        description="hour (UTC) by which the tables of the day before are to be served",
    )


class Empty(Section):
    """A step without parameters."""


Params = TypeVar("Params", bound=Section)


def load(path: Path) -> dict[str, Any]:
    """The whole of params.yaml as plain values."""
    try:
        values = yaml.safe_load(path.read_text()) or {}
    except FileNotFoundError:
        raise ConfigError(
            f"no parameters at {path}", remedy="set NIGHTSHIFT_PARAMS to a params.yaml"
        ) from None
    except yaml.YAMLError as error:
        raise ConfigError(
            f"{path} is not YAML: {error}", remedy="mend the line that the message names"
        ) from None
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path} is no mapping of pipelines", remedy="begin it with `<pipeline>:`"
        )
    return values


def alerts(path: Path) -> AlertParams:
    """The section `alerts`, of all pipelines."""
    return validated(path, "alerts", load(path).get("alerts"), AlertParams)


def first_date(path: Path, pipeline: str) -> date:
    """The first day that the pipeline's source has; days before it are not missing."""
    value = pipeline_values(path, pipeline).get("first_date")
    try:
        # DVC takes no YAML dates, so params.yaml has strings; either is as good.
        return date.fromisoformat(str(value))
    except ValueError:
        raise ConfigError(
            f"{pipeline}.first_date is {value!r}, not a date", remedy=f"write YYYY-MM-DD in {path}"
        ) from None


def check_sections(path: Path, pipeline: str, steps: Collection[str]) -> None:
    """ConfigError for a section that no step reads: mistyped, it would leave the step on its defaults in silence."""
    unknown = set(pipeline_values(path, pipeline)) - {"first_date", "resources", *steps}
    if unknown:
        raise ConfigError(
            f"no step reads the section {', '.join(f'{pipeline}.{name}' for name in sorted(unknown))}",
            remedy=f"mend {path}; sections: {', '.join(sorted(steps))}",
        )


def section(path: Path, pipeline: str, step: str, model: type[Params]) -> Params:
    """The section `<pipeline>.<step>`, validated; ConfigError names every wrong key and what it allows."""
    return validated(path, f"{pipeline}.{step}", pipeline_values(path, pipeline).get(step), model)


def validated(path: Path, name: str, values: Any, model: type[Params]) -> Params:
    """The values of the section called `name` as `model`; ConfigError names every wrong key and what it allows."""
    try:
        return model.model_validate(values or {})
    except ValidationError as error:
        lines = [_explain(name, e, model) for e in error.errors()]
        raise ConfigError("; ".join(lines), remedy=f"mend {path}") from None


def unknown_metrics(
    sections: Mapping[str, Section], compared: Collection[str], metrics: Collection[str]
) -> Iterator[str]:
    """What gate and check_drift ask for that no model of the pipeline is judged by.

    `compared` are the metrics that two models can be compared in, `metrics` all of them.
    """
    gate, drift = sections["gate"], sections["check_drift"]
    assert isinstance(gate, GateParams) and isinstance(drift, CheckDriftParams)
    for name, metric in (("gate", gate.metric), ("check_drift", drift.metric)):
        if metric not in compared:
            yield f"{name}.metric = {metric!r}: choose one of {', '.join(compared)}"
    for name, limits in (("floors", gate.floors), ("ceilings", gate.ceilings)):
        for metric in limits:
            if metric not in metrics:
                yield f"gate.{name}.{metric}: no such metric; metrics: {', '.join(metrics)}"


def pipeline_values(path: Path, pipeline: str) -> dict[str, Any]:
    """All that the file says of a pipeline, as plain values."""
    values = load(path)
    if not isinstance(values.get(pipeline), dict):
        raise ConfigError(
            f"no section {pipeline} in {path}",
            remedy=f"sections there: {', '.join(values) or 'none'}",
        )
    return dict(values[pipeline])


def _explain(prefix: str, error: Any, model: type[Section]) -> str:
    name = ".".join((prefix, *map(str, error["loc"])))
    message = f"{name} = {error['input']!r}: {error['msg']}"
    if error["type"] == "extra_forbidden":
        message += f" (keys: {', '.join(sorted(model.model_fields))})"
    return message
