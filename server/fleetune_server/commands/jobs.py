"""`fleetune jobs`: register jobs for choose() at a running server. No code goes there. See browser/EMBED.md."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tomllib
from pathlib import Path

import httpx

from fleetune_server.commands.kernels import TOKEN
from fleetune_server.kernels.job import read_job
from fleetune_server.kernels.spec import SpecError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """add, list, remove."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    added = actions.add_parser("add", help="register a job, or replace its description")
    added.add_argument("description", type=Path, help="the job's .toml")
    listed = actions.add_parser("list", help="list a running server's jobs")
    removed = actions.add_parser("remove", help="refuse reports about a job from now on")
    removed.add_argument("name")
    for action in (added, listed, removed):
        action.add_argument("--server", default="http://127.0.0.1:8000", help="its address")
    for action in (added, removed):
        action.add_argument("--token", default=os.environ.get(TOKEN, ""), help=f"default: ${TOKEN}")


def run(args: argparse.Namespace) -> int:
    """0; 1 if the description is wrong or the server refuses."""
    try:
        return ACTIONS[args.action](args)
    except (SpecError, OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        print(f"fleetune jobs: {error}", file=sys.stderr)
    except httpx.HTTPError as error:
        print(f"fleetune jobs: {args.server} cannot be reached: {error}", file=sys.stderr)
    return 1


def _add(args: argparse.Namespace) -> int:
    raw = tomllib.loads(args.description.read_text(encoding="utf-8"))
    job = read_job(raw)
    answer = _ask(args, "POST", "", json.dumps({"job": raw}))
    return _told(answer, f"{job.name}: registered, signature {job.signature}")


def _remove(args: argparse.Namespace) -> int:
    answer = _ask(args, "DELETE", f"/{args.name}")
    return _told(answer, f"{args.name}: removed; what was learned about it is kept and no longer used")


def _list(args: argparse.Namespace) -> int:
    answer = httpx.get(f"{args.server.rstrip('/')}/api/kernels", timeout=60)
    for job in answer.raise_for_status().json().get("jobs", ()):
        names = ", ".join(f"{one['name']} {one['version']}" for one in job["implementations"])
        print(f"{job['name']}  {job['profileSignature']}  {names}")
    return 0


def _ask(args: argparse.Namespace, method: str, path: str, body: str | None = None) -> httpx.Response:
    """The route of an operator's own kernels: a job is one without modules."""
    headers = {"authorization": f"Bearer {args.token}", "content-type": "application/json"}
    url = f"{args.server.rstrip('/')}/api/own-kernels{path}"
    return httpx.request(method, url, content=body, headers=headers, timeout=60)


def _told(answer: httpx.Response, done: str) -> int:
    if answer.is_success:
        print(done)
        return 0
    try:
        message = answer.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = answer.text[:200]
    print(f"fleetune jobs: the server refused ({answer.status_code}): {message}", file=sys.stderr)
    return 1


ACTIONS = {"add": _add, "list": _list, "remove": _remove}
