"""A grey image in another size, weights in 8 bits."""

from kernels_wasm.translate.language import In, Out, i32, kernel, u8


@kernel(
    family="image",
    size="width * height",
    sizes=[64, 256, 4096, 16384, 65536, 262144],
    lengths={"image": "(width + 1) * (height + 1)"},
    values={"step": 200},
)
def bilinear_resize(image: In[u8], out: Out[u8], width: i32, height: i32, step: i32) -> None:
    """An image magnified by 256 / step, each pixel mixed from four."""
    for y in range(height):
        top = ((y * step) >> 8) * (width + 1)
        down = (y * step) & 255
        for x in range(width):
            at = top + ((x * step) >> 8)
            right = (x * step) & 255
            above = image[at] * (256 - right) + image[at + 1] * right
            below = image[at + width + 1] * (256 - right) + image[at + width + 2] * right
            out[y * width + x] = (above * (256 - down) + below * down + 32768) >> 16
