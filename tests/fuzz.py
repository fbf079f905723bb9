"""Parsers of what strangers send, fed with altered good input: `python -m tests.fuzz [--minutes 2] [--json]`.

A parser may take a value or refuse it with its own error. Anything else, and what takes longer than SECONDS, is a
finding; findings are printed with the input that shows them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import json
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from kernels_wasm.profile.profile import kernel_profile
from kernels_wasm.profile.reader import ProfileError, parse
from tests import tiny
from tests.learning_world import first
from tests.own_world import SCRIPT, description, module, modules
from tests.test_packet import packet

from fleetune.artefact import ModelError
from fleetune.delta import DeltaError, apply
from fleetune.manifest import Manifest, ManifestError
from fleetune.model import Model
from fleetune.packet import check as check_packet
from fleetune.rating import build as rate
from fleetune.rating import check as check_rating
from fleetune.signed import Release, SignedError
from fleetune.strict import PacketError
from fleetune_server.common.errors import RefusedError
from fleetune_server.http.push import HelloError, hello
from fleetune_server.kernels.package import build
from fleetune_server.kernels.shelf import read_document, to_document
from fleetune_server.kernels.spec import SpecError, read_spec
from fleetune_server.publish.diff import diff
from fleetune_server.telemetry.limits import read_body, read_json

SECONDS = 1.0  # of processor time that one input may take
ROUND = 200  # examples of one round
ODD: tuple[Any, ...] = (
    *(
        0,
        -1,
        1,
        2**31,
        2**53 + 1,
        10**400,
        -(10**400),
        1e308,
        5e-324,
        True,
        False,
        None,
        "",
        "\x00",
        "a" * 5000,
        [],
        {},
    ),
    *("__proto__", "\u202e", "0" * 32, [[]] * 50, {"": 1}),
)


@dataclass(frozen=True)
class Boundary:
    """One parser: how it is called, what it may raise, and inputs that it takes."""

    name: str
    read: Callable[[Any], object]
    errors: tuple[type[Exception], ...]
    seeds: Sequence[Any]  # bytes, or values as JSON has them


def body(data: bytes) -> object:
    """A request's body: plain, and as gzip says it is."""

    async def whole(encoding: bytes) -> bytes:
        sent = iter([data[: len(data) // 2], data[len(data) // 2 :]])

        async def receive() -> dict[str, Any]:
            part = next(sent, None)
            return {"type": "http.request", "body": part or b"", "more_body": part is not None}

        return await read_body([(b"content-encoding", encoding)], receive, 100_000, 5.0)

    for encoding in (b"identity", b"gzip"):
        with contextlib.suppress(RefusedError):
            read_json(asyncio.run(whole(encoding)))
    return None


def toml(data: bytes) -> object:
    """A kernel's description as `fleetune kernels add` reads it."""
    return read_spec(tomllib.loads(data.decode()), SCRIPT, modules())


def boundaries() -> Iterator[Boundary]:
    """All of them, with good inputs."""
    wire, rating = packet().to_wire(), rate(True, 20_000).to_wire()
    model, other = first().model, Model.from_bytes(first().model).to_bytes()[:-8] + bytes(8)
    release = Release(2, 1, "0" * 64, 100, 10, 20, 0.5).to_wire()
    both = [json.dumps(value).encode() for value in (wire, rating)]
    document = json.loads(to_document(description(), SCRIPT, modules()))
    text = "\n".join(
        f"{key} = {json.dumps(value)}" for key, value in description(tolerance=None, variants=None).items()
    )
    text += (
        '\ntolerance = { relative = 1e-5, absolute = 0 }\n[[variants]]\nmodule = "sum.wasm"\nexport = "sum"\n'
    )
    yield Boundary("http body", body, (), [*both, *map(gzip.compress, both)])
    yield Boundary("packet", check_packet, (PacketError,), [wire])
    yield Boundary("rating", check_rating, (PacketError,), [rating])
    yield Boundary("signed manifest", Release.from_wire, (SignedError,), [release])
    yield Boundary("catalogue", Manifest.load, (ManifestError,), [tiny.raw_manifest()])
    yield Boundary("model", Model.from_bytes, (ModelError,), [model])
    yield Boundary("delta", lambda data: apply(model, data, len(other)), (DeltaError,), [diff(model, other)])
    yield Boundary("wasm", parse, (ProfileError,), [module(), module("allocated", simd=True)])
    yield Boundary(
        "wasm profile", lambda data: kernel_profile(data, "sum"), (ProfileError,), [module(simd=True)]
    )
    yield Boundary("toml", toml, (SpecError, tomllib.TOMLDecodeError, UnicodeDecodeError), [text.encode()])
    whole = [json.dumps(document).encode()]
    yield Boundary("own kernel", lambda data: build(read_document(data)), (SpecError,), whole)
    yield Boundary(
        "own kernel's values", lambda raw: read_spec(raw, SCRIPT, modules()), (SpecError,), [description()]
    )
    greeting = ['{"type": "hello", "version": 1, "draw": 7}']
    yield Boundary("websocket", lambda data: hello(data.decode("utf-8", "replace")), (HelloError,),
                   [line.encode() for line in greeting])  # fmt: skip


_odd = st.sampled_from(ODD) | st.integers() | st.floats() | st.text(max_size=30)


def changed(value: Any, draw: Callable[[st.SearchStrategy[Any]], Any]) -> Any:
    """A JSON value with one part of it replaced, taken away or added to."""
    if isinstance(value, dict) and value and draw(st.integers(0, 7)):
        key = draw(st.sampled_from(sorted(value)))
        if not draw(st.integers(0, 9)):
            return {name: one for name, one in value.items() if name != key} | {
                draw(st.text(max_size=9)): draw(_odd)
            }
        return value | {key: changed(value[key], draw)}
    if isinstance(value, list) and value and draw(st.integers(0, 7)):
        at = draw(st.integers(0, len(value) - 1))
        more = draw(st.sampled_from(([], [value[at]], value)))
        return [*value[:at], changed(value[at], draw), *more, *value[at + 1 :]]
    if isinstance(value, str) and draw(st.booleans()):
        at = draw(st.integers(0, len(value)))
        return value[:at] + draw(st.text(max_size=3)) + value[at + draw(st.integers(0, 2)) :]
    return draw(_odd)


def edited(data: bytes, draw: Callable[[st.SearchStrategy[Any]], Any]) -> bytes:
    """Bytes with a few of them changed, cut, repeated or put in."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, min(len(data), 400)) | st.integers(0, len(data)))
        length = draw(st.integers(0, 8) | st.integers(0, len(data)))
        new = draw(st.binary(max_size=6) | st.just(data[at : at + length]) | st.just(b"\xff" * 5))
        data = data[:at] + new + data[at + draw(st.sampled_from((0, len(new), length))) :]
    return data


def fuzz(boundary: Boundary, seconds: float, start: int = 0) -> dict[str, Any]:
    """Rounds of examples until the time is over: how many, how many were taken, and what was found."""
    taken, count, slowest = 0, 0, 0.0
    found: dict[str, str] = {}

    @settings(
        max_examples=ROUND, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck), derandomize=False,
    )  # fmt: skip
    @given(st.data())
    def one(data: st.DataObject) -> None:
        nonlocal taken, count, slowest
        good = data.draw(st.sampled_from(boundary.seeds))
        value = (edited if isinstance(good, bytes) else changed)(good, data.draw)
        count += 1
        begin = time.process_time()
        try:
            boundary.read(value)
            taken += 1
        except boundary.errors:
            pass
        except Exception as error:  # whatever it is, a stranger caused it
            found.setdefault(f"{type(error).__name__}: {error}"[:200], repr(value)[:2000])
        spent = time.process_time() - begin
        slowest = max(slowest, spent)
        if spent > SECONDS:
            found.setdefault("slow", repr(value)[:2000])

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start += 1
        seed(start)(one)()
    return {"inputs": count, "taken": taken, "slowest_s": round(slowest, 3), "found": found}


def main() -> int:
    """Exit status 1 if anything was found."""
    everything = {one.name: one for one in boundaries()}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="of each parser")
    parser.add_argument("--only", choices=sorted(everything))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    chosen = [args.only] if args.only else list(everything)
    score = {name: fuzz(everything[name], 60 * args.minutes, args.seed) for name in chosen}
    print(json.dumps(score, indent=1) if args.json else "\n".join(f"{k}: {v}" for k, v in score.items()))
    return int(any(row["found"] for row in score.values()))


if __name__ == "__main__":
    raise SystemExit(main())
