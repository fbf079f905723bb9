"""A curve of sixth degree at many places."""

from kernels_wasm.translate.language import In, Out, f32, i32, kernel


@kernel(family="numeric", sizes=[64, 1024, 16384, 131072])
def polynomial(x: In[f32], out: Out[f32], n: i32) -> None:
    """Horner's rule with seven coefficients."""
    for i in range(n):
        v = x[i]
        out[i] = (((((v * 0.1 + 0.2) * v + 0.3) * v + 0.4) * v + 0.5) * v + 0.6) * v + 0.7
