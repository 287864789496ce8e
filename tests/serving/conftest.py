from __future__ import annotations

import pytest
from serving_cases import connect


@pytest.fixture
def both(serving_db, redis_url):
    with connect(serving_db, redis_url) as opened:
        yield opened
