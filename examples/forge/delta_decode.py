"""Values from their differences, as columns of databases and meshes are stored."""

from kernels_wasm.translate.language import In, Out, i16, i32, kernel


@kernel(family="scan", sizes=[16, 128, 1024, 8192, 65536, 262144], ranges={"first": (-1000, 1000)})
def delta_decode(deltas: In[i16], out: Out[i32], first: i32, n: i32) -> None:
    """Running sum of 16-bit differences."""
    value = first
    for i in range(n):
        value += deltas[i]
        out[i] = value
