"""What verify's error tells on-call to do mends what verify found, in either store."""

from __future__ import annotations

import re
import shlex
from contextlib import closing

import pytest
import redis

from jobs.core.errors import DataError
from jobs.usecases.discovery import find_usecase
from nights import DAY


@pytest.mark.parametrize("store", ["postgres", "redis"])
def test_the_remedy_of_verify_is_a_command_that_mends(at, store):
    place = at("end")
    ended = place.digests()
    version = place.manifest("publish").facts["version"]
    table = find_usecase(place.pipeline).predictions[0]
    if store == "postgres":
        place.query(f"UPDATE fraud.{table.name}_{version.replace('-', '_')} SET score = score / 2")
    else:
        with closing(redis.Redis.from_url(place.redis)) as client:
            client.delete(
                *list(client.scan_iter(match=f"ns:fraud:{version}:{table.name}:*", count=5000))[::3]
            )
    with pytest.raises(DataError, match=r"differing|missing") as error:
        place.run("verify")
    command = shlex.split(re.search(r"Next: (.*?) loads the differing rows", str(error.value))[1])
    assert command == ["nightshift", "publish", "--pipeline", "fraud", "--date", str(DAY)]
    place.run(command[1])
    place.run("verify")
    assert place.digests() == ended
