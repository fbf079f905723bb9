"""Weights of a network from bytes."""

from kernels_wasm.translate.language import In, Out, f32, i8, i32, kernel


@kernel(family="linear algebra", sizes=[64, 1024, 16384, 131072])
def dequantize(weights: In[i8], out: Out[f32], scale: f32, zero: f32, n: i32) -> None:
    """Bytes to single precision, by scale and zero point."""
    for i in range(n):
        out[i] = (f32(weights[i]) - zero) * scale
