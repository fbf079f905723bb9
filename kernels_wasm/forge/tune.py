"""Time every candidate in the browsers at hand, as the lab starts them, and keep the few that win somewhere."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from e2e.drivers.base import DriverError
from e2e.engines import ENGINES
from playwright.sync_api import Error as PlaywrightError
from selenium.common.exceptions import WebDriverException

from fleetune_server.kernels.check import PREFIX, served
from fleetune_server.kernels.package import Package, build
from fleetune_server.kernels.spec import read_spec

KEPT = 6
NEAR = 1.03  # a time within 3 % of the best is as good
RESIDENT = False
TIMING = {"warmMs": 30, "batchMs": 3, "rounds": 25}  # short batches: on a busy machine some run undisturbed
SECONDS = 300.0
RUN = """
const [manifest, copied, timing] = a;
const { checkKernel } = await import("/static/workers/check_kernel.js");
const root = new URL(manifest.root, location.href).href;
return checkKernel({ ...manifest, root }, { modes: [copied], timing });
"""


class TuneError(RuntimeError):
    """No browser could time the candidates; the message says why."""


@dataclass(frozen=True)
class Timing:
    """Milliseconds a call of one candidate in one place."""

    engine: str
    size: int
    pattern: str
    candidate: str
    ms: float


@dataclass(frozen=True)
class Tuned:
    timings: list[Timing]
    browsers: dict[str, str]  # engine → version
    problems: list[str]  # engines that are not there, candidates that are wrong


def package(files: Mapping[str, bytes]) -> Package:
    """The kernel as a server would publish it; SpecError if it would refuse it."""
    [description] = [data for name, data in files.items() if name.endswith(".toml")]
    [script] = [data for name, data in files.items() if name.endswith(".js")]
    modules = {name: data for name, data in files.items() if name.endswith(".wasm")}
    return build(read_spec(tomllib.loads(description.decode()), script.decode(), modules))


def measure(made: Package, engines: Iterable[str], sizes: Sequence[int], *, copied: bool = RESIDENT) -> Tuned:
    """Every candidate at these sizes in each engine. What gives a wrong result is a problem and has no time."""
    timings: list[Timing] = []
    browsers: dict[str, str] = {}
    problems: list[str] = []
    entry = {**made.entry, "sizes": list(sizes)}
    manifest = {"schema": 1, "bundles": made.bundles, "kernels": [entry], "root": PREFIX,
                "scripts": {"path": "kernels.js", "sha256": "", "size": 0}}  # fmt: skip
    files = {**made.files, "kernels.js": b"export const kernels = {};\n"}
    with served(files) as address:
        for name in engines:
            try:
                with ENGINES[name].launch() as browser:
                    page = browser.new_page()
                    page.open(address)
                    ENGINES[name].prove(page)
                    found = page.evaluate(RUN, manifest, copied, TIMING, timeout=SECONDS)
                    browsers[name] = browser.version
            except (
                DriverError,
                PlaywrightError,
                WebDriverException,
            ) as error:  # the other browsers still count
                problems.append(f"{name}: {error}")
                continue
            for row in found["rows"]:
                if row["error"]:
                    problems.append(f"{name}: {row['candidate']} at size {row['size']}: {row['error']}")
                elif row["ms"]:
                    timings.append(Timing(name, row["size"], row["pattern"], row["candidate"], row["ms"]))
    if not timings:
        raise TuneError("\n".join(["nothing could be timed", *problems]))
    return Tuned(timings, browsers, sorted(set(problems)))


Places = dict[tuple[str, int, str], dict[str, float]]


def by_place(timings: Iterable[Timing]) -> Places:
    """(engine, size, pattern) → candidate → milliseconds."""
    places: Places = {}
    for t in timings:
        places.setdefault((t.engine, t.size, t.pattern), {})[t.candidate] = t.ms
    return places


def chosen(timings: Iterable[Timing], always: str = "scalar", most: int = KEPT) -> list[str]:
    """The fewest candidates, at most `most`, of which one is within 3 % of the best in each place, as far as
    that can be; `always` is among them. JavaScript is no candidate here: every kernel has it."""
    places = [{name: ms for name, ms in times.items() if name not in ("js", "js-tuned")}
              for times in by_place(timings).values()]  # fmt: skip
    names = sorted({name for times in places for name in times})
    kept = [always]

    def loss(names: Sequence[str], near: float = NEAR) -> float:
        total = 0.0
        for times in places:
            ratio = min((times[n] for n in names if n in times), default=math.inf) / min(times.values())
            total += math.log(ratio) if ratio > near else 0.0
        return total

    while len(kept) < most and loss(kept) > 0:
        rest = [name for name in names if name not in kept]
        kept.append(min(rest, key=lambda name: (loss([*kept, name]), loss([*kept, name], 1.0), name)))
    return kept


def geometric_mean(values: Iterable[float]) -> float:
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan
