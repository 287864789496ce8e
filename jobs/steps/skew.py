"""Training-serving skew: whether the snapshot's rows, and what predict made of the same rows, agree."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from jobs.core import params
from jobs.core.checks import Check, at_most
from jobs.core.digest import table_digest
from jobs.core.manifest import Manifest, manifest_name
from jobs.core.usecase import Table, features, parameters, prediction, predictions
from jobs.steps.frame import Step
from jobs.steps.models import load, model_path
from jobs.stores import clickhouse


def check(step: Step, table: pa.Table, limit: float) -> Check:
    """The share of the rows that predict of earlier days saw otherwise than the snapshot does now.

    An event is looked up in `table`, the training set of D; what an entity had by D-1 in that of D-1.
    """
    usecase, compared, wrong = predictions(step.run.pipeline), 0, 0
    compare = prediction(step.run.pipeline, usecase.COMPARED)
    for manifest, examples in _pairs(step, table, compare):
        if predicted := _predicted(step, compare, manifest):
            model = load(step, str(manifest.model_digest))
            rows, differing = usecase.disagreement(model, examples, predicted)
            compared, wrong = compared + rows, wrong + differing
    message = f"{wrong} of {compared} rows of {compare.name} differ" if compared else "no rows in common yet"
    return at_most("skew", wrong / max(1, compared), limit, message=message)


def _pairs(step: Step, table: pa.Table, compare: Table) -> Iterator[tuple[Manifest, pa.Table]]:
    """What predict did on earlier days, and the examples to hold beside it."""
    if compare.kind == "event":
        for day in sorted(set(table.filter(pc.equal(table["split"], "holdout"))["date"].to_pylist())):
            if manifest := _done(step, "predict", day):
                yield manifest, table.filter(pc.equal(table["date"], pa.scalar(day)))
        return
    day = step.run.date - timedelta(days=1)
    snapshot, manifest = _done(step, "snapshot", day), _done(step, "predict", day)
    if snapshot and manifest and _same_window(step, day):
        yield manifest, step.lake.read_table(snapshot.output("training_set"))


def _done(step: Step, name: str, day: date) -> Manifest | None:
    """Not recorded as read: a check of what was done is not made from it."""
    return step.lake.manifest(manifest_name(step.run.pipeline, name, day))


def _same_window(step: Step, day: date) -> bool:
    """Whether snapshot and predict look back on the same days, so that their sums can be equal."""
    usecase, known = features(step.run.pipeline), parameters(step.run.pipeline)
    sections = [
        params.section(step.settings.params_file, step.run.pipeline, name, known[name])
        for name in ("snapshot", "predict")
    ]
    trained, served = usecase.training_days(day, sections[0]), usecase.scoring_days(day, sections[1])
    return trained[usecase.EXAMPLES] == served[usecase.EXAMPLES]


def _predicted(step: Step, table: Table, manifest: Manifest) -> pa.Table | None:
    """The predictions that the manifest names; None where they, or their model, are no longer there."""
    if not step.lake.exists(model_path(step.run.pipeline, str(manifest.model_digest))):
        return None
    with clickhouse.connect(step.settings) as db:
        found = db.read_partition(step.run.pipeline, table, manifest.date)
    same = table_digest(found, table.key) == manifest.output(table.name).digest
    return found if same and found.num_rows else None
