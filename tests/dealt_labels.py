"""Training sets of fraud with new labels, for models that must lose or win."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from jobs.steps.models import model_path
from jobs.usecases.fraud.model import load, score
from nights import DAY


def shuffle_labels(place, day=DAY):
    """The labels of the training rows in another order; those of the holdout stay."""
    table = _table(place, day)
    labels = table["is_fraud"].to_numpy().copy()
    train = np.flatnonzero(table["split"].to_numpy() == "train")
    labels[train] = np.random.default_rng(3).permutation(labels[train])
    _keep(place, day, table, labels)


def favour(place, day, digest):
    """Set the labels of the holdout so that the model with this digest predicts them right.

    The challenger stays as it is.
    """
    table = _table(place, day)
    labels = table["is_fraud"].to_numpy().copy()
    holdout = np.flatnonzero(table["split"].to_numpy() == "holdout")
    scores = score(
        load(place.lake.read_bytes(model_path("fraud", digest))), table.take(pa.array(holdout))
    )
    labels[holdout] = scores >= np.quantile(scores, 0.98)
    changed = _keep(place, day, table, labels)
    train = place.manifest("train", day)
    place.lake.commit(
        train.model_copy(update={"reads": train.reads | {changed.name: changed.content}})
    )


def _table(place, day):
    return place.lake.read_table(place.manifest("snapshot", day).output("training_set"))


def _keep(place, day, table, labels):
    column = table.column_names.index("is_fraud")
    dealt = table.set_column(column, "is_fraud", pa.array(labels, table["is_fraud"].type))
    manifest = place.manifest("snapshot", day)
    dataset = place.lake.write_table(manifest.name, "training_set", dealt, ("transaction_id",))
    changed = manifest.model_copy(update={"outputs": [dataset]})
    place.lake.commit(changed)
    return changed
