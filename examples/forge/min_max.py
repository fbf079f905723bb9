"""Least and greatest of a list that is not empty."""

from kernels_wasm.translate.language import In, Out, f32, i32, kernel


@kernel(family="reduction", sizes=[16, 128, 1024, 8192, 65536, 262144], lengths={"out": "2"})
def min_max(values: In[f32], out: Out[f32], n: i32) -> None:
    """Least and greatest value."""
    low = f32(1e30)
    high = f32(-1e30)
    for i in range(n):
        low = min(low, values[i])
        high = max(high, values[i])
    out[0] = low
    out[1] = high
