"""`python -m tests.few_files`: `tests.serve` with few file descriptors, where a head must end soon."""

from __future__ import annotations

import os
import resource

from tests.serve import settings_of

from fleetune_server.commands import serve

FILES = 160
HEAD_SECONDS = 3.0

if __name__ == "__main__":  # not in the training process
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    serve.HEAD_SECONDS = HEAD_SECONDS
    raise SystemExit(serve.serve(settings_of(dict(os.environ))))
