"""Edges of a grey image."""

from kernels_wasm.translate.language import In, Out, i32, kernel, u8


@kernel(
    family="image",
    size="width * height",
    sizes=[64, 1024, 16384, 65536],
    lengths={"image": "(width + 2) * (height + 2)"},
)
def sobel(image: In[u8], out: Out[u8], width: i32, height: i32) -> None:
    """Sum of both gradients, at most 255."""
    row = width + 2
    for y in range(height):
        for x in range(width):
            at = y * row + x
            top = image[at] + 2 * image[at + 1] + image[at + 2]
            low = image[at + 2 * row] + 2 * image[at + 2 * row + 1] + image[at + 2 * row + 2]
            left = image[at] + 2 * image[at + row] + image[at + 2 * row]
            right = image[at + 2] + 2 * image[at + row + 2] + image[at + 2 * row + 2]
            out[y * width + x] = min(abs(top - low) + abs(left - right), 255)
