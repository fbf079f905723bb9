"""How unlike two blocks of an image are, as motion search asks."""

from kernels_wasm.translate.language import In, i32, kernel, u8


@kernel(family="image", sizes=[64, 1024, 16384, 131072])
def sum_of_differences(a: In[u8], b: In[u8], n: i32) -> i32:
    """Sum of absolute differences of bytes."""
    total = 0
    for i in range(n):
        total += abs(a[i] - b[i])
    return total
