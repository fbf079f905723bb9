"""The checksum of zlib."""

from kernels_wasm.translate.language import In, i32, kernel, u8, u32


@kernel(family="hash", sizes=[64, 1024, 16384, 131072])
def adler32(data: In[u8], n: i32) -> u32:
    """Adler-32 of bytes."""
    a = u32(1)
    b = u32(0)
    for i in range(n):
        a = (a + u32(data[i])) % 65521
        b = (b + a) % 65521
    return (b << 16) | a
