"""`fleetune forge`: a tuned kernel from one function. The forge itself is part of the checkout, not of the server."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from types import ModuleType

COMMAND = "kernels_wasm.forge.command"


class MissingForgeError(Exception):
    """The forge or something that it needs is not installed; the message says how to get it."""


def _forge() -> ModuleType:
    try:
        return import_module(COMMAND)
    except ModuleNotFoundError as error:
        raise MissingForgeError(
            f"fleetune forge: {error.name} is not installed. In a checkout of Fleetune: pip install -e '.[forge]'"
        ) from error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The forge's own arguments; any at all where it is missing, so that `run` can say so."""
    try:
        _forge().add_arguments(parser)
    except MissingForgeError:
        parser.add_argument("arguments", nargs=argparse.REMAINDER)


def run(args: argparse.Namespace) -> int:
    """The forge's exit code; 1 if it is not installed."""
    try:
        return int(_forge().run(args))
    except MissingForgeError as error:
        print(error, file=sys.stderr)
        return 1
