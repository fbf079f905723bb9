"""Bytes with their bits turned round, as fax and displays have them."""

from kernels_wasm.translate.language import In, Out, i32, kernel, u8


@kernel(family="integer", sizes=[64, 1024, 16384, 131072])
def reverse_bits(data: In[u8], out: Out[u8], n: i32) -> None:
    """The bits of each byte in reverse."""
    for i in range(n):
        b = data[i]
        b = ((b & 240) >> 4) | ((b & 15) << 4)
        b = ((b & 204) >> 2) | ((b & 51) << 2)
        out[i] = ((b & 170) >> 1) | ((b & 85) << 1)
