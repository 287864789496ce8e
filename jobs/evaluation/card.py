"""The model card (Mitchell et al. 2019) in Markdown: data, metrics, verdict, drift and limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jobs.core.facts import CheckDriftFacts, GateFacts, SnapshotFacts, TrainFacts
from jobs.core.manifest import Manifest
from jobs.core.markdown_table import markdown_table
from jobs.core.text import markdown


@dataclass(frozen=True)
class Card:
    """The manifests of a model, its approver and its limits; `drift` None: it was not judged."""

    snapshot: Manifest
    train: Manifest
    gate: Manifest
    drift: Manifest | None
    approved_by: str
    limits: Sequence[str]

    def to_markdown(self) -> str:
        return "\n".join(
            [
                *self._head(),
                *self._metrics(),
                *self._slices(),
                *self._gate(),
                *self._drift(),
                *self._limits(),
            ]
        )

    def _head(self) -> Iterator[str]:
        days = sorted(
            {name.rpartition("/")[2] for name in self.snapshot.reads if "/validate/" in name}
        )
        data = SnapshotFacts.of(self.snapshot)
        yield f"# {markdown(self.train.pipeline)}, model of {self.train.date}"
        yield from (
            "",
            f"- **Digest** `{self.train.model_digest}`, "
            f"version {TrainFacts.of(self.train).model_version}",
            f"- **Data** {days[0]} to {days[-1]}: {data.train:,} rows for training, "
            f"{data.holdout:,} held out; snapshot md5 `{data.snapshot_md5}`",
            f"- **Made by** code {self.train.code_version}, "
            f"parameters `{self.train.params_digest[:12]}`",
            f"- **Approved by** {markdown(self.approved_by)}",
        )

    def _metrics(self) -> Iterator[str]:
        facts = GateFacts.of(self.gate)
        theirs = facts.champion_metrics or {}
        head = ("metric", "this model", "the champion before")
        rows = [
            (markdown(name), _number(value), _number(theirs.get(name)))
            for name, value in facts.metrics.items()
            if "." not in name
        ]
        yield from _table("Metrics on the holdout", head, rows)

    def _slices(self) -> Iterator[str]:
        rows = [
            (markdown(name), _number(value), f"{n:,}")
            for name, (value, n) in GateFacts.of(self.gate).slices.items()
        ]
        yield from _table("Slices", ("slice", "metric of the gate", "positives or users"), rows)

    def _gate(self) -> Iterator[str]:
        facts = GateFacts.of(self.gate)
        yield from (
            "",
            f"## Gate: {facts.verdict} (mode {facts.mode})",
            "",
            *(f"- {markdown(reason)}" for reason in facts.reasons),
        )

    def _drift(self) -> Iterator[str]:
        yield from ("", "## Drift on the day it was trained", "")
        drift = self.drift and CheckDriftFacts.of(self.drift)
        if not drift or not drift.judged:
            yield "Not judged."
            return
        yield f"Drifted: {', '.join(map(markdown, drift.drifted)) or 'nothing'}."
        if drift.report_url:
            yield f"[Report]({drift.report_url})"

    def _limits(self) -> Iterator[str]:
        yield from ("", "## Limits", "", *(f"- {limit}" for limit in self.limits), "")


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    yield from ("", f"## {title}", "")
    yield from markdown_table(head, rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.4f}"
