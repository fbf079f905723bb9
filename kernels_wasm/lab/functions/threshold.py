"""Black and white of a grey image."""

from kernels_wasm.translate.language import In, Out, i32, kernel, u8


@kernel(family="image", sizes=[64, 1024, 16384, 131072], ranges={"level": (0, 255)})
def threshold(image: In[u8], out: Out[u8], level: i32, n: i32) -> None:
    """255 where a byte is above a level, else 0."""
    for i in range(n):
        out[i] = 255 if image[i] > level else 0
