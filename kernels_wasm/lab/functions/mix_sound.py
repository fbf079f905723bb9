"""Two tracks of 16 bits as one."""

from kernels_wasm.translate.language import In, Out, i16, i32, kernel


@kernel(family="signal", sizes=[64, 1024, 16384, 131072])
def mix_sound(a: In[i16], b: In[i16], out: Out[i16], n: i32) -> None:
    """Sums of samples, clamped."""
    for i in range(n):
        out[i] = min(max(a[i] + b[i], -32768), 32767)
