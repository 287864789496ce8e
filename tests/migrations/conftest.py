"""Installations in the state in which the last release left them."""

from __future__ import annotations

import tarfile
from contextlib import closing
from itertools import chain

import psycopg2
import pytest
import yaml
from dump import ARCHIVE, restore_clickhouse, restore_postgres, restore_redis
from last_release import PARAMS

from jobs.cli.discovery import find_tables
from jobs.core.pipelines import PIPELINES
from jobs.local import place
from jobs.local.state import State
from jobs.source.schema import create
from nights import Place


@pytest.fixture
def old(services, serving_db, source_db, redis_url, tmp_path):
    """An installation with two nights of fraud from the last release, without schema versions."""
    files = tmp_path / "files"
    with tarfile.open(ARCHIVE) as tar:
        tar.extractall(files, filter="data")
    home = tmp_path / "home"
    home.mkdir()
    (files / "lake").rename(home / "lake")
    (home / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    restore_postgres(place.programs(State(services.home)), files / "serving.sql", serving_db)
    restore_clickhouse(files / "clickhouse", f"chdb:///{home / 'clickhouse'}")
    restore_redis(files / "redis.json", redis_url)
    with closing(psycopg2.connect(source_db)) as session, session, session.cursor() as cursor:
        for table in chain.from_iterable(map(find_tables, PIPELINES)):
            create(cursor, table)
    return Place(home, source_db, serving_db, redis_url)
