"""How loud sound is."""

from kernels_wasm.translate.language import In, f32, i32, kernel, sqrt


@kernel(family="reduction", sizes=[64, 1024, 16384, 131072])
def rms(samples: In[f32], n: i32) -> f32:
    """Root of the mean square."""
    total = f32(0)
    for i in range(n):
        total += samples[i] * samples[i]
    return sqrt(total / f32(n))
