"""Kernels of an operator's own: described in TOML, checked in a browser, published beside the catalogue's."""
