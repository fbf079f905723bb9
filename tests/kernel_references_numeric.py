"""References of the kernels that compute: simulation, finance, signal, image, integer arithmetic."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tests.kernel_reference import Array, Outcome, Reference, Rng, data_bytes, floats


def make_mandelbrot(size: int, rng: Rng, special: bool) -> list[Any]:
    """`special`: a view with points inside, on the edge and outside; else a random one."""
    width, height = size, int(rng.integers(0, size + 3))
    left, top = (-2.0, -1.2) if special else (float(rng.uniform(-2, 0.5)), float(rng.uniform(-1, 1)))
    step = 2.5 / max(size, 1) if special else float(rng.uniform(0.001, 0.1))
    limit = int(rng.integers(0, 70))
    return [np.full(width * height, -5, np.int32), width, height, left, top, step, limit]


def mandelbrot(
    counts: Array, width: int, height: int, left: float, top: float, step: float, limit: int
) -> Outcome:
    real = left + np.arange(width) * step
    imaginary = top + np.arange(height) * step
    cr, ci = (axis.ravel() for axis in np.meshgrid(real, imaginary))
    zr, zi = np.zeros_like(cr), np.zeros_like(ci)
    found, live = np.zeros(cr.size, np.int32), np.ones(cr.size, bool)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(limit):
            live &= zr * zr + zi * zi <= 4
            found += live
            zr, zi = zr * zr - zi * zi + cr, 2 * zr * zi + ci
    return None, {"counts": found}


def make_nbody(size: int, rng: Rng, special: bool) -> list[Any]:
    """`special`: some bodies in the same place."""
    axes = [floats(size, rng, False) for _ in range(3)]
    if special and size > 2:
        for axis in axes:
            axis[size // 2 :] = axis[: size - size // 2]
    mass = rng.uniform(0.1, 1, size).astype(np.float32)
    return [*axes, mass, *(np.full(size, 7, np.float32) for _ in range(3)), size]


def nbody(x: Array, y: Array, z: Array, mass: Array, ax: Array, ay: Array, az: Array, n: int) -> Outcome:
    places = np.stack([x, y, z]).astype(np.float64)  # (3, n)
    apart = places[:, None, :] - places[:, :, None]  # (3, i, j): from i to j
    cube = (np.sum(apart**2, axis=0) + 1e-2) ** 1.5
    total = np.sum(mass.astype(np.float64) * apart / cube, axis=2)
    return None, dict(zip(("ax", "ay", "az"), total, strict=True))


def make_black_scholes(size: int, rng: Rng, special: bool) -> list[Any]:
    """`special`: deep in and out of the money, short and long."""
    low, high = (0.5, 2000.0) if special else (10.0, 100.0)
    spot, strike = (rng.uniform(low, high, size).astype(np.float32) for _ in range(2))
    years = rng.uniform(0.01 if special else 0.1, 10, size).astype(np.float32)
    rate, volatility = (float(np.float32(rng.uniform(*span))) for span in ((0.0, 0.1), (0.1, 0.6)))
    return [spot, strike, years, np.full(size, 7, np.float32), size, rate, volatility]


def black_scholes(
    spot: Array, strike: Array, years: Array, call: Array, n: int, rate: float, volatility: float
) -> Outcome:
    prices = []
    for s, k, t in zip(spot.tolist(), strike.tolist(), years.tolist(), strict=True):
        deviation = volatility * math.sqrt(t)
        d1 = (math.log(s / k) + (rate + volatility**2 / 2) * t) / deviation
        near, far = (math.erfc(-d / math.sqrt(2)) / 2 for d in (d1, d1 - deviation))
        prices.append(s * near - k * math.exp(-rate * t) * far)
    return None, {"call": np.array(prices)}


def make_fft(size: int, rng: Rng, special: bool) -> list[Any]:
    length = 1 << max(size.bit_length() - 1, 0)
    cosines, sines = np.zeros(length, np.float32), np.zeros(length, np.float32)
    for stage in range(length.bit_length() - 1):
        h = 1 << stage
        turn = np.exp(-1j * np.pi * np.arange(h) / h)
        cosines[h : 2 * h], sines[h : 2 * h] = turn.real, turn.imag
    return [floats(size, rng, False), floats(size, rng, False), cosines, sines, size]


def fft(re: Array, im: Array, cosines: Array, sines: Array, n: int) -> Outcome:
    length = 1 << (n.bit_length() - 1) if n else 0
    result = {"re": re.astype(np.float64), "im": im.astype(np.float64)}
    if length:
        spectrum = np.fft.fft(result["re"][:length] + 1j * result["im"][:length])
        result["re"][:length], result["im"][:length] = spectrum.real, spectrum.imag
    return None, result


def make_rgb_to_grey(size: int, rng: Rng, special: bool) -> list[Any]:
    """`special`: black and white only, the ends of the range."""
    pixels = rng.choice(np.array([0, 255], np.uint8), 4 * size) if special else data_bytes(4 * size, rng)
    return [pixels, np.full(size, 7, np.uint8), size]


def rgb_to_grey(pixels: Array, out: Array, n: int) -> Outcome:
    weighted = pixels.reshape(n, 4).astype(np.int64) @ np.array([38, 75, 15, 0])
    return None, {"out": (weighted + 64) // 128}


def make_saturating_add(size: int, rng: Rng, special: bool) -> list[Any]:
    """`special`: sums at and around 255."""
    a = data_bytes(size, rng)
    b = (
        (255 - a + rng.integers(-1, 2, size)).clip(0, 255).astype(np.uint8)
        if special
        else data_bytes(size, rng)
    )
    return [a, b, np.full(size, 7, np.uint8), size]


def saturating_add(a: Array, b: Array, out: Array, n: int) -> Outcome:
    return None, {"out": np.minimum(a.astype(np.int64) + b, 255)}


def make_hamming(size: int, rng: Rng, special: bool) -> list[Any]:
    """`special`: all bits differ, which fills every counter to its brim."""
    a = rng.integers(0, 2**32, size, np.uint32)
    return [a, ~a if special else rng.integers(0, 2**32, size, np.uint32), size]


def hamming(a: Array, b: Array, n: int) -> Outcome:
    return int(np.unpackbits((a ^ b).view(np.uint8)).sum()), {}


def make_sieve(size: int, rng: Rng, special: bool) -> list[Any]:
    """`special`: one less or more than a square, where an off-by-one would show."""
    n = max(math.isqrt(size) ** 2 + int(rng.integers(-1, 2)), 0) if special else size
    return [np.full(n + 1, 7, np.uint8), n]


def sieve(composite: Array, n: int) -> Outcome:
    numbers = np.arange(2, n + 1)
    prime = np.ones(numbers.size, bool)
    for divisor in range(2, math.isqrt(max(n, 0)) + 1):
        prime &= (numbers % divisor != 0) | (numbers == divisor)
    return int(prime.sum()), {}


SIDES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 23)
LENGTHS = (0, 1, 2, 3, 4, 5, 8, 15, 16, 31, 32, 64, 100, 128, 256, 1000, 1024)
NUMBERS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 24, 25, 26, 48, 49, 50, 120, 121, 122, 1000, 1009, 16390)
REFERENCES = {
    "mandelbrot": Reference(make_mandelbrot, mandelbrot, SIDES, large=61),
    "nbody": Reference(make_nbody, nbody, LENGTHS[:-2], large=301),
    "black_scholes": Reference(make_black_scholes, black_scholes, large=5003),
    "fft": Reference(make_fft, fft, LENGTHS, large=8192),
    "rgb_to_grey": Reference(make_rgb_to_grey, rgb_to_grey),
    "saturating_add": Reference(make_saturating_add, saturating_add),
    "hamming": Reference(make_hamming, hamming),
    "sieve": Reference(make_sieve, sieve, NUMBERS, large=200_003),
}
