"""The model of movies: four algorithms in one version, on Arrow tables of interactions.

Its identity is the digest of its bytes. It holds the catalogue, the collaborative weights, the
popularity and the decisions of validation, but no history of users: a request for recommendations
brings what the users have seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import scipy
import scipy.sparse as sp
import sklearn
import xgboost as xgb
from threadpoolctl import threadpool_limits

from jobs.core.errors import DataError
from jobs.training.boosting import Checkpoints
from jobs.usecases.movies import archive, evaluation, interactions, recommend, scorers, validation
from jobs.usecases.movies import catalogue as movies
from jobs.usecases.movies.catalogue import Catalogue
from jobs.usecases.movies.evaluation import JudgedRankings
from jobs.usecases.movies.hybrid import Hybrid
from jobs.usecases.movies.params import MoviesTrainParams
from jobs.usecases.movies.scorers import Scorers

REQUIREMENTS = tuple(
    f"{name}=={library.__version__}"
    for name, library in {
        "numpy": np,
        "scipy": scipy,
        "scikit-learn": sklearn,
        "xgboost": xgb,
    }.items()
)  # to load it elsewhere


@dataclass(frozen=True, eq=False)
class MoviesModel:
    """Scorers, the hybrid, the section of the fit, and counts of the rows that it was fitted on."""

    scorers: Scorers
    hybrid: Hybrid
    params: MoviesTrainParams
    facts: dict[str, int]
    booster: None = None  # the ranker is only part of it

    def to_bytes(self) -> bytes:
        catalogue, walk = self.scorers.catalogue, self.scorers.walk
        document = {
            "params": self.params.model_dump(mode="json"),
            "facts": self.facts,
            "half_life": self.scorers.half_life,
            "prior": self.scorers.prior,
            "blend": self.hybrid.weights,
            "figures": self.hybrid.figures,
            "ids": list(catalogue.ids),
            "titles": list(catalogue.titles),
            "genres": list(catalogue.genres),
        }
        return archive.pack(
            {
                "told.json": json.dumps(document, sort_keys=True).encode(),
                "ranker.ubj": self.hybrid.ranker,
                "years": catalogue.years,
                "kept": self.scorers.kept,
                "weights": self.scorers.weights,
                "walk_data": walk.data,
                "walk_indices": walk.indices,
                "walk_indptr": walk.indptr,
                "popularity": self.scorers.popularity,
                "age": self.scorers.age,
            }
        )


def load(data: bytes) -> MoviesModel:
    """The model in `data`."""
    members = cast(dict[str, Any], archive.unpack(data))
    document = json.loads(members["told.json"])
    names = [np.array(document[name], object) for name in ("ids", "titles", "genres")]
    catalogue = Catalogue(names[0], names[1], members["years"], names[2])
    count = len(members["kept"])
    walk = sp.csr_array(
        (members["walk_data"], members["walk_indices"], members["walk_indptr"]),
        shape=(count, count),
    )
    fitted = Scorers(
        catalogue,
        members["kept"],
        members["weights"],
        walk,
        members["popularity"],
        members["age"],
        document["half_life"],
        document["prior"],
    )
    hybrid = Hybrid(tuple(document["blend"]), members["ranker.ubj"], document["figures"])
    return MoviesModel(
        fitted, hybrid, MoviesTrainParams.model_validate(document["params"]), document["facts"]
    )


def fit(
    table: pa.Table,
    params: MoviesTrainParams,
    catalogue: pa.Table | None = None,
    *,
    checkpoints: Checkpoints | None = None,
) -> MoviesModel:
    """Fit on `table`, with one row per interaction.

    `catalogue` adds movies that nobody has seen (catalogue.COLUMNS). Validation decides about
    validation.Choice on `validation_share` of the rows, by scores that have not seen them; then
    all rows are fitted. A movie without a title is not in the catalogue, and is never recommended.
    The same rows in any order, catalogue and parameters give the same bytes. DataError if fewer
    than two movies have `min_interactions`, or more than `ease_max_items` have.
    """
    if not table.num_rows:
        raise DataError("no interactions to learn from", remedy="lengthen snapshot.train_days")
    rows, repeated = interactions.deduplicate(table)
    every = movies.read(*([catalogue] if catalogue is not None else []), _titled(rows))
    with threadpool_limits(params.threads, "blas"):
        known = interactions.read(rows, every, params)
        chosen = validation.choose(table, every, params, checkpoints)
        fitted = scorers.fit(known, every, params, chosen.half_life, chosen.prior)
    facts = {
        "users": len(known.users),
        "movies": len(every),
        "interactions": known.strengths.nnz,
        "repeated_interactions": repeated,
        "movies_kept": len(fitted.kept),
        "interactions_of_unknown_movies": known.unknown,
        "movies_below_min_interactions": len(np.unique(known.strengths.indices)) - len(fitted.kept),
    }
    return MoviesModel(fitted, chosen.hybrid, params, facts)


def _titled(rows: pa.Table) -> pa.Table:
    """The rows of movies in the catalogue; all rows if it has none of them."""
    known = rows.filter(pc.is_valid(rows["title"]))
    return known if known.num_rows else rows


def score(
    model: MoviesModel, history: pa.Table, users: np.ndarray, favourites: np.ndarray | None = None
) -> Iterator[pa.Table]:
    """Recommendations as of `recommend.recommend`; `history` has the interactions of `users`."""
    known = interactions.read(history, model.scorers.catalogue, model.params)
    return recommend.recommend(
        model.scorers,
        model.hybrid,
        known,
        users,
        favourites,
        model.params.candidates,
        model.params.threads,
    )


def refreshed(model: MoviesModel, history: pa.Table) -> MoviesModel:
    """The model with popularity and ages of movies as of the end of `history`.

    `history` is what everybody did. A model is days old when it recommends; popularity is of today.
    """
    known = interactions.read(history, model.scorers.catalogue, model.params)
    if not known.strengths.nnz:
        return model
    return replace(model, scorers=scorers.of_today(model.scorers, known))


def judge(model: MoviesModel, history: pa.Table, holdout: pa.Table) -> JudgedRankings:
    """The values of every user of the holdout; `history` is what everybody did before it."""
    model = refreshed(model, history)
    known = interactions.read(history, model.scorers.catalogue, model.params)
    taken = interactions.unseen(holdout, history)
    judged = evaluation.judge(
        model.scorers, model.hybrid, known, taken, model.params.candidates, model.params.threads
    )
    # By what users did, whether or not the catalogue has it: two models judge the same slices.
    return replace(judged, activity=interactions.counts(history, judged.users))


def decisions(model: MoviesModel) -> dict[str, object]:
    """What validation decided, and counts."""
    return {
        "hybrid": model.hybrid.kind,
        "blend": list(model.hybrid.weights),
        "prior": model.scorers.prior,
        "half_life_days": model.scorers.half_life,
        **model.facts,
    }


def parameters(model: MoviesModel, params: MoviesTrainParams) -> dict[str, object]:
    """What people compare between runs: the section, decisions and counts."""
    return params.model_dump(mode="json") | decisions(model)


def example(model: MoviesModel, table: pa.Table) -> pd.DataFrame:
    """A few rows as the model takes them, for the signature.

    Times are UTC without a zone, as MLflow keeps them.
    """
    columns = ["user_id", "movie_id", "event_time", "interaction_type", "value"]
    frame = pd.DataFrame(table.slice(0, 5).select(columns).to_pydict())
    return frame.assign(event_time=frame["event_time"].dt.tz_localize(None))


def _load_pyfunc(path: str) -> ServedModel:
    """What MLflow calls to load a logged version."""
    return ServedModel(load(Path(path).read_bytes()))


@dataclass(frozen=True)
class ServedModel:
    """The model as a pyfunc of MLflow.

    From what users did (user_id, movie_id, event_time, interaction_type, value) to their
    recommendations (recommend.SCHEMA).
    """

    model: MoviesModel

    def predict(self, frame: pd.DataFrame, params: dict[str, object] | None = None) -> pd.DataFrame:
        history = pa.Table.from_pandas(frame, preserve_index=False)
        users = np.unique(frame["user_id"].to_numpy(object))
        return pd.DataFrame(pa.concat_tables(score(self.model, history, users)).to_pydict())


def report(model: MoviesModel, judged: JudgedRankings, folder: Path) -> None:
    """`metrics.json`: means by algorithm and slice; `hybrid.json`: decisions of validation."""
    chosen = {
        "kind": model.hybrid.kind,
        "blend": model.hybrid.weights,
        "validation": model.hybrid.figures,
    }
    for name, value in {"metrics": judged.summary(), "hybrid": chosen}.items():
        (folder / f"{name}.json").write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")
