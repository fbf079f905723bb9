"""RGBA pixels to three planes, BT.601 in 7 bits."""

from kernels_wasm.translate.language import In, Out, i32, kernel, u8


@kernel(family="image", sizes=[16, 256, 4096, 16384, 65536, 262144], lengths={"rgba": "4 * n"})
def rgb_to_yuv(rgba: In[u8], y: Out[u8], u: Out[u8], v: Out[u8], n: i32) -> None:
    """Brightness and two colour differences of RGBA pixels."""
    for i in range(n):
        red = rgba[4 * i]
        green = rgba[4 * i + 1]
        blue = rgba[4 * i + 2]
        y[i] = (38 * red + 75 * green + 15 * blue + 64) >> 7
        u[i] = ((64 * blue - 22 * red - 42 * green + 64) >> 7) + 128
        v[i] = ((64 * red - 54 * green - 10 * blue + 64) >> 7) + 128
