"""`fleetune kernels`, `fleetune jobs`: what an operator adds to a running server. `fleetune forge`: what to add.

Kernels are described, checked and published; a job for choose() is a description alone, and no code goes there. See
browser/EMBED.md. The forge makes a tuned kernel from one function. It is part of the checkout, not of the server.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tomllib
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
from kernels_wasm.build.scripts import ScriptError, read_text

from fleetune_server.http.own_kernels import TokenFileError, tokens_of
from fleetune_server.kernels.browsers import FAMILIES
from fleetune_server.kernels.check import CheckError, as_json, check, table
from fleetune_server.kernels.job import read_job
from fleetune_server.kernels.package import Package, build
from fleetune_server.kernels.shelf import to_document
from fleetune_server.kernels.spec import SpecError, files_of, read_spec
from fleetune_server.kernels.template import write_template
from fleetune_server.settings import Settings

TOKEN = "FLEETUNE_TOKEN"  # noqa: S105 (the variable's name)
FORGE = "kernels_wasm.forge.command"


def add_arguments_kernels(parser: argparse.ArgumentParser) -> None:
    """init, check, add, list, remove, token."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    init = actions.add_parser("init", help="write a description and a script to start from")
    init.add_argument("folder", type=Path)
    checked = actions.add_parser("check", help="validate, profile, and run every variant in a real browser")
    checked.add_argument("description", type=Path, help="the kernel's .toml")
    checked.add_argument("--browser", choices=(*FAMILIES, "none"), default="chromium")
    checked.add_argument("--json", action="store_true")
    added = actions.add_parser("add", help="publish a kernel to a running server, or replace it there")
    added.add_argument("description", type=Path, help="the kernel's .toml")
    listed = actions.add_parser("list", help="list a running server's own kernels")
    removed = actions.add_parser("remove", help="take a kernel from a running server")
    removed.add_argument("name")
    _server(added, listed, removed)
    token = actions.add_parser("token", help="operator tokens of the server whose data folder is here")
    token.add_argument("what", choices=("new", "list", "revoke"))
    token.add_argument("id", nargs="?", help="of the token to revoke")


def run_kernels(args: argparse.Namespace) -> int:
    """0; 1 if the kernel is wrong or the server refuses."""
    try:
        return KERNELS[args.action](args)
    except (SpecError, ScriptError, CheckError, TokenFileError, OSError, tomllib.TOMLDecodeError) as error:
        print(f"fleetune kernels: {error}", file=sys.stderr)
    except httpx.HTTPError as error:
        print(f"fleetune kernels: {args.server} cannot be reached: {error}", file=sys.stderr)
    return 1


def _read(path: Path) -> tuple[dict[str, Any], str, dict[str, bytes]]:
    """Description, script and modules; SpecError names a file that is not there."""
    raw = tomllib.loads(read_text(path))
    script, modules = files_of(raw)
    missing = [name for name in (script, *modules) if not (path.parent / name).is_file()]
    if missing:
        raise SpecError([f"{path.parent / name}: there is no such file" for name in missing])
    return raw, read_text(path.parent / script), {m: (path.parent / m).read_bytes() for m in modules}


def _package(path: Path) -> tuple[Package, bytes]:
    raw, source, modules = _read(path)
    return build(read_spec(raw, source, modules)), to_document(raw, source, modules)


def _init(args: argparse.Namespace) -> int:
    for path in write_template(args.folder):
        print(path)
    return 0


def _check(args: argparse.Namespace) -> int:
    package, _ = _package(args.description)
    entry = package.entry
    if not args.json:
        modules = len(entry["variants"])
        print(f"{entry['name']}: profile {entry['profileSignature']}, {modules} modules are valid")
    if args.browser == "none":
        return 0
    found = check(package, args.browser)
    if args.json:
        print(as_json(found))
    else:
        print(f"{found.browser}: times as fast as JavaScript\n{table(found, entry)}")
        for name in found.unsupported:
            print(f"{name}: this browser cannot run it")
        wrong = "\n".join(["WRONG:", *found.wrong])
        print(wrong if found.wrong else "every variant gives what JavaScript gives")
    return 1 if found.wrong else 0


def _add(args: argparse.Namespace) -> int:
    package, document = _package(args.description)
    answer = _ask(args, "POST", "", document)
    if answer.status_code == 201:
        print(f"{package.entry['name']}: published, profile {answer.json()['profileSignature']}")
    return _told(args, answer)


def _list(args: argparse.Namespace) -> int:
    for entry in _listed(args)["kernels"]:
        if entry.get("own"):
            names = ", ".join(variant["name"] for variant in entry["variants"])
            print(f"{entry['name']}  {entry['profileSignature']}  {names}")
    return 0


