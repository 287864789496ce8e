"""The PG* variables of a shell: defaults for an outside database, never for embedded ones."""

from __future__ import annotations

import json
from collections.abc import Mapping

SET_ASIDE = "NIGHTSHIFT_PG_VARIABLES"


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that change how libpq connects."""
    return {name: value for name, value in environment.items() if name.startswith("PG")}


def set_aside(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without PG* variables, for a service with an embedded database.

    One variable of our own keeps their values for `restored`.
    """
    mine = variables(environment)
    rest = {name: value for name, value in environment.items() if name not in mine}
    return rest | ({SET_ASIDE: json.dumps(mine)} if mine else {})


def restored(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment as before `set_aside`: a step's source may be an outside database."""
    rest = dict(environment)
    mine: dict[str, str] = json.loads(rest.pop(SET_ASIDE, "{}"))
    return rest | mine
