"""Training-serving skew: whether snapshot and predict agree about the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from jobs.core.checks import Check, Severity, at_most
from jobs.core.errors import DataError
from jobs.core.manifest import Manifest, manifest_name
from jobs.core.tables import Table
from jobs.steps.frame import Step, code_version
from jobs.steps.models import model_path
from jobs.stores import clickhouse
from jobs.usecases.discovery import find_usecase


def check(step: Step, table: pa.Table, limit: float) -> Check:
    """The share of rows for which earlier predicts had other values than the snapshot has now.

    Events are looked up in `table`, the training set of D; entities in the training set of D-1. If
    predict ran with another code version, the check only warns, because a corrected feature
    differs.
    """
    usecase, compared, wrong, severe = find_usecase(step.run.pipeline), 0, 0, 0
    estimator = usecase.estimator()
    prediction = usecase.prediction(estimator.compared)
    for manifest, examples, predicted in _pairs(step, table, prediction):
        try:
            path = model_path(step.run.pipeline, str(manifest.model_digest))
            data = partial(step.lake.read_bytes, path)
            rows, differing = estimator.disagreement(data, examples, predicted)
        except DataError as error:  # the model is missing, or has other features
            step.log.warning("not compared with predict", day=manifest.date, error=error.what)
            continue
        compared, wrong = compared + rows, wrong + differing
        severe += differing if manifest.code_version == code_version() else 0
    message = (
        f"{wrong} of {compared} rows of {prediction.name} differ"
        if compared
        else "no rows in common"
    )
    severity: Severity = "fail" if severe > limit * compared else "warn"
    return at_most("skew", wrong / max(1, compared), limit, severity, message)


def _pairs(
    step: Step, table: pa.Table, compare: Table
) -> Iterator[tuple[Manifest, pa.Table, pa.Table]]:
    """(manifest of an earlier predict, the examples to compare it with, its predictions)."""
    if compare.kind == "event":
        for day in sorted(
            set(table.filter(pc.equal(table["split"], "holdout"))["date"].to_pylist())
        ):
            manifest = _done(step, "predict", day)
            if manifest and (predicted := _predicted(step, compare, manifest)):
                yield manifest, table.filter(pc.equal(table["date"], pa.scalar(day))), predicted
        return
    day = step.run.date - timedelta(days=1)
    snapshot, manifest = _done(step, "snapshot", day), _done(step, "predict", day)
    if not snapshot or not manifest or not _same_window(step, day):
        return
    if predicted := _predicted(step, compare, manifest):
        yield manifest, step.lake.read_table(snapshot.output("training_set")), predicted


def _done(step: Step, name: str, day: date) -> Manifest | None:
    """The manifest if its inputs have not changed since (late data is no skew), else None.

    It is not recorded as read, because the result of this step does not depend on it.
    """
    manifest = step.lake.manifest(manifest_name(step.run.pipeline, name, day))
    if manifest is None:
        return None
    # predict also reads its own results of earlier days. A rerun changes those, but no feature.
    own = f"/{manifest.step}/"
    read = {name: content for name, content in manifest.reads.items() if own not in name}
    now = {name: step.lake.manifest(name) for name in read}
    same = all(current and current.content == read[name] for name, current in now.items())
    return manifest if same else None


def _same_window(step: Step, day: date) -> bool:
    """Whether snapshot and predict look back on the same days, which makes sums comparable."""
    features = find_usecase(step.run.pipeline).features
    trained = features.training.days(day, step.section_of("snapshot"))
    served = features.scoring.days(day, step.section_of("predict"))
    return trained[features.examples] == served[features.examples]


def _predicted(step: Step, table: Table, manifest: Manifest) -> pa.Table | None:
    """The predictions that the manifest names; None if they no longer exist."""
    with clickhouse.connect_clickhouse(step.settings) as db:
        rows = db.read_partition(step.run.pipeline, table, manifest.date)
    same = table.matches(rows, manifest.output(table.name).digest)
    return rows if same and rows.num_rows else None
