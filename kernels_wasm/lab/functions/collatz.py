"""How long the 3n + 1 walk of each number is."""

from kernels_wasm.translate.language import In, Out, i32, kernel, u8, u32


@kernel(family="integer", sizes=[64, 1024, 16384])
def collatz(start: In[u8], out: Out[i32], n: i32) -> None:
    """Steps until the walk from each byte reaches 1."""
    for i in range(n):
        value = u32(start[i]) + 1
        steps = 0
        while value > 1:
            value = 3 * value + 1 if (value & 1) == 1 else value >> 1
            steps += 1
        out[i] = steps
