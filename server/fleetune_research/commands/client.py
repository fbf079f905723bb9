"""`python -m fleetune_research client`: reports as from many browsers, made by the real client code."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

import httpx

from fleetune.app.platform import PlatformError
from fleetune.manifest import Manifest
from fleetune.packet import PacketError
from fleetune.signed import SignedError
from fleetune_research.fleet.client import BATCH, Client, ClientError
from fleetune_research.fleet.http import HttpPlatform
from fleetune_server.settings import ROOT
from fleetune_server.training.lab import LabError, load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Server, how many packets, and whether to wait for what they teach."""
    parser.add_argument("--server", required=True, metavar="URL", help="address of a running server")
    parser.add_argument(
        "--packets", type=int, required=True, help="packets to send, each from another browser"
    )
    parser.add_argument("--batch", type=int, default=BATCH, help=f"packets a request, 1 to {BATCH}")
    parser.add_argument("--epsilon", type=float, default=2.0, help="privacy level of the reports")
    parser.add_argument("--lab", type=Path, default=ROOT / "kernels_wasm" / "lab", help="folder of lab rows")
    parser.add_argument("--seed", type=int, default=0, help="of the measurements; the privacy noise has none")
    parser.add_argument("--wait", type=float, default=0, metavar="SECONDS", help="wait for the next version")


def run(args: argparse.Namespace) -> int:
    """Send; with --wait also fetch the version that comes of it, as an old and as a new client."""
    if not (1 <= args.batch <= BATCH and args.packets >= 1):
        print(f"client: --packets must be 1 or more, --batch 1 to {BATCH}", file=sys.stderr)
        return 2
    try:
        asyncio.run(_run(args))
    except (ClientError, PlatformError, SignedError, LabError, PacketError) as error:
        print(f"client: {error}", file=sys.stderr)
        return 1
    return 0


async def _run(args: argparse.Namespace) -> None:
    async with httpx.AsyncClient(base_url=args.server, timeout=60) as http:
        platform = HttpPlatform(http)
        manifest = Manifest.load((await platform.fetch("GET", "/api/kernels")).body)
        client = Client(platform, load(args.lab, manifest), args.epsilon, args.seed)
        outcome = await client.connect()
        print(f"model {outcome.version} ({outcome.update_type}, {outcome.bytes:,} bytes)")
        print(f"standing for {args.packets:,} browsers of one report each: lab rows with device noise")
        start = time.perf_counter()
        sent = await client.run(args.packets, args.batch)
        seconds = time.perf_counter() - start
        print(f"{sent.accepted:,} packets accepted, {sent.requests} requests, {seconds:.1f} s")
        if args.wait:
            await _compare(client, http, args)


async def _compare(old: Client, http: httpx.AsyncClient, args: argparse.Namespace) -> None:
    before, start = old.verified.version if old.verified else 0, time.perf_counter()
    while True:
        outcome = await old.wait_for_newer(args.wait)
        new = Client(HttpPlatform(http), old.rows, args.epsilon, args.seed)
        newest = await new.connect()
        if newest.version == outcome.version:  # no other was published in between
            break
    print(f"model {before} -> {outcome.version} after {time.perf_counter() - start:.1f} s")
    print(f"  old client: {outcome.update_type}, {outcome.bytes:,} bytes, sha256 {old.checksum}")
    print(f"  new client: {newest.update_type}, {newest.bytes:,} bytes, sha256 {new.checksum}")
    if old.checksum != new.checksum:
        raise ClientError("the incremental and the full update gave different models")
