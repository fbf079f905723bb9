"""Conway's game, one generation."""

from kernels_wasm.translate.language import In, Out, i32, kernel, u8


@kernel(
    family="image",
    size="width * height",
    sizes=[64, 1024, 16384, 65536],
    lengths={"cells": "(width + 2) * (height + 2)"},
)
def life(cells: In[u8], out: Out[u8], width: i32, height: i32) -> None:
    """The next generation of a board with a border."""
    for y in range(height):
        for x in range(width):
            count = 0
            for dy in range(3):
                for dx in range(3):
                    count += cells[(y + dy) * (width + 2) + x + dx] & 1
            alive = cells[(y + 1) * (width + 2) + x + 1] & 1
            out[y * width + x] = i32(count == 3) | (alive & i32(count == 4))
