"""A 3 × 3 box over a grey image whose border stays as it is outside `out`."""

from kernels_wasm.translate.language import In, Out, i32, kernel, u8


@kernel(
    family="image",
    size="width * height",
    sizes=[64, 256, 4096, 16384, 65536, 262144],
    lengths={"image": "(width + 2) * (height + 2)"},
)
def box_blur(image: In[u8], out: Out[u8], width: i32, height: i32) -> None:
    """Mean of each pixel's 3 × 3 neighbours."""
    for y in range(height):
        for x in range(width):
            total = 4
            for dy in range(3):
                for dx in range(3):
                    total += image[(y + dy) * (width + 2) + x + dx]
            out[y * width + x] = total // 9
