"""How many values pass a limit."""

from kernels_wasm.translate.language import In, f32, i32, kernel


@kernel(family="reduction", sizes=[64, 1024, 16384, 131072], ranges={"limit": (0, 0.5)})
def count_above(values: In[f32], limit: f32, n: i32) -> i32:
    """Number of values above a limit."""
    count = 0
    for i in range(n):
        count += i32(values[i] > limit)
    return count
