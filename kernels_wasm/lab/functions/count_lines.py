"""Lines of a text."""

from kernels_wasm.translate.language import In, i32, kernel, u8


@kernel(family="text", sizes=[64, 1024, 16384, 131072], patterns=["random", "constant"])
def count_lines(text: In[u8], n: i32) -> i32:
    """Number of line ends in bytes."""
    lines = 0
    for i in range(n):
        lines += i32(text[i] == 10)
    return lines
