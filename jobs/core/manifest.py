"""The manifest, which a step writes last: output in the lake exists only if a manifest names it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from datetime import date as Day

from pydantic import BaseModel, ConfigDict, Field

from jobs.core.digest import json_digest
from jobs.core.errors import DataError
from jobs.core.identity import end_of
from jobs.core.receipt import Receipt


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Dataset(Frozen):
    """One table that a step read or wrote: path, row count and content digest."""

    name: str
    path: str  # lake path of a file, or `<store>:<table>` for a table outside the lake
    rows: int
    digest: str


class Manifest(Frozen):
    """What one run of a step read, wrote and decided.

    `reads` maps the name (`<pipeline>/<step>/<date>`) of every manifest in its window to the
    content digest at that time; this run is stale once one of them differs. `checks` holds rows of
    `core.checks.Check`. `facts` is the JSON of the step's model in `core.facts`, which reads it.
    `decisive` names the facts by which later steps decide: they count in `content`. Manifests of
    earlier releases name none, so their content stays the same.
    """

    pipeline: str
    step: str
    date: Day
    attempt: str
    inputs: list[Dataset] = Field(default_factory=list)
    outputs: list[Dataset] = Field(default_factory=list)
    reads: dict[str, str] = Field(default_factory=dict)
    missing_days: list[Day] = Field(default_factory=list)
    params_digest: str
    code_version: str
    model_digest: str | None = None
    checks: list[dict[str, object]] = Field(default_factory=list)
    facts: dict[str, object] = Field(default_factory=dict)
    decisive: list[str] = Field(default_factory=list)
    started: datetime
    ended: datetime

    @property
    def name(self) -> str:
        return manifest_name(self.pipeline, self.step, self.date)

    @property
    def premature(self) -> bool:
        """Whether it started before its day had ended, and so read only a part of the day."""
        return self.started < end_of(self.date)

    @property
    def content(self) -> str:
        """Return the digest of the receipt; two runs with the same output have the same digest."""
        return json_digest(self.receipt())

    def receipt(self) -> Receipt:
        """Return what a repeated run leaves unchanged: outputs, model and decisive facts."""
        receipt: Receipt = {
            "step": f"{self.pipeline}/{self.step}",
            "date": str(self.date),
            "outputs": sorted((o.name, o.rows, o.digest) for o in self.outputs),
            "model_digest": self.model_digest,
        }
        if self.decisive:
            receipt["facts"] = {name: self.facts[name] for name in sorted(self.decisive)}
        return receipt

    def output(self, name: str) -> Dataset:
        """Return the output `name`; DataError lists the existing ones."""
        for dataset in self.outputs:
            if dataset.name == name:
                return dataset
        names = ", ".join(dataset.name for dataset in self.outputs) or "none"
        raise DataError(
            f"{self.name} has no output {name}; it has {names}", remedy="run that step again"
        )

    def to_bytes(self) -> bytes:
        return self.model_dump_json(indent=1).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        return cls.model_validate(json.loads(data))


def manifest_name(pipeline: str, step: str, day: Day) -> str:
    return f"{pipeline}/{step}/{day}"


def utc_now() -> datetime:
    """Return the time, only for start and end in manifests: no result depends on the clock."""
    return datetime.now(UTC)
