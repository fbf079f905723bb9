"""`fleetune privacy explain`: print what every field of a packet is."""

from __future__ import annotations

import argparse

from fleetune.fields import COVERS, FIELDS, HONESTY, NEVER_SENT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The one action and its option."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    explain = actions.add_parser("explain", help="print the field table")
    explain.add_argument("--language", choices=("en", "ru"), default="en")


def run(args: argparse.Namespace) -> int:
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
