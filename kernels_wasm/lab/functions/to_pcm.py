"""Samples of sound in 16 bits."""

from kernels_wasm.translate.language import In, Out, f32, i16, i32, kernel


@kernel(family="signal", sizes=[64, 1024, 16384, 131072])
def to_pcm(samples: In[f32], out: Out[i16], n: i32) -> None:
    """Samples from -1 to 1 as 16-bit integers."""
    for i in range(n):
        out[i] = i32(min(max(samples[i] * 32768, -32768), 32767))
