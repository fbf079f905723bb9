"""`fleetune settings`: the table of settings."""

from __future__ import annotations

import argparse
import os

from fleetune_server.settings import Settings, masked, table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments: the environment is the input."""


def run(args: argparse.Namespace) -> int:
    """Print name, default (and the value where the environment sets another) and meaning."""
    Settings.from_env(os.environ)
    for name, default, doc in table():
        value = f" (now {masked(os.environ[name])})" if name in os.environ else ""
        print(f"{name}={default}{value}\n    {doc}")
    return 0
