"""The `fleetune` command: one table of subcommands, each in its own module."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

from fleetune import __version__
from fleetune_server.settings import SettingsError

# name: (module with add_arguments(parser) and run(args) -> int, one line of help)
# Only the chosen module is imported.
COMMANDS: dict[str, tuple[str, str]] = {
    "data": ("fleetune_server.commands.data", "count reports by kernel and environment, drop bad ones"),
    "db": ("fleetune_server.commands.db", "back up, restore and check the database"),
    "forge": ("fleetune_server.commands.forge", "make a tuned kernel of one function"),
    "doctor": ("fleetune_server.commands.doctor", "say what is wrong with this set-up, and what to do"),
    "gate": ("fleetune_server.commands.gate", "why a version was published or refused"),
    "kernels": ("fleetune_server.commands.kernels", "check and publish kernels of your own"),
    "jobs": ("fleetune_server.commands.jobs", "register jobs whose implementations pages bring themselves"),
    "keys": ("fleetune_server.commands.keys", "make, list, rotate and retire signing keys"),
    "models": ("fleetune_server.commands.models", "list, show, pin, roll back, export and import versions"),
    "privacy": ("fleetune_server.commands.privacy", "explain every field of a packet"),
    "serve": ("fleetune_server.commands.serve", "run the server"),
    "settings": ("fleetune_server.commands.settings", "list the settings, their defaults and values"),
    "train": ("fleetune_server.commands.train", "train now, whether enough reports came or not"),
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
            import_module(module).add_arguments(subparser)
    args = parser.parse_args(arguments)
    try:
        return int(import_module(commands[args.command][0]).run(args))
    except SettingsError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
