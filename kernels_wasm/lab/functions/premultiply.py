"""Colours times their opacity, as drawing wants them."""

from kernels_wasm.translate.language import In, Out, i32, kernel, u8


@kernel(family="image", sizes=[64, 1024, 16384, 131072], lengths={"rgba": "4 * n", "out": "4 * n"})
def premultiply(rgba: In[u8], out: Out[u8], n: i32) -> None:
    """RGBA pixels with colours multiplied by alpha."""
    for i in range(n):
        alpha = rgba[4 * i + 3]
        out[4 * i] = (rgba[4 * i] * alpha + 127) // 255
        out[4 * i + 1] = (rgba[4 * i + 1] * alpha + 127) // 255
        out[4 * i + 2] = (rgba[4 * i + 2] * alpha + 127) // 255
        out[4 * i + 3] = alpha
