"""Greatest common divisors."""

from kernels_wasm.translate.language import In, Out, i32, kernel, u8


@kernel(family="integer", sizes=[64, 1024, 16384])
def gcd_pairs(a: In[u8], b: In[u8], out: Out[i32], n: i32) -> None:
    """Euclid's algorithm for pairs of bytes."""
    for i in range(n):
        x = a[i] + 1
        y = b[i]
        while y > 0:
            rest = x % y
            x = y
            y = rest
        out[i] = x
