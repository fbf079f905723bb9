"""Fleetune's shared core: the same files run in the browser (Pyodide) and on the server (CPython)."""

__version__ = "0.2.0"
