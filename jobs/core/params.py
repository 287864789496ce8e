"""Load params.yaml, typed and validated; one section per step (`<pipeline>.<step>`)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from jobs.core.checks import Severity
from jobs.core.errors import ConfigError

DeviceChoice = Literal["auto", "cuda", "cpu"]


class Section(BaseModel):
    """Base of a section: frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    # Parameters that decide whether a step runs but not what it writes: changing one must not
    # make earlier output stale.
    undigested: ClassVar[frozenset[str]] = frozenset()

    @property
    def digest(self) -> str:
        # Imported here because it loads Arrow, which Airflow's DAG parsing does not need.
        from jobs.core.digest import json_digest

        return json_digest(self.model_dump(mode="json", exclude=set(self.undigested)))


class ExtractParams(Section):
    undigested = frozenset({"max_gap_days"})

    volume_window_days: int = Field(
        7,
        ge=1,
        description="days before D in the trailing mean of the volume; raise it to smooth out odd "
        "days, lower it to follow a trend sooner",
    )
    max_gap_days: int = Field(
        31,
        ge=1,
        description="days between D and the nearest day with rows in the source or the lake, above "
        "which a manual run needs --force; raise it to allow longer gaps, lower it to catch more "
        "mistyped dates",
    )


class ValidateParams(Section):
    max_bad_fraction: float = Field(
        0.01,
        ge=0,
        le=1,
        description="quarantined / read above which the step fails; raise it to tolerate dirtier "
        "data, lower it to stop sooner",
    )
    min_volume_fraction: float = Field(
        0.5,
        ge=0,
        description="rows / trailing mean below which a day counts as incomplete; raise it to "
        "catch smaller gaps, lower it to accept quieter days, 0 turns the check off",
    )
    volume_severity: Severity = Field(
        "fail",
        description="severity of an incomplete day: `fail` stops the night, `warn` only reports it",
    )
    quiet_days: tuple[date, ...] = Field(
        (), description="days on which a low volume only warns, whatever `volume_severity` says"
    )


class TrainParams(Section):
    device: DeviceChoice = Field(
        "auto",
        description="device to train on: `auto` uses a GPU if there is one, `cuda` fails without "
        "one, `cpu` never uses one",
    )
    checkpoint_rounds: int = Field(
        200,
        ge=1,
        description="boosting rounds between two checkpoints; raise it to write fewer, lower it to "
        "lose less work when a training is killed; changing it changes the random draws and so the "
        "model",
    )


class PublishParams(Section):
    keep_versions: int = Field(
        10,
        ge=2,
        description="newest versions that retention keeps in PostgreSQL; raise it to "
        "roll back further, lower it to save space",
    )
    keep_days: int = Field(
        30,
        ge=1,
        description="days of event tables that retention keeps in PostgreSQL; raise it for a "
        "longer history, lower it to save space",
    )
    redis_batch: int = Field(
        10_000,
        ge=1,
        description="keys per round trip to Redis; raise it for fewer round trips, lower it for "
        "shorter ones and less memory",
    )


class VerifyParams(Section):
    sample: int = Field(
        200,
        ge=1,
        description="rows per table that are read back from both stores, as a client reads them; "
        "raise it to check more, lower it to finish sooner",
    )


class HousekeepingParams(Section):
    min_age_hours: int = Field(
        24,
        ge=6,
        description="hours after which files without a manifest and staging tables are deleted, "
        "longer than any step runs; raise it to keep leftovers for inspection, lower it to free "
        "space sooner",
    )
    checkpoint_days: int = Field(
        7,
        ge=1,
        description="days after its newest checkpoint when a training's checkpoints are deleted; "
        "raise it to resume older trainings, lower it to free space sooner",
    )


class CheckDriftParams(Section):
    window_days: int = Field(
        7,
        ge=2,
        description="days of the trailing window, D included; raise it for steadier results, lower "
        "it to notice drift sooner",
    )
    sample_rows: int = Field(
        5_000,
        ge=100,
        description="rows of D, at most, that are kept and compared; raise it for more precise "
        "distances, lower it to save time and space",
    )
    min_rows: int = Field(
        500,
        ge=2,
        description="values below which a column is not judged; raise it to ignore sparse columns, "
        "lower it to judge them too",
    )
    thresholds: dict[str, float] = Field(
        {},
        description="distance per column from which it has drifted, instead of the one in the "
        "pipeline's drift.py; raise it to allow more change, lower it to report drift sooner",
    )
    severities: dict[str, Severity] = Field(
        {},
        description="severity per column, instead of the one in drift.py: `fail` counts as drift, "
        "`warn` is only reported",
    )
    max_null_growth: float = Field(
        0.1,
        ge=0,
        le=1,
        description="by how much the null share of a column may exceed the reference; raise it to "
        "allow more nulls, lower it to report sooner",
    )
    max_unseen_share: float = Field(
        0.02,
        ge=0,
        le=1,
        description="share of rows that may have a category missing from the reference; raise it "
        "to allow more new categories, lower it to report sooner",
    )
    metric: str = Field("roc_auc", description="metric of the champion that decay is measured in")
    max_degradation: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="loss of that metric, as a share of its baseline, above which the champion has "
        "decayed; raise it to retrain less often, lower it to retrain sooner",
    )
    decay_days: int = Field(
        30,
        ge=1,
        description="latest labelled days on which the champion is judged again; raise it for "
        "steadier results, lower it to notice decay sooner",
    )
    draws: int = Field(
        200,
        ge=50,
        description="bootstrap resamples that separate decay from chance; raise it for a steadier "
        "interval, lower it to save time",
    )


