"""`python -m fleetune_server` is the same as `fleetune`."""

import sys

from fleetune_server.cli import main

sys.exit(main())
