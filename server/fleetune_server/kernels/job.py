"""A job whose implementations pages bring themselves: a kernel's description without modules.

No code is served or run for it. What is known of it comes from reports alone.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from kernels_wasm.build.catalogue import BASELINES, INHERITED

from fleetune.limits import MOST_SIZES, OPTIMISATION
from fleetune_server.kernels.package import Package
from fleetune_server.kernels.spec import MAX_PATTERNS, MAX_SIZE, MAX_VARIANTS, NAME, SpecError, Table

_KEYS = ("name", "summary", "sizes", "patterns", "implementations")
_VERSION = r"[\w][\w.+-]{0,39}"
# What the model calls the reference, and the modules of kernels, must not be taken for an implementation.
_TAKEN = INHERITED | BASELINES


@dataclass(frozen=True)
class Implementation:
    """One way to do the job; `version` is that of the code behind it."""

    name: str
    version: str


@dataclass(frozen=True)
class Job:
    """A checked description; the first implementation is the reference."""

    name: str
    summary: str
    sizes: tuple[int, ...]  # ascending
    patterns: tuple[str, ...]
    implementations: tuple[Implementation, ...]

    @property
    def signature(self) -> str:
        """A hash of all of it, 32 hex digits: another version of an implementation makes another job."""
        canonical = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def read_job(raw: object) -> Job:
    """The job of a description; SpecError names every field that is wrong."""
    problems: list[str] = []
    table = Table(raw, "", problems, _KEYS)
    name = table.text("name", NAME, "lower_snake_case, 40 characters at most")
    if name in INHERITED:
        table.wrong("name", f"{name} is what every JavaScript object has: choose another name")
    sizes = table.get("sizes", list)
    fit = [size for size in sizes if type(size) is int and 1 <= size <= MAX_SIZE]
    if "sizes" in table.raw and not (1 <= len(sizes) <= MOST_SIZES and sizes == sorted(set(fit))):
        what = f"1 to {MOST_SIZES} different whole numbers from 1 to {MAX_SIZE}, in rising order"
        table.wrong("sizes", f"must be {what}")
    patterns = table.texts("patterns", r"[a-z][a-z0-9-]{0,15}", "lower-case words", default=["random"])
    if not 1 <= len(patterns) <= MAX_PATTERNS:
        table.wrong("patterns", f"1 to {MAX_PATTERNS}")
    job = Job(name, table.text("summary"), tuple(sizes), tuple(patterns), tuple(_implementations(table)))
    if problems:
        raise SpecError(problems)
    return job


def _implementations(table: Table) -> list[Implementation]:
    rows = table.get("implementations", list)
    if "implementations" in table.raw and not 2 <= len(rows) <= MAX_VARIANTS:
        table.wrong("implementations", f"2 to {MAX_VARIANTS}, the reference first")
    found = []
    for number, row in enumerate(rows[:MAX_VARIANTS], 1):
        own = Table(row, f"implementations[{number}].", table.problems, ("name", "version"))
        name = own.text("name", OPTIMISATION, "a name as in choose(): camelCase, 24 letters at most")
        if name in _TAKEN and number > 1:
            own.wrong("name", f"{name} is a name of JavaScript's or of a baseline: choose another")
        found.append(Implementation(name, own.text("version", _VERSION, "a version such as 1.4.0")))
    names = [one.name for one in found]
    for name in sorted({name for name in names if names.count(name) > 1}):
        table.wrong("implementations", f"two are called {name}")
    return found


def package(job: Job) -> Package:
    """What the catalogue lists of a job."""
    listed = json.loads(json.dumps(asdict(job)))  # lists, as it is read back
    entry: dict[str, Any] = {**listed, "profileSignature": job.signature}
    return Package(entry, {}, {}, job=True)
