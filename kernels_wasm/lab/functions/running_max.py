"""The highest value so far."""

from kernels_wasm.translate.language import In, Out, i32, kernel


@kernel(family="scan", sizes=[64, 1024, 16384, 131072])
def running_max(values: In[i32], out: Out[i32], n: i32) -> None:
    """Greatest value up to each place."""
    best = values[0]
    for i in range(n):
        best = max(best, values[i])
        out[i] = best
