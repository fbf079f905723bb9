"""Two channels of sound as one."""

from kernels_wasm.translate.language import In, Out, f32, i32, kernel


@kernel(family="signal", sizes=[64, 1024, 16384, 131072], lengths={"out": "2 * n"})
def interleave(left: In[f32], right: In[f32], out: Out[f32], n: i32) -> None:
    """Left and right samples in turn."""
    for i in range(n):
        out[2 * i] = left[i]
        out[2 * i + 1] = right[i]
