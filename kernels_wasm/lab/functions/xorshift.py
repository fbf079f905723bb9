"""Random numbers, one after another."""

from kernels_wasm.translate.language import Out, i32, kernel, u32


@kernel(family="integer", sizes=[64, 1024, 16384, 131072], ranges={"seed": (1, 1000000)})
def xorshift(out: Out[u32], seed: u32, n: i32) -> None:
    """Marsaglia's generator of 32 bits."""
    state = seed
    for i in range(n):
        state = state ^ (state << 13)
        state = state ^ (state >> 17)
        state = state ^ (state << 5)
        out[i] = state
