"""`python -m tests.few_files`: `tests.serve` with few file descriptors, where a head must end soon."""

from __future__ import annotations

import os
import resource

from tests.serve import settings_of

from fleetune_server.commands.serve import serve
from fleetune_server.http import connections

FILES = 160
HEAD_SECONDS = 3.0

if __name__ == "__main__":  # not in the training process
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    connections.HEAD_SECONDS = HEAD_SECONDS
    raise SystemExit(serve(settings_of(dict(os.environ))))
