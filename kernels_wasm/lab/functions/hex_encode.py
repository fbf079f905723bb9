"""Bytes as two digits each."""

from kernels_wasm.translate.language import In, Out, i32, kernel, u8


@kernel(family="text", sizes=[64, 1024, 16384, 131072], lengths={"out": "2 * n"})
def hex_encode(data: In[u8], out: Out[u8], n: i32) -> None:
    """Hexadecimal digits of bytes."""
    for i in range(n):
        high = data[i] >> 4
        low = data[i] & 15
        out[2 * i] = high + 48 if high < 10 else high + 87
        out[2 * i + 1] = low + 48 if low < 10 else low + 87
