"""Spectra multiplied, as fast convolution does."""

from kernels_wasm.translate.language import In, Out, f32, i32, kernel


@kernel(
    family="signal", sizes=[64, 1024, 16384, 131072], lengths={"a": "2 * n", "b": "2 * n", "out": "2 * n"}
)
def complex_multiply(a: In[f32], b: In[f32], out: Out[f32], n: i32) -> None:
    """Products of complex numbers."""
    for i in range(n):
        out[2 * i] = a[2 * i] * b[2 * i] - a[2 * i + 1] * b[2 * i + 1]
        out[2 * i + 1] = a[2 * i] * b[2 * i + 1] + a[2 * i + 1] * b[2 * i]
