"""The `fleetune` command: one table of subcommands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from fleetune import __version__
from fleetune_server.settings import SettingsError

# name: (module with add_arguments(parser) and run(args) -> int, one line of help)
# A module that holds several commands is named with the one that is meant, `module:gate`, and has add_arguments_gate
# and run_gate. Only the chosen module is imported.
COMMANDS: dict[str, tuple[str, str]] = {
    "data": ("fleetune_server.commands.data", "count reports by kernel and environment, drop bad ones"),
    "db": ("fleetune_server.commands.db", "back up, restore and check the database"),
    "forge": ("fleetune_server.commands.kernels:forge", "make a tuned kernel of one function"),
    "doctor": ("fleetune_server.commands.doctor", "say what is wrong with this set-up, and what to do"),
    "gate": ("fleetune_server.commands.training:gate", "why a version was published or refused"),
    "kernels": ("fleetune_server.commands.kernels:kernels", "check and publish kernels of your own"),
    "jobs": (
        "fleetune_server.commands.kernels:jobs",
        "register jobs whose implementations pages bring themselves",
    ),
    "keys": ("fleetune_server.commands.keys", "make, list, rotate and retire signing keys"),
    "models": ("fleetune_server.commands.models", "list, show, pin, roll back, export and import versions"),
    "privacy": ("fleetune_server.commands.tables:privacy", "explain every field of a packet"),
    "serve": ("fleetune_server.commands.serve", "run the server"),
    "settings": ("fleetune_server.commands.tables:settings", "list the settings, their defaults and values"),
    "train": ("fleetune_server.commands.training:train", "train now, whether enough reports came or not"),
}


def main(
    argv: Sequence[str] | None = None,
    commands: Mapping[str, tuple[str, str]] = COMMANDS,
    name: str = "fleetune",
    description: str = "Shared kernel-variant knowledge.",
) -> int:
    """Run one of the `commands`; the exit code is 0, 1 (it failed), or 2 (wrong use)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog=name, description=description)
    parser.add_argument("--version", action="version", version=f"fleetune {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command, (module, summary) in commands.items():
        subparser = subparsers.add_parser(command, help=summary, description=summary)
        if arguments[:1] == [command]:
            _part(module, "add_arguments")(subparser)
    args = parser.parse_args(arguments)
    try:
        return int(_part(commands[args.command][0], "run")(args))
    except SettingsError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _part(place: str, name: str) -> Callable[[Any], Any]:
    """A function of a command as COMMANDS names it."""
    module, _, command = place.partition(":")
    part: Callable[[Any], Any] = getattr(import_module(module), f"{name}_{command}" if command else name)
    return part
