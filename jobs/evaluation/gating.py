"""The gate's checks as pure functions: measured values against params; NaN never passes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from jobs.core.checks import Check, at_least, at_most
from jobs.core.params import GateParams
from jobs.evaluation.bootstrap import metric_interval
from jobs.evaluation.judged import Judged

LATENCY = "latency"


def absolute(metrics: Mapping[str, float], params: GateParams) -> Iterator[Check]:
    """Yield the checks without a champion, floors and ceilings; an empty slice has no metric."""
    for name, floor in params.floors.items():
        yield at_least(f"floor.{name}", metrics.get(name, math.nan), floor)
    for name, ceiling in params.ceilings.items():
        yield at_most(f"ceiling.{name}", metrics.get(name, math.nan), ceiling)


def against(
    ours: Judged, theirs: Judged, params: GateParams, again: bool = False
) -> Iterator[Check]:
    """Yield the checks against the champion on the same holdout: margin, paired interval, slices.

    `again`: the challenger is a former champion that was rolled back; the low end of its interval
    must be above 0.
    """
    metric = params.metric
    mine, champions = ours.value(metric), theirs.value(metric)
    message = f"{metric} {mine:.4f} against the champion's {champions:.4f}"
    yield at_least(f"margin.{metric}", mine - champions, params.min_margin, message=message)
    low, high = metric_interval(ours, theirs, metric, params.draws)
    message = f"the gain is {low:+.4f} to {high:+.4f} (95 %, paired)"
    if params.min_low is None:
        yield at_least(f"low.{metric}", low, params.min_margin, "warn", message)
    else:
        yield at_least(f"low.{metric}", low, params.min_low, message=message)
    if again:
        message = f"was rolled back once and must win again: {message}"
        yield Check("rolled_back", low > 0, low, 0, message=message)
    yield from _slices(ours, theirs, params)


def _slices(ours: Judged, theirs: Judged, params: GateParams) -> Iterator[Check]:
    champions, least = theirs.slices(params.metric), params.min_slice_evidence
    for name, (mine, evidence) in ours.slices(params.metric).items():
        if evidence < least:
            message = f"{evidence} are too few to judge"
            yield Check(f"slice.{name}", True, evidence, least, "warn", message)
            continue
        message = f"{params.metric} {mine:.4f} against the champion's {champions[name][0]:.4f}"
        yield at_least(
            f"slice.{name}", mine - champions[name][0], -params.max_slice_loss, message=message
        )


def null_growth(
    train: pa.Table, holdout: pa.Table, columns: Sequence[str], params: GateParams
) -> Check:
    """Return a check of the largest growth of a null share from training to holdout."""
    shares = {name: (_null_share(train, name), _null_share(holdout, name)) for name in columns}
    name, (before, now) = max(shares.items(), key=lambda item: item[1][1] - item[1][0])
    message = f"{name} is null in {now:.1%} of the holdout, in {before:.1%} of training"
    return at_most("null_growth", now - before, params.max_null_growth, message=message)


def _null_share(table: pa.Table, name: str) -> float:
    return float(table[name].null_count / max(1, table.num_rows))


def footprint(size: int, seconds: float, examples: int, params: GateParams) -> Iterator[Check]:
    """Yield checks of the model's size and of the time to score 1,000 examples."""
    yield at_most("size", size / 2**20, params.max_model_mib, message="MiB")
    # The figure is also a fact (measured_ms), since it differs in every run and checks must not.
    milliseconds = 1e6 * seconds / max(1, examples)
    yield at_most(LATENCY, milliseconds, params.max_latency_ms, "warn", "ms for 1,000 examples")
