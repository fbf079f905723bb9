"""A filter of sound with four weights."""

from kernels_wasm.translate.language import In, Out, f32, i32, kernel


@kernel(family="signal", sizes=[64, 1024, 16384, 131072], lengths={"samples": "n + 3"})
def fir_four(samples: In[f32], out: Out[f32], a: f32, b: f32, n: i32) -> None:
    """Weighted sums of four neighbours."""
    for i in range(n):
        out[i] = samples[i] * a + samples[i + 1] * b + samples[i + 2] * b + samples[i + 3] * a
