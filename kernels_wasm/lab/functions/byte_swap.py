"""Words of the other byte order, as files and networks have them."""

from kernels_wasm.translate.language import In, Out, i32, kernel, u32


@kernel(family="integer", sizes=[64, 1024, 16384, 131072])
def byte_swap(words: In[u32], out: Out[u32], n: i32) -> None:
    """32-bit words with their bytes reversed."""
    for i in range(n):
        word = words[i]
        out[i] = (word >> 24) | ((word >> 8) & 65280) | ((word << 8) & 16711680) | (word << 24)
