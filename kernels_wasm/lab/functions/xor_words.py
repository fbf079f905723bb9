"""Parity of a disk array."""

from kernels_wasm.translate.language import In, i32, kernel, u32


@kernel(family="reduction", sizes=[64, 1024, 16384, 131072])
def xor_words(words: In[u32], n: i32) -> u32:
    """Exclusive or of all words."""
    parity = u32(0)
    for i in range(n):
        parity = parity ^ words[i]
    return parity
