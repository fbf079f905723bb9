"""What CPython and Pyodide must agree on: functions of JSON inputs that use only the shared modules.

To add one: a function here, its name in CASES, and its input in `INPUTS` of test_pyodide_parity.py (made in
CPython, so it may use anything). Both sides run the same function on the same input.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fleetune import delta, packet, privacy, rating, rounds, stats
from fleetune import work as work_proof
from fleetune.choose import choose
from fleetune.context import Context, Environment, canonical_json, log2_bucket
from fleetune.manifest import Manifest
from fleetune.model import Model
from fleetune.personal import PersonalLayer


def counter_bytes() -> Callable[[int], bytes]:
    """A stream of bytes that is the same everywhere: a linear congruential generator's high bytes."""

    def stream() -> Iterator[int]:
        state = 1
        while True:
            state = (6_364_136_223_846_793_005 * state + 1_442_695_040_888_963_407) % 2**64
            yield state >> 56

    source = stream()
    return lambda n: bytes(next(source) for _ in range(n))


def contexts(value: Any) -> Any:
    """Buckets, canonical JSON and hashes of contexts and environments."""
    environments = [Environment.from_wire(wire) for wire in value["environments"]]
    made = [Context.of(size, "f32", "random", copied=size % 2 == 0) for size in value["sizes"]]
    return {
        "buckets": [log2_bucket(size) for size in value["sizes"]],
        "hashes": [context.hash for context in made],
        "fingerprints": [environment.fingerprint for environment in environments],
        "canonical": [canonical_json(environment.to_wire()).decode() for environment in environments],
    }


def mechanisms(value: Any) -> Any:
    """The table of each mechanism, and draws from the same bytes."""
    found = {}
    for epsilon in value["epsilons"]:
        one, entropy = privacy.mechanism(epsilon), counter_bytes()
        found[str(epsilon)] = {
            "values": one.values().tolist(),
            "variance": float(one.variance(0.3)),
            "draws": [one.draw(unit, entropy) for unit in np.linspace(-1, 1, 41).tolist()],
        }
    return found


def packets(value: Any) -> Any:
    """Packets built from the same bytes, encoded and checked."""
    manifest = Manifest.load(value["manifest"])
    environment = Environment.from_wire(value["environment"])
    entropy = counter_bytes()
    wires = []
    for kernel in manifest.kernels.values():
        for variant in kernel.variants:
            context = Context.of(4096, kernel.dtype, "random")
            arguments = (kernel, context, environment, variant, 1.25, 1.4, 0.5, 2.0, 7, 20_780)
            body = packet.encode(packet.build(*arguments, entropy=entropy))
            packet.check(json.loads(body))
            wires.append(body.decode())
    return wires


def answers(value: Any) -> Any:
    """Randomised answers from the same bytes, encoded and checked."""
    entropy = counter_bytes()
    made = [rating.build(i % 3 > 0, 20_780, epsilon, entropy) for epsilon in value for i in range(50)]
    return [rating.encode(one).decode() for one in made] + [rating.check(made[0].to_wire()).nonce]


def timing(value: Any) -> Any:
    """Intervals, spreads, the order of interleaved rounds, and the answer."""
    series = {name: stats.Series(times, 1e-4) for name, times in value.items()}
    plan = rounds.Rounds(series, lambda names: names.sort(reverse=True), "js", "js")
    return {
        "timed": [
            [one.speedup, one.low, one.high, one.spread]
            for one in (stats.Timed.of(each, series["js"]) for each in series.values())
        ],
        "orders": [plan.order() for _ in range(5)],
        "answer": [plan.answer().choice, plan.answer().ratio, plan.answer().error],
    }


def predictions(value: Any) -> Any:
    """A model's predictions, the personal layer's correction, and the choices that follow."""
    manifest = Manifest.load(value["manifest"])
    environment = Environment.from_wire(value["environment"])
    model = Model.from_bytes(base64.b64decode(value["artefact"]))
    layer = PersonalLayer()
    for kernel in manifest.kernels.values():
        for variant in kernel.variants:
            layer.observe(kernel, Context.of(256, kernel.dtype, "random"), variant, 0.7, 0.02)
    layer.bind(model, manifest.by_signature, environment)
    rows = []
    for row in model.predict_table(list(manifest.kernels.values()), environment):
        signature, names = row.kernel.signature, row.predictions.candidates
        here = layer.adjust(signature, row.context, names, row.predictions)
        choice = choose(row.kernel, row.context, environment, here, {}, ())
        both = [row.predictions.mean, row.predictions.sd, here.mean, here.sd]
        rows.append([choice.candidate, choice.source, *(array.tolist() for array in both)])
    return {"rows": rows, "same": model.to_bytes() == base64.b64decode(value["artefact"])}


def deltas(value: Any) -> Any:
    """A delta applied: the same bytes."""
    old, new = base64.b64decode(value["old"]), base64.b64decode(value["new"])
    made = base64.b64decode(value["delta"])
    return {"applied": delta.apply(old, made, len(new)) == new}


def work(value: Any) -> Any:
    """The answer to a server's challenge."""
    return work_proof.search(value["challenge"], value["nonce"], value["bits"], 0, 1 << 16)


CASES: dict[str, Callable[[Any], Any]] = {
    "contexts": contexts,
    "mechanisms": mechanisms,
    "packets": packets,
    "answers": answers,
    "timing": timing,
    "predictions": predictions,
    "deltas": deltas,
    "work": work,
}


def run(inputs: str) -> str:
    """Every case on its JSON input; JSON."""
    values = json.loads(inputs)
    return json.dumps({name: case(values[name]) for name, case in CASES.items()}, allow_nan=False)
