"""How much values scatter."""

from kernels_wasm.translate.language import In, f64, i32, kernel


@kernel(family="reduction", sizes=[64, 1024, 16384, 131072])
def variance(values: In[f64], n: i32) -> f64:
    """Variance of double-precision values."""
    total = f64(0)
    squares = f64(0)
    for i in range(n):
        total += values[i]
        squares += values[i] * values[i]
    mean = total / f64(n)
    return squares / f64(n) - mean * mean
