"""Pixels in 16 bits, as small displays want them."""

from kernels_wasm.translate.language import In, Out, i32, kernel, u8, u16


@kernel(family="image", sizes=[64, 1024, 16384, 131072], lengths={"rgba": "4 * n"})
def pack_rgb565(rgba: In[u8], out: Out[u16], n: i32) -> None:
    """RGBA pixels with five, six and five bits."""
    for i in range(n):
        out[i] = ((rgba[4 * i] >> 3) << 11) | ((rgba[4 * i + 1] >> 2) << 5) | (rgba[4 * i + 2] >> 3)
