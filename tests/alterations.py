"""Altered updates by the thousand. `python -m tests.alterations --count 20000 --json` prints how many were
made of each kind, how many were accepted and how many cost the browser its model (both must be 0)."""

from __future__ import annotations

import argparse
import asyncio
import collections
import dataclasses
import hashlib
import json
import random
import tempfile
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tests.releases import World

from fleetune.app.platform import Response
from fleetune.app.session import VerifiedModel
from fleetune.app.update import update
from fleetune.artefact import pack, unpack
from fleetune.signed import canonical
from fleetune_research.fleet.http import HttpPlatform
from fleetune_server.publish.distribute import VALID_SECONDS
from fleetune_server.publish.keys import KeyRing

Answer = dict[str, Any]
Alter = Callable[[random.Random, bytes], bytes]


class Attacker(HttpPlatform):
    """A browser whose network belongs to somebody else: `answers` in turn, then `files` by address."""

    def __init__(self, world: World, answers: list[Answer], files: Mapping[str, bytes]) -> None:
        super().__init__(world.http, lambda: world.time)
        self.answers = answers
        self.files = files
        self.asked = 0

    async def fetch(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        if path.startswith("/api/"):
            answer = self.answers[min(self.asked, len(self.answers) - 1)]
            self.asked += 1
            return Response(200, {}, json.dumps(answer).encode())
        data = self.files.get(path.removeprefix("/models/"))
        return Response(404) if data is None else Response(200, {}, data)


def sign(world: World, answer: Mapping[str, Any], ring: KeyRing) -> Answer:
    """The answer signed by another ring."""
    return {**answer, "signature": ring.sign(canonical(answer["manifest"]))}


def resigned(world: World, answer: Mapping[str, Any], artefact: bytes, version: int) -> Answer:
    """A full answer about these bytes, signed with the real keys: by a careless or robbed operator."""
    digest = hashlib.sha256(artefact).hexdigest()
    manifest = answer["manifest"] | {
        "version": version,
        "sha256": digest,
        "size": len(artefact),
        "base": None,
    }
    whole = {"version": version, "checksum": digest, "url": f"/models/{digest}", "size": len(artefact)}
    return sign(world, {**answer, **whole, "updateType": "full", "manifest": manifest}, world.keys)


def flip(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def truncate(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def lengthen(rng: random.Random, data: bytes) -> bytes:
    return data + rng.randbytes(rng.randrange(1, 100))


def swap(rng: random.Random, data: bytes) -> bytes:
    a, b, c = sorted(rng.sample(range(len(data) + 1), 3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def overwrite(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(min(16, len(data) - at)) + data[at + 16 :]


ALTER: Mapping[str, Alter] = {
    "bit flip": flip,
    "truncation": truncate,
    "over-long": lengthen,
    "swapped parts": swap,
    "overwritten": overwrite,
}


def altered_field(rng: random.Random, answer: Answer, others: list[Answer]) -> Answer:
    """One field of an answer, its manifest or its signature replaced, dropped, or taken from another."""
    answer = json.loads(json.dumps(answer))
    part = rng.choice([answer, answer["manifest"], answer["manifest"], answer["signature"]])
    name = rng.choice(sorted(part))
    strange: list[Any] = [
        *(None, -1, 0, 1, 3, 2**31, 2**64, 1.5, "", "x", [], {}, True, "AA==", float(rng.random()))
    ]
    kind = rng.randrange(4)
    if kind == 0:
        del part[name]
    elif kind == 1 and isinstance(part[name], int):
        part[name] += rng.choice([-1, 1, 86_400, -86_400])
    elif kind == 2 and isinstance(part[name], str):
        part[name] = flip(rng, part[name].encode()).decode("latin-1")
    else:
        other = rng.choice(others)
        choices = [*strange, other.get(name), other["manifest"].get(name)]
        part[name] = rng.choice(choices)
    return dict(answer)


class Case:
    """A browser with version 2; an attacker who knows versions 1 to 3 and all that was signed for them."""

    def __init__(self, world: World, verified: VerifiedModel, rng: random.Random) -> None:
        self.world, self.verified, self.rng = world, verified, rng
        answer, make, records = world.distributor.answer, world.distributor._make, world.records
        self.offers = [dict(answer(2)), dict(answer(0))]  # incremental and full
        older = [dict(make(records[version], None, world.time)) for version in (1, 2)]
        self.others = [*older, *self.offers, dict(answer(1))]
        self.stranger = KeyRing.open(Path(world.keys.folder) / "stranger")

    def offer(self) -> tuple[Answer, dict[str, bytes]]:
        answer = self.rng.choice(self.offers)
        name = answer["url"].removeprefix("/models/")
        return answer, {name: self.world.files[name]}

    def damaged(self, alter: Alter) -> tuple[Answer, dict[str, bytes]]:
        answer, files = self.offer()
        ((name, data),) = files.items()
        while (other := alter(self.rng, data)) == data:
            pass
        return answer, {name: other}

    def field(self) -> tuple[Answer, dict[str, bytes]]:
        answer, files = self.offer()
        while (other := altered_field(self.rng, answer, self.others)) == answer:
            pass
        return other, files

    def replay(self) -> tuple[Answer, dict[str, bytes]]:
        return self.rng.choice(self.others[:2]), self.world.files

    def wrong_base(self) -> tuple[Answer, dict[str, bytes]]:
        return self.others[-1], self.world.files

    def expired(self) -> tuple[Answer, dict[str, bytes]]:
        record = self.world.records[3]
        late = self.rng.randrange(1, 10 * VALID_SECONDS)
        made = self.world.distributor._make(
            record, self.rng.choice([2, None]), self.world.time - VALID_SECONDS - late
        )
        return dict(made), self.world.files

    def wrong_key(self) -> tuple[Answer, dict[str, bytes]]:
        answer, files = self.offer()
        return sign(self.world, answer, self.stranger), files

    def signed(self, artefact: bytes) -> tuple[Answer, dict[str, bytes]]:
        """Signed with the real key, by a careless or robbed operator."""
        answer = resigned(self.world, self.offers[1], artefact, version=3)
        return answer, {answer["checksum"]: artefact}

    def not_finite(self) -> tuple[Answer, dict[str, bytes]]:
        model = unpack(self.world.artefacts[3])
        name = self.rng.choice([n for n, array in model.stored.items() if array.dtype.kind == "f"])
        array = np.array(model.stored[name])
        array.flat[self.rng.randrange(array.size)] = self.rng.choice([np.nan, np.inf, -np.inf])
        return self.signed(pack(dataclasses.replace(model, stored={**model.stored, name: array})))

    def wrong_shape(self) -> tuple[Answer, dict[str, bytes]]:
        model = unpack(self.world.artefacts[3])
        stored = dict(model.stored)
        name = self.rng.choice([name for name, array in stored.items() if array.size > 1])
        array = stored[name]
        choices = [array[1:], array.ravel()[:-1], np.concatenate([array, array[:1]]), array[None]]
        other = self.rng.choice(choices)
        stored[name] = other if other.shape != array.shape else array[1:]
        return self.signed(pack(dataclasses.replace(model, stored=stored)))

    def bomb(self) -> tuple[Answer, dict[str, bytes]]:
        """A delta whose parts unpack to far more than they say."""
        answer, files = self.offers[0], self.world.files
        name = answer["url"].removeprefix("/models/")
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = packer.compress(bytes(self.rng.randrange(10_000_000, 20_000_000))) + packer.flush()
        head = files[name][:40]
        evil = head + b"".join(n.to_bytes(4, "little") for n in (3, len(packed)) * 9) + packed * 9
        digest = hashlib.sha256(evil).hexdigest()
        return {**answer, "url": f"/models/{digest}", "size": len(evil)}, {digest: evil}


def _damaged(alter: Alter, case: Case) -> tuple[Answer, dict[str, bytes]]:
    return case.damaged(alter)


KINDS: Mapping[str, tuple[float, Callable[[Case], tuple[Answer, dict[str, bytes]]]]] = {
    **{name: (4, partial(_damaged, alter)) for name, alter in ALTER.items()},
    "field": (20, Case.field),
    "replayed or downgraded": (2, Case.replay),
    "wrong base": (1, Case.wrong_base),
    "expired": (2, Case.expired),
    "wrong key": (2, Case.wrong_key),
    "not finite": (1, Case.not_finite),
    "wrong shape": (1, Case.wrong_shape),
    "bomb": (0.5, Case.bomb),
}


async def run(count: int, seed: int = 6) -> dict[str, Any]:
    """Make this many altered updates and offer each to a browser that holds a good model."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for _ in range(2):
            world.publish()
        _, verified = await update(world.platform(), world.pinned, None)
        assert verified is not None
        world.publish()
        case = Case(world, verified, random.Random(seed))
        tally: dict[str, Any] = {"altered": 0, "accepted": 0, "lost": 0, "without_effect": 0}
        kinds: collections.Counter[str] = collections.Counter()
        offered = {canonical(answer["manifest"]) for answer in case.offers}
        names, weights = list(KINDS), [weight for weight, _ in KINDS.values()]
        for _ in range(count):
            kind = case.rng.choices(names, weights)[0]
            answer, files = KINDS[kind][1](case)
            platform = Attacker(world, [answer], files)
            outcome, after = await update(platform, world.pinned, verified)
            kinds[kind] += 1
            tally["altered"] += 1
            if outcome.status == "kept":
                tally["lost"] += after is not verified or bool(platform.store.values)
            elif (
                kind == "field"
                and after is not None
                and after.artefact == world.artefacts[3]
                and canonical(after.release.to_wire()) in offered
            ):
                # An unsigned field on which nothing depends: what is used was signed as it is.
                tally["without_effect"] += 1
            else:
                tally["accepted"] += 1
        return tally | {"kinds": dict(kinds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    args = parser.parse_args()
    tally = asyncio.run(run(args.count, args.seed))
    print(json.dumps(tally) if args.json else "\n".join(f"{name}: {value}" for name, value in tally.items()))
    raise SystemExit(1 if tally["accepted"] or tally["lost"] else 0)


if __name__ == "__main__":
    main()
