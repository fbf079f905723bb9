"""Where two files stop being the same."""

from kernels_wasm.translate.language import In, i32, kernel, u8


@kernel(family="search", sizes=[64, 1024, 16384, 131072], patterns=["zeros"])
def first_difference(a: In[u8], b: In[u8], n: i32) -> i32:
    """Index of the first byte that differs."""
    for i in range(n):
        if a[i] != b[i]:
            return i
    return n
