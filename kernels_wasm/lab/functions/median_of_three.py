"""Single wrong samples taken out."""

from kernels_wasm.translate.language import In, Out, f32, i32, kernel


@kernel(family="signal", sizes=[64, 1024, 16384, 131072], lengths={"samples": "n + 2"})
def median_of_three(samples: In[f32], out: Out[f32], n: i32) -> None:
    """The middle one of each value and the two that follow."""
    for i in range(n):
        low = min(samples[i], samples[i + 1])
        high = max(samples[i], samples[i + 1])
        out[i] = max(low, min(high, samples[i + 2]))
