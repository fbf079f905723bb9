"""The `fleetune` command: one table of subcommands, each in its own module."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from fleetune import __version__
from fleetune_server.settings import SettingsError

# name: (module with add_arguments(parser) and run(args) -> int, one line of help)
# Only the chosen module is imported: `fleetune serve` does not pay for the simulator.
COMMANDS: dict[str, tuple[str, str]] = {
    "client": ("fleetune_server.commands.client", "send reports as from many browsers, without browsers"),
    "db": ("fleetune_server.commands.db", "back up, restore and check the database"),
    "evaluate": ("fleetune_server.commands.evaluate", "the model against measured truth and baselines"),
    "gate": ("fleetune_server.commands.gate", "why a version was published or refused"),
    "kernels": ("fleetune_server.commands.kernels", "check and publish kernels of your own"),
    "keys": ("fleetune_server.commands.keys", "make, list, rotate and retire signing keys"),
    "lab": ("fleetune_server.commands.lab", "report what the lab measurements say"),
    "models": ("fleetune_server.commands.models", "list, show, pin, roll back, export and import versions"),
    "privacy": ("fleetune_server.commands.privacy", "audit the privacy claim; explain every field"),
    "serve": ("fleetune_server.commands.serve", "run the server"),
    "settings": ("fleetune_server.commands.settings", "list the settings, their defaults and values"),
    "simulate": ("fleetune_server.commands.simulate", "the network effect on a simulated fleet"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; the exit code is 0, 1 (it failed), or 2 (wrong use)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="fleetune", description="Shared kernel-variant knowledge.")
    parser.add_argument("--version", action="version", version=f"fleetune {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, summary) in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, description=summary)
        if arguments[:1] == [name]:
            import_module(module).add_arguments(subparser)
    args = parser.parse_args(arguments)
    try:
        return int(import_module(COMMANDS[args.command][0]).run(args))
    except SettingsError as error:
        print(f"fleetune: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
