"""A real scheduler over a copy of the prepared night."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from nights import database_of, resume
from platform_under_test import running


@pytest.fixture(scope="module")
def scheduled(night, services, databases, tmp_path_factory):
    """Airflow over a copy of the installation at a moment: `with scheduled("extract") as platform`."""

    @contextmanager
    def make(moment):
        kept = night[moment]
        with databases("serving", database_of(kept.postgres)) as serving, databases("airflow") as metadata:
            home = tmp_path_factory.mktemp("scheduled") / "home"
            place = resume(kept, home, serving, services.redis.removesuffix("/0") + "/15")
            with running(place, metadata) as platform:
                yield platform

    return make
