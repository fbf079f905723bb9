"""Where each of many keys belongs in a sorted list."""

from kernels_wasm.translate.language import In, Out, i32, kernel


@kernel(family="search", sizes=[64, 1024, 16384, 131072], lengths={"table": "256"}, patterns=["sorted"])
def search_sorted(keys: In[i32], table: In[i32], out: Out[i32], n: i32) -> None:
    """Binary search of each key among 256 sorted numbers."""
    for i in range(n):
        low = 0
        step = 128
        while step > 0:
            if table[low + step - 1] < keys[i]:
                low += step
            step = step >> 1
        out[i] = low
