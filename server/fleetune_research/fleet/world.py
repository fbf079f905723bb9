"""A fleet drawn around the lab measurements: what is true in every cell, who runs what, and how they
measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fleetune.context import Context, Environment
from fleetune.features import Floats, Frame, Ints
from fleetune.manifest import BASELINE, Kernel
from fleetune_server.training.fit import Rows
from fleetune_server.training.quality import Contexts

# (browser, version, system, cores, share of users): environments that people have, by lab engine.
FLEET = (
    ("chromium", 156, "windows", "8-15", 0.30),
    ("chromium", 156, "android", "8-15", 0.22),
    ("chromium", 155, "windows", "4-7", 0.10),
    ("chromium", 156, "macos", "8-15", 0.08),
    ("chromium", 156, "linux", "2-3", 0.03),
    ("webkit", 18, "ios", "4-7", 0.10),
    ("webkit", 18, "macos", "8-15", 0.05),
    ("firefox", 153, "windows", "8-15", 0.06),
    ("firefox", 153, "linux", "4-7", 0.03),
    ("firefox", 153, "macos", "8-15", 0.015),
    ("firefox", 152, "windows", "4-7", 0.01),
    ("firefox", 153, "android", "8-15", 0.005),
)
ARCH = {"android": "arm", "ios": "arm", "macos": "arm"}  # by system; the others, and the lab, are x86
SPEED = {"1": 0, "2-3": 0, "4-7": 1, "8-15": 2, "16+": 2}  # class of machine, by its cores


@dataclass(frozen=True)
class Parameters:
    """How the fleet is drawn; every figure is an assumption, stated here. Deviations are of ln speedup."""

    environment_variant: float = 0.04  # an environment differs from the lab's engine: by candidate,
    environment_kernel: float = 0.05  # by kernel × candidate,
    environment_cell: float = 0.03  # and by cell
    device_variant: float = 0.02  # one device differs from its environment: by candidate,
    device_cell: float = 0.03  # and by cell
    noise: float = 0.02  # of one measurement
    outliers: float = 0.01  # share of measurements made while something else ran
    outlier_size: float = 0.7
    # Two machines with the same browser differ by 0.3 to 0.5 where vectors are shuffled: by kernel × candidate,
    machine_vector: float = 0.3  # one machine from all, with vector instructions
    machine_plain: float = 0.1  # and without
    arch_vector: float = 0.4  # ARM from x86
    arch_plain: float = 0.1
    speed: float = 0.1  # a class of machines (three) from all
    zipf: float = 1.0  # exponent of kernels' popularity
    kernels_per_user: int = 8


# Machines that differ by what `Parameters` had before machines were compared: one kind for each environment.
ALIKE = Parameters(
    machine_vector=0.0, machine_plain=0.0, arch_vector=0.0, arch_plain=0.0, speed=0.0, zipf=0.0
)


@dataclass(frozen=True)
class World:
    """Every cell of the fleet: `rows` hold the truth as target, `traffic` sums to 1 over cells."""

    rows: Rows
    traffic: Floats  # (n,) share of measurements that are of this cell
    environment_share: Floats  # (environments,)
    parameters: Parameters

    @property
    def frame(self) -> Frame:
        return self.rows.frame

    @property
    def truth(self) -> Floats:
        """The fleet's mean ln speedup of every cell."""
        return self.rows.target

    def contexts(self) -> Contexts:
        """The cells grouped by context, `js` added."""
        return Contexts.of(self.rows)

    def measure(self, cells: Ints, rng: np.random.Generator) -> Floats:
        """What devices drawn at random measure in these cells: truth, device, noise, outliers."""
        p = self.parameters
        machine = self.machine()[cells]
        spread = np.sqrt(p.device_variant**2 + p.device_cell**2 + p.noise**2 + machine**2)
        value = self.truth[cells] + rng.normal(0, 1, len(cells)) * spread
        hit = rng.random(len(cells)) < p.outliers
        return np.asarray(value + hit * rng.normal(0, p.outlier_size, len(cells)))

    def device(self, rng: np.random.Generator) -> Floats:
        """One device's own truth in every cell."""
        p = self.parameters
        by_candidate = rng.normal(0, p.device_variant, len(self.frame.candidates))
        own = rng.normal(0, p.device_cell, len(self.frame))
        f = self.frame
        machine = (
            rng.normal(0, 1, (len(f.kernels), len(f.candidates)))[f.kernel, f.candidate] * self.machine()
        )
        return np.asarray(self.truth + by_candidate[f.candidate] + own + machine)

    def machine(self) -> Floats:
        """How far one machine lies from all in each cell, (n,)."""
        p = self.parameters
        return np.where(_vectorised(self.frame), p.machine_vector, p.machine_plain)

    def restricted(self, keep: NDArray[np.bool_]) -> World:
        """The world of only these cells (mask), traffic renormalised."""
        traffic = self.traffic[keep]
        return replace(self, rows=self.rows.take(keep), traffic=traffic / traffic.sum())


