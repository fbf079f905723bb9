"""A grey image of half the width and height."""

from kernels_wasm.translate.language import In, Out, i32, kernel, u8


@kernel(
    family="image",
    size="width * height",
    sizes=[64, 1024, 16384, 65536],
    lengths={"image": "4 * width * height"},
)
def halve_image(image: In[u8], out: Out[u8], width: i32, height: i32) -> None:
    """Mean of each 2 × 2 block."""
    for y in range(height):
        for x in range(width):
            at = 4 * y * width + 2 * x
            total = image[at] + image[at + 1] + image[at + 2 * width] + image[at + 2 * width + 1]
            out[y * width + x] = (total + 2) >> 2
