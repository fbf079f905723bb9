from kernels_wasm.translate.language import In, i32, kernel, u32


@kernel(family="integer", sizes=[4, 32, 256, 2048, 16384, 131072])
def hamming(a: In[u32], b: In[u32], n: i32) -> i32:
    """Bits in which two arrays of words differ."""
    count = 0
    for i in range(n):
        count += (a[i] ^ b[i]).bit_count()
    return count
