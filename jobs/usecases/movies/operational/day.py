"""One day of views, ratings and likes, as a pure function of the audience and the date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.source.streams import Floats, Integers, generator, numbered
from jobs.source.times import TIME
from jobs.usecases.movies.operational.audience import PICKY, Audience
from jobs.usecases.movies.operational.catalogue import MoviesStream
from jobs.usecases.movies.operational.tables import USER_INTERACTIONS

TYPES = ("view", "rating", "like")
SCALE = (0.0, 10.0)
WEEKEND = 1.4
_DAY, _MICRO = 86_400, 1_000_000
_EVENING, _SPREAD = 20 * 3600, 3 * 3600
_AFTER = 600  # seconds after a view within which it is rated and liked
_CERTAIN = 0.9  # nobody watches for sure
_CHUNK = 1 << 18  # offers looked at together


@dataclass(frozen=True)
class _Views:
    """Views by position of user and movie; `second` is their end, `watched` the share seen."""

    user: Integers
    movie: Integers
    affinity: Floats
    second: Integers
    watched: Floats

    def __len__(self) -> int:
        return len(self.user)


def simulate_day(audience: Audience, day: date) -> pa.Table:
    """Return the rows of `user_interactions` of one UTC day, sorted by time.

    They depend only on the arguments; ids are `YYYYMMDD-NNNNNNN`. A rating has a value on SCALE, a
    view the seconds watched in its metadata: `{"watch_time_s": …}`.
    """
    views = _views(audience, day)
    random = generator(audience.seed, MoviesStream.OPINIONS, day)
    value = _values(audience, views, random)
    rated = random.random(len(views)) < audience.habit[views.user] * np.where(
        views.watched < 1, 0.3, 1
    )
    liked = random.random(len(views)) < 0.5 * (value >= 8)
    which = [np.arange(len(views)), np.flatnonzero(rated), np.flatnonzero(liked)]
    later = [
        np.zeros(len(views), dtype=np.int64),
        *(random.integers(1, _AFTER, len(w)) for w in which[1:]),
    ]
    of = np.concatenate(which)
    kind = np.repeat(np.arange(len(TYPES)), [len(rows) for rows in which])
    second = views.second[of] + np.concatenate(later)
    order = np.argsort(second, kind="stable")
    return _rows(audience, views, value, of[order], kind[order], second[order], day)


def _views(audience: Audience, day: date) -> _Views:
    random = generator(audience.seed, MoviesStream.VIEWS, day)
    taste, appeal = audience.taste_on(day), audience.movies.appeal_on(day)
    width = audience.offered(np.zeros(1, dtype=np.int64), day).shape[1]
    busy = WEEKEND if day.weekday() >= 5 else 1.0
    chunks = []
    for users in np.array_split(np.arange(len(audience)), len(audience) * width // _CHUNK + 1):
        offered = audience.offered(users, day)
        draws = random.random(offered.shape)
        there = np.minimum(offered, len(appeal) - 1)
        affinity = np.einsum("uf,umf->um", taste[users], audience.movies.factors[there])
        chance = busy * audience.weight[users, None] * appeal[there] * np.exp(PICKY * affinity)
        row, column = np.nonzero((draws < np.minimum(chance, _CERTAIN)) & (offered < len(appeal)))
        chunks.append((users[row], offered[row, column], affinity[row, column]))
    user, movie, liking = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
    ended = np.rint(random.normal(_EVENING, _SPREAD, len(user))).astype(np.int64) % (_DAY - _AFTER)
    finished = random.random(len(user)) < 1 / (1 + np.exp(-0.5 - liking))
    watched = np.where(finished, 1.0, random.uniform(0.03, 0.9, len(user)))
    return _Views(user, movie, liking, ended, watched)


def _values(audience: Audience, views: _Views, random: np.random.Generator) -> Floats:
    """Return the rating that every view would get, in the whole or half points of its user."""
    mean = audience.mood[views.user] + 1.1 * views.affinity + audience.movies.quality[views.movie]
    steps = 1.0 + audience.halves[views.user]
    points = np.rint(random.normal(mean, 0.9) * steps) / steps
    inside: Floats = np.clip(points, *SCALE) + 0.0  # no -0.0
    return inside


def _rows(
    audience: Audience,
    views: _Views,
    value: Floats,
    of: Integers,
    kind: npt.NDArray[np.int64],
    second: Integers,
    day: date,
) -> pa.Table:
    midnight = (day.toordinal() - date(1970, 1, 1).toordinal()) * _DAY
    watch_time = np.rint(views.watched * audience.movies.seconds[views.movie]).astype(np.int64)[of]
    metadata = pc.binary_join_element_wise(
        '{"watch_time_s": ', pa.array(watch_time).cast(pa.string()), "}", ""
    )
    columns = (
        numbered(f"{day:%Y%m%d}-", np.arange(len(of)), 7),
        audience.user_id.take(pa.array(views.user[of])),
        audience.movies.rows["movie_id"].combine_chunks().take(pa.array(views.movie[of])),
        pa.array(TYPES).take(pa.array(kind)),
        pa.array(value[of], mask=kind != TYPES.index("rating")),
        pa.array((midnight + second) * _MICRO, TIME),
        pc.if_else(pa.array(kind == TYPES.index("view")), metadata, None),
    )
    return pa.table(columns, names=list(USER_INTERACTIONS.names))
