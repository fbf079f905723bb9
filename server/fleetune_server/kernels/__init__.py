"""Kernels of an operator's own: described in TOML, checked in a browser, published beside the catalogue's."""

import sys
from importlib.util import find_spec

from fleetune_server.settings import ROOT

if find_spec("kernels_wasm") is None:  # a wheel brings it; an editable install leaves it in the checkout
    sys.path.append(str(ROOT))