def _token(args: argparse.Namespace) -> int:
    tokens = tokens_of(Settings.from_env({k: v for k, v in os.environ.items() if k != TOKEN}))
    if args.what == "new":
        print(tokens.new())
    elif args.what == "list":
        for token in tokens.known():
            made, ends = (datetime.fromtimestamp(time, UTC) for time in (token.created, token.expires))
            print(f"{token.id}  made {made:%Y-%m-%d}, expires {ends:%Y-%m-%d}")
    elif not args.id or not tokens.revoke(args.id):
        print(f"fleetune kernels: there is no token {args.id}", file=sys.stderr)
        return 1
    return 0


def add_arguments_jobs(parser: argparse.ArgumentParser) -> None:
    """add, list, remove."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    added = actions.add_parser("add", help="register a job, or replace its description")
    added.add_argument("description", type=Path, help="the job's .toml")
    listed = actions.add_parser("list", help="list a running server's jobs")
    removed = actions.add_parser("remove", help="refuse reports about a job from now on")
    removed.add_argument("name")
    _server(added, listed, removed)


def run_jobs(args: argparse.Namespace) -> int:
    """0; 1 if the description is wrong or the server refuses."""
    try:
        return JOBS[args.action](args)
    except (SpecError, OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        print(f"fleetune jobs: {error}", file=sys.stderr)
    except httpx.HTTPError as error:
        print(f"fleetune jobs: {args.server} cannot be reached: {error}", file=sys.stderr)
    return 1


def _add_job(args: argparse.Namespace) -> int:
    raw = tomllib.loads(args.description.read_text(encoding="utf-8"))
    job = read_job(raw)
    answer = _ask(args, "POST", "", json.dumps({"job": raw}))
    if answer.is_success:
        print(f"{job.name}: registered, signature {job.signature}")
    return _told(args, answer)


def _list_jobs(args: argparse.Namespace) -> int:
    for job in _listed(args).get("jobs", ()):
        names = ", ".join(f"{one['name']} {one['version']}" for one in job["implementations"])
        print(f"{job['name']}  {job['profileSignature']}  {names}")
    return 0


def _server(
    added: argparse.ArgumentParser, listed: argparse.ArgumentParser, removed: argparse.ArgumentParser
) -> None:
    """Which server to ask, and by what right it is changed."""
    for action in (added, listed, removed):
        action.add_argument("--server", default="http://127.0.0.1:8000", help="its address")
    for action in (added, removed):
        action.add_argument("--token", default=os.environ.get(TOKEN, ""), help=f"default: ${TOKEN}")


def _ask(args: argparse.Namespace, method: str, path: str, body: str | bytes | None = None) -> httpx.Response:
    """The route of an operator's own kernels: a job is one without modules."""
    headers = {"authorization": f"Bearer {args.token}", "content-type": "application/json"}
    url = f"{args.server.rstrip('/')}/api/own-kernels{path}"
    return httpx.request(method, url, content=body, headers=headers, timeout=60)


def _listed(args: argparse.Namespace) -> Any:
    return httpx.get(f"{args.server.rstrip('/')}/api/kernels", timeout=60).raise_for_status().json()


def _remove(args: argparse.Namespace) -> int:
    answer = _ask(args, "DELETE", f"/{args.name}")
    if answer.is_success:
        print(f"{args.name}: removed; what was learned about it is kept and no longer used")
    return _told(args, answer)


def _told(args: argparse.Namespace, answer: httpx.Response) -> int:
    if answer.is_success:
        return 0
    try:
        message = answer.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = answer.text[:200]
    print(f"fleetune {args.command}: the server refused ({answer.status_code}): {message}", file=sys.stderr)
    return 1


KERNELS = {
    "init": _init,
    "check": _check,
    "add": _add,
    "list": _list,
    "remove": _remove,
    "token": _token,
}
JOBS = {"add": _add_job, "list": _list_jobs, "remove": _remove}


class MissingForgeError(Exception):
    """The forge or something that it needs is not installed; the message says how to get it."""


def _forge() -> ModuleType:
    try:
        return import_module(FORGE)
    except ModuleNotFoundError as error:
        raise MissingForgeError(
            f"fleetune forge: {error.name} is not installed. In a checkout of Fleetune: pip install -e '.[forge]'"
        ) from error


def add_arguments_forge(parser: argparse.ArgumentParser) -> None:
    """The forge's own arguments; any at all where it is missing, so that `run` can say so."""
    try:
        _forge().add_arguments(parser)
    except MissingForgeError:
        parser.add_argument("arguments", nargs=argparse.REMAINDER)


def run_forge(args: argparse.Namespace) -> int:
    """The forge's exit code; 1 if it is not installed."""
    try:
        return int(_forge().run(args))
    except MissingForgeError as error:
        print(error, file=sys.stderr)
        return 1
