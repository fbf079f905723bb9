"""A population year by year."""

from kernels_wasm.translate.language import Out, f64, i32, kernel


@kernel(family="numeric", sizes=[64, 1024, 16384, 131072], ranges={"start": (0.1, 0.9)})
def logistic_map(out: Out[f64], start: f64, n: i32) -> None:
    """The logistic map, each value from the last."""
    value = start
    for i in range(n):
        value = 3.5 * value * (1.0 - value)
        out[i] = value
