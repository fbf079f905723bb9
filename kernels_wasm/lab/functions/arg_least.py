"""Where the least value is."""

from kernels_wasm.translate.language import In, i32, kernel


@kernel(family="reduction", sizes=[64, 1024, 16384, 131072])
def arg_least(values: In[i32], n: i32) -> i32:
    """Index of the least value."""
    least = values[0]
    at = 0
    for i in range(n):
        if values[i] < least:
            least = values[i]
            at = i
    return at
