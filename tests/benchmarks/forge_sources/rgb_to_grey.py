from kernels_wasm.translate.language import In, Out, i32, kernel, u8


@kernel(family="image", sizes=[16, 256, 4096, 16384, 65536, 262144], lengths={"pixels": "4 * n"})
def rgb_to_grey(pixels: In[u8], out: Out[u8], n: i32) -> None:
    """Luminance of RGBA pixels."""
    for i in range(n):
        red = pixels[4 * i]
        green = pixels[4 * i + 1]
        blue = pixels[4 * i + 2]
        out[i] = (38 * red + 75 * green + 15 * blue + 64) >> 7