def build(
    lab: Rows, parameters: Parameters, seed: int, fleet: Sequence[tuple[str, int, str, str, float]] = FLEET
) -> World:
    """Draw a fleet around lab rows: each environment takes the truth of its lab engine plus its own effects.

    Environments whose browser the lab did not measure are left out. Raises ValueError if none remains.
    """
    rng = np.random.default_rng(seed)
    machines = np.random.default_rng((seed, 1))
    f = lab.frame
    kinds = (len(f.kernels), len(f.candidates))
    vector, arm, speed = _vectorised(f), machines.normal(0, 1, kinds), machines.normal(0, 1, (3, *kinds))
    p = parameters
    engines = {e.browser: i for i, e in enumerate(f.environments) if e.simd and (f.environment == i).any()}
    chosen = [entry for entry in fleet if entry[0] in engines]
    if not chosen:
        raise ValueError("the lab measured no browser of the fleet")
    cells: list[tuple[Kernel, Context, Environment, str]] = []
    truth, traffic = [], []
    popularity = _zipf(f.kernels, parameters.zipf, rng)
    share = np.array([entry[4] for entry in chosen])
    share /= share.sum()
    for number, (browser, version, system, cores, _) in enumerate(chosen):
        rows = np.flatnonzero(f.environment == engines[browser])
        source = f.environments[engines[browser]]
        arch = ARCH.get(system, "x86")
        environment = Environment(browser, version, system, True, source.relaxed_simd, False, cores, arch)
        by_candidate = rng.normal(0, parameters.environment_variant, len(f.candidates))
        by_kernel = rng.normal(0, parameters.environment_kernel, (len(f.kernels), len(f.candidates)))
        k, v = f.kernel[rows], f.candidate[rows]
        own = rng.normal(0, parameters.environment_cell, len(rows))
        other = np.where(vector[rows], p.arch_vector, p.arch_plain) * arm[k, v] * (arch == "arm")
        other += p.speed * speed[SPEED[cores], k, v]
        truth.append(lab.target[rows] + by_candidate[v] + by_kernel[k, v] + own + other)
        per_kernel = np.bincount(k, minlength=len(f.kernels))
        traffic.append(share[number] * popularity[k] / per_kernel[k])
        cells.extend(
            (f.kernels[f.kernel[i]], f.contexts[f.context[i]], environment, f.candidates[f.candidate[i]])
            for i in rows
        )
    frame = Frame.of(cells)
    target, weight = np.concatenate(truth), np.concatenate(traffic)
    drawn = Rows(frame, target, np.full(len(target), parameters.noise**2))
    return World(drawn, weight / weight.sum(), share, parameters)


def _vectorised(frame: Frame) -> NDArray[np.bool_]:
    """Which rows (n,) are of modules with vector instructions."""
    names = frame.candidates
    table = [[_has_vectors(kernel, name) for name in names] for kernel in frame.kernels]
    return np.array(table, dtype=bool).reshape(-1, len(names))[frame.kernel, frame.candidate]


def _has_vectors(kernel: Kernel, name: str) -> bool:
    return name in kernel.variants and "simd" in kernel.variants[name].features


def _zipf(kernels: Sequence[Kernel], exponent: float, rng: np.random.Generator) -> Floats:
    rank = rng.permutation(len(kernels)) + 1
    weight = rank.astype(float) ** -exponent
    return np.asarray(weight / weight.sum())


def variants_only(rows: Rows) -> Rows:
    """Rows without `js` itself."""
    script = np.array([name == BASELINE for name in rows.frame.candidates], dtype=bool)
    return rows.take(~script[rows.frame.candidate])
