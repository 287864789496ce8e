"""What the manifests of a pipeline say of one another: days that are missing, and runs whose inputs have changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from jobs.core.identity import days
from jobs.core.manifest import Manifest
from jobs.core.steps import AFTER_RETRAIN
from jobs.stores.lake import Lake


@dataclass(frozen=True)
class Stale:
    """A run that would come out differently today, and why."""

    step: str
    date: date
    because: str


def manifests(lake: Lake, pipeline: str) -> dict[str, Manifest]:
    """Every manifest of the pipeline by its name (`<pipeline>/<step>/<date>`), sorted."""
    names = [
        f"{pipeline}/{step}/{day}"
        for step in lake.steps(pipeline)
        for day in lake.days(pipeline, step)
    ]
    found = {name: lake.manifest(name) for name in sorted(names)}
    return {name: manifest for name, manifest in found.items() if manifest}


def stale(known: Mapping[str, Manifest], params: Mapping[str, str]) -> Iterator[Stale]:
    """The runs whose inputs, or whose section of the parameters, are not what they were.

    `params` maps a step to the digest of its section now. Only what a run read itself counts: what comes
    after a stale run shows once that run has been done again and its content has changed.
    """
    for manifest in known.values():
        changed = [
            name
            for name, content in manifest.reads.items()
            if name in known and known[name].content != content
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


def holes(known: Mapping[str, Manifest], step: str, first: date, last: date) -> list[date]:
    """The days from `first` to `last`, both included, of which `step` has no manifest though it should.

    `known` are the manifests of one pipeline. Days that retrain left without a training are no holes of what follows it.
    """
    done = {each.date for each in known.values() if each.step == step}
    if step in AFTER_RETRAIN:
        done |= {each.date for each in known.values() if each.facts.get("decision") == "keep"}
    return [day for day in days(first, last) if day not in done]
