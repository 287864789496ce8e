"""Find missing days and stale runs by comparing the manifests of a pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from jobs.core.facts import RetrainFacts
from jobs.core.identity import days
from jobs.core.manifest import Manifest
from jobs.core.steps import AFTER_RETRAIN
from jobs.stores.lake import Lake


@dataclass(frozen=True)
class Stale:
    """A run that would have another result today, and the reason."""

    step: str
    date: date
    because: str


def manifests(lake: Lake, pipeline: str) -> dict[str, Manifest]:
    """Return the pipeline's manifests by name (`<pipeline>/<step>/<date>`), sorted."""
    names = [
        f"{pipeline}/{step}/{day}"
        for step in lake.steps(pipeline)
        for day in lake.days(pipeline, step)
    ]
    read = {name: lake.manifest(name) for name in sorted(names)}
    return {name: manifest for name, manifest in read.items() if manifest}


def stale(manifests: Mapping[str, Manifest], params: Mapping[str, str]) -> Iterator[Stale]:
    """Yield the runs that read inputs or a params section that have changed since.

    `params` maps a step to the current digest of its section. Only a run's own inputs count: runs
    after a stale run become stale once it has run again with another result.
    """
    for manifest in manifests.values():
        changed = [
            name
            for name, content in manifest.reads.items()
            if name in manifests and manifests[name].content != content
        ]
        if manifest.premature:
            yield Stale(manifest.step, manifest.date, "it ran before that day was over")
        elif changed:
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            yield Stale(manifest.step, manifest.date, f"{changed[0]}{more} changed since")
        elif params.get(manifest.step, manifest.params_digest) != manifest.params_digest:
            yield Stale(
                manifest.step,
                manifest.date,
                f"params {manifest.pipeline}.{manifest.step} changed since",
            )


def holes(manifests: Mapping[str, Manifest], step: str, first: date, last: date) -> list[date]:
    """Return the days from `first` to `last`, both included, that `step` has missed.

    `manifests` are those of one pipeline. After a retrain that decided against training, the steps
    of the training have not missed the day.
    """
    runs = manifests.values()
    done = {run.date for run in runs if run.step == step}
    if step in AFTER_RETRAIN:
        retrained = (run for run in runs if run.step == RetrainFacts.step)
        done |= {run.date for run in retrained if RetrainFacts.of(run).decision == "keep"}
    return [day for day in days(first, last) if day not in done]