class RetrainParams(Section):
    policy: Literal["daily", "on_drift", "weekly"] = Field(
        "daily",
        description="when to train: `daily`; `on_drift`, after drift or decay or when the champion "
        "is too old; `weekly`, on `weekday`",
    )
    max_age_days: int = Field(
        30,
        ge=1,
        description="age of the champion in days after which a training is due, whatever the "
        "policy; raise it to train less often, lower it to train more often",
    )
    weekday: int = Field(
        6,
        ge=0,
        le=6,
        description="day of the week for which the policy `weekly` trains; Monday is 0, Sunday is "
        "6",
    )


class GateParams(Section):
    mode: Literal["enforce", "warn"] = Field(
        "enforce",
        description="`enforce` rejects a challenger that fails a check; `warn` promotes it anyway "
        "and records so in the verdict",
    )
    metric: str = Field(
        "average_precision", description="metric in which the challenger must beat the champion"
    )
    min_margin: float = Field(
        0.0,
        description="gain in that metric that the challenger needs; raise it to promote only clear "
        "gains, lower it below 0 to promote a slightly worse but fresher model",
    )
    min_low: float | None = Field(
        None,
        description="low end of the paired 95 % interval of the gain that the challenger needs "
        "(only metrics that are means); raise it to demand more certainty, lower it to accept "
        "less, null only warns",
    )
    floors: dict[str, float] = Field(
        {},
        description="least value per metric, with or without a champion; raise one to reject more "
        "challengers, lower it to accept more",
    )
    ceilings: dict[str, float] = Field(
        {},
        description="greatest value per metric, such as calibration_error; raise one to accept "
        "more challengers, lower it to reject more",
    )
    max_slice_loss: float = Field(
        0.1,
        ge=0,
        description="loss of the metric in one slice (the latest days are one) above which the "
        "challenger fails; raise it to tolerate more, lower it to protect small groups",
    )
    min_slice_evidence: int = Field(
        50,
        ge=1,
        description="frauds (or users) below which a slice is not judged; raise it to skip noisy "
        "slices, lower it to judge smaller ones",
    )
    max_skew: float = Field(
        0.001,
        ge=0,
        le=1,
        description="share of rows in which predict and snapshot may differ; raise it to tolerate "
        "more skew, lower it to fail sooner",
    )
    max_null_growth: float = Field(
        0.1,
        ge=0,
        le=1,
        description="by how much the null share of a feature in the holdout may exceed the one in "
        "training; raise it to allow more nulls, lower it to fail sooner",
    )
    max_model_mib: float = Field(
        500,
        gt=0,
        description="size of the model in MiB above which it fails; raise it to allow larger "
        "models",
    )
    max_latency_ms: float = Field(
        2_000,
        gt=0,
        description="milliseconds to score 1,000 examples above which it warns (machines differ, "
        "so it never fails); lower it to be warned sooner",
    )
    draws: int = Field(
        200,
        ge=50,
        description="resamples of the paired bootstrap; raise it for a steadier interval, lower it "
        "to save time",
    )


class PromoteParams(Section):
    approval: Literal["auto", "manual"] = Field(
        "auto",
        description="`auto` promotes a challenger that passes the gate; `manual` asks a person "
        "first",
    )
    timeout_hours: float = Field(
        8,
        gt=0,
        le=20,
        description="hours after which `default` answers an open request, so that the next night "
        "can begin; raise it to give people more time, lower it to publish sooner",
    )
    default: Literal["Approve", "Reject"] = Field(
        "Reject", description="answer to a request that nobody answered in time"
    )
    approvers: tuple[Annotated[str, Field(min_length=1, max_length=250)], ...] = Field(
        (),
        description="Airflow user ids (the login; with FAB, the number) that may answer; empty "
        "lets everybody answer who may run tasks",
    )


class FreshnessParams(Section):
    severity: Severity = Field(
        "fail",
        description="severity of a day that is not served: `fail` turns the check red, `warn` only "
        "reports it",
    )
    sample: int = Field(
        50,
        ge=1,
        description="lookups per table in both stores, as a client makes them; raise it to check "
        "more, lower it to finish sooner",
    )


