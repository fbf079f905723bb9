"""`python -m tests.serve`: `fleetune serve` with settings that no operator has.

Every field of Settings is read from its FLEETUNE_<FIELD>, also those that are fixed for operators (how long a
trial may take, how often the file is checked …).
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any, get_type_hints

from fleetune_server.commands.serve import serve
from fleetune_server.settings import PREFIX, Settings, table


def settings_of(environ: dict[str, str]) -> Settings:
    """The settings of an environment, those included that operators do not have."""
    types = get_type_hints(Settings)
    documented = {name for name, _default, _doc in table()}
    fixed: dict[str, Any] = {}
    for field in dataclasses.fields(Settings):
        key = PREFIX + field.name.upper()
        if key in environ and key not in documented:
            fixed[field.name] = types[field.name](environ.pop(key))
    return dataclasses.replace(Settings.from_env(environ), **fixed)


if __name__ == "__main__":
    raise SystemExit(serve(settings_of(dict(os.environ))))
