"""How many members a set has that is kept as bits."""

from kernels_wasm.translate.language import In, i32, kernel, u32


@kernel(family="integer", sizes=[4, 32, 256, 2048, 16384, 131072])
def bitset_count(words: In[u32], n: i32) -> i32:
    """Number of set bits."""
    count = 0
    for i in range(n):
        count += words[i].bit_count()
    return count
