"""Similarity of two quantised vectors."""

from kernels_wasm.translate.language import In, i8, i32, kernel


@kernel(family="linear algebra", sizes=[64, 1024, 16384, 131072])
def dot_bytes(a: In[i8], b: In[i8], n: i32) -> i32:
    """Sum of products of signed bytes."""
    total = 0
    for i in range(n):
        total += a[i] * b[i]
    return total
