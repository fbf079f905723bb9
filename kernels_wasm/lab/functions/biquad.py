"""A filter of sound whose output depends on its last."""

from kernels_wasm.translate.language import In, Out, f32, i32, kernel


@kernel(family="signal", sizes=[64, 1024, 16384, 131072], ranges={"a": (0, 0.5), "b": (0, 0.4)})
def biquad(samples: In[f32], out: Out[f32], a: f32, b: f32, n: i32) -> None:
    """A recursive filter of second order."""
    last = f32(0)
    before = f32(0)
    for i in range(n):
        value = samples[i] + a * last - b * before
        before = last
        last = value
        out[i] = value
