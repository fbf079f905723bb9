"""`fleetune settings`, `fleetune privacy explain`: what is said of each setting, and of each field of a packet."""

from __future__ import annotations

import argparse
import os

from fleetune.fields import COVERS, FIELDS, HONESTY, NEVER_SENT
from fleetune_server.settings import Settings, masked, table


def add_arguments_settings(parser: argparse.ArgumentParser) -> None:
    """No arguments: the environment is the input."""


def run_settings(args: argparse.Namespace) -> int:
    """Print name, default (and the value where the environment sets another) and meaning."""
    Settings.from_env(os.environ)
    for name, default, doc in table():
        value = f" (now {masked(os.environ[name])})" if name in os.environ else ""
        print(f"{name}={default}{value}\n    {doc}")
    return 0


def add_arguments_privacy(parser: argparse.ArgumentParser) -> None:
    """The one action and its option."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    explain = actions.add_parser("explain", help="print the field table")
    explain.add_argument("--language", choices=("en", "ru"), default="en")


def run_privacy(args: argparse.Namespace) -> int:
    """Print the table; 0."""
    language = args.language
    for field in FIELDS:
        print(f"{field.name} = {field.example}   [{COVERS[field.cover][language]}]")
        print(f"    {field.what[language]}")
        print(f"    {field.why[language]}")
    print(f"\n{HONESTY[language]}")
    print(
        ("Never sent: " if language == "en" else "Не отправляется: ") + ", ".join(NEVER_SENT[language]) + "."
    )
    return 0
