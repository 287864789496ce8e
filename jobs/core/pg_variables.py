"""The PG* variables of a shell: defaults of libpq for an outside database, and none of the embedded services' business."""

from __future__ import annotations

import json
from collections.abc import Mapping

SET_ASIDE = "NIGHTSHIFT_PG_VARIABLES"


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that change how libpq connects."""
    return {name: value for name, value in environment.items() if name.startswith("PG")}


def set_aside(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without them, for a service whose database is embedded; they are kept in one of its own."""
    mine = variables(environment)
    rest = {name: value for name, value in environment.items() if name not in mine}
    return rest | ({SET_ASIDE: json.dumps(mine)} if mine else {})


def restored(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment as it was before `set_aside`: for a step, whose source may be an outside database."""
    rest = dict(environment)
    mine: dict[str, str] = json.loads(rest.pop(SET_ASIDE, "{}"))
    return rest | mine
