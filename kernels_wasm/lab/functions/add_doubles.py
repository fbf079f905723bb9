"""Columns of a table added."""

from kernels_wasm.translate.language import In, Out, f64, i32, kernel


@kernel(family="numeric", sizes=[64, 1024, 16384, 131072])
def add_doubles(a: In[f64], b: In[f64], out: Out[f64], n: i32) -> None:
    """Sums of double-precision values."""
    for i in range(n):
        out[i] = a[i] + b[i]