class AlertParams(Section):
    connection: str = Field(
        "nightshift_alerts",
        description="Airflow connection of type apprise that receives the alerts; without it they "
        "are only logged",
    )
    published_by_hour: int = Field(
        6,
        ge=3,
        le=23,
        description="hour (UTC) by which the tables of the day before must be served; raise it to "
        "be alerted later, lower it to be alerted sooner",
    )


class Empty(Section):
    """A step without parameters."""


Params = TypeVar("Params", bound=Section)


def sections(
    *,
    validate: type[Section],
    snapshot: type[Section],
    train: type[Section],
    predict: type[Section],
    check_drift: type[Section] = CheckDriftParams,
) -> dict[str, type[Section]]:
    """The section of every step: those of a use case, and those that all use cases share."""
    return {
        "extract": ExtractParams,
        "validate": validate,
        "build_features": Empty,
        "snapshot": snapshot,
        "check_drift": check_drift,
        "retrain": RetrainParams,
        "train": train,
        "gate": GateParams,
        "approve": Empty,
        "promote": PromoteParams,
        "predict": predict,
        "publish": PublishParams,
        "verify": VerifyParams,
        "freshness": FreshnessParams,
        "rollback": Empty,
        "reconcile": PublishParams,
        "housekeeping": HousekeepingParams,
    }


def load(path: Path) -> dict[str, object]:
    """Return all of params.yaml as plain values.

    ConfigError if the file is missing or no mapping.
    """
    try:
        values = yaml.safe_load(path.read_text()) or {}
    except FileNotFoundError:
        raise ConfigError(
            f"there is no parameters file at {path}",
            remedy="set NIGHTSHIFT_PARAMS to a params.yaml",
        ) from None
    except yaml.YAMLError as error:
        raise ConfigError(
            f"{path} is not YAML: {error}", remedy="fix the line that the message names"
        ) from None
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path} does not map pipelines to sections", remedy="start it with `<pipeline>:`"
        )
    return values


def alerts(path: Path) -> AlertParams:
    """Return the section `alerts`, which holds for all pipelines."""
    return validated(path, "alerts", load(path).get("alerts"), AlertParams)


def first_date(path: Path, pipeline: str) -> date:
    """Return the first day in the pipeline's source; days before it are not missing."""
    value = pipeline_values(path, pipeline).get("first_date")
    try:
        # params.yaml has strings, since DVC rejects YAML dates; a YAML date works too.
        return date.fromisoformat(str(value))
    except ValueError:
        raise ConfigError(
            f"{pipeline}.first_date is {value!r}, not a date", remedy=f"write YYYY-MM-DD in {path}"
        ) from None


def check_sections(path: Path, pipeline: str, steps: Collection[str]) -> None:
    """Raise ConfigError for a section that no step reads.

    A mistyped section would silently leave its step on the defaults.
    """
    unknown = set(pipeline_values(path, pipeline)) - {"first_date", "resources", *steps}
    if unknown:
        raise ConfigError(
            "no step reads the section "
            f"{', '.join(f'{pipeline}.{name}' for name in sorted(unknown))}",
            remedy=f"rename it in {path}; sections: {', '.join(sorted(steps))}",
        )


def section(path: Path, pipeline: str, step: str, model: type[Params]) -> Params:
    """Return the section `<pipeline>.<step>`.

    ConfigError lists every wrong key and what it allows.
    """
    return validated(path, f"{pipeline}.{step}", pipeline_values(path, pipeline).get(step), model)


def validated(path: Path, name: str, values: object, model: type[Params]) -> Params:
    """Return `values` of the section `name` as `model`; ConfigError lists every wrong key."""
    try:
        return model.model_validate(values or {})
    except ValidationError as error:
        lines = [_explain(name, problem, model) for problem in error.errors()]
        raise ConfigError("; ".join(lines), remedy=f"fix it in {path}") from None


def unknown_metrics(
    sections: Mapping[str, Section], compared: Collection[str], metrics: Collection[str]
) -> Iterator[str]:
    """Yield a problem for every metric in gate and check_drift that the pipeline does not compute.

    `compared` holds the metrics in which two models can be compared, `metrics` all of them.
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


def pipeline_values(path: Path, pipeline: str) -> dict[str, object]:
    """Return the pipeline's part of the file as plain values; ConfigError if it has none."""
    values = load(path)
    if not isinstance(section := values.get(pipeline), dict):
        raise ConfigError(
            f"{path} has no section {pipeline}",
            remedy=f"use one of its sections: {', '.join(values) or 'none'}",
        )
    return dict(section)


def _explain(prefix: str, error: ErrorDetails, model: type[Section]) -> str:
    name = ".".join((prefix, *map(str, error["loc"])))
    message = f"{name} = {error['input']!r}: {error['msg']}"
    if error["type"] == "extra_forbidden":
        message += f" (keys: {', '.join(sorted(model.model_fields))})"
    return message
