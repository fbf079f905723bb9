from kernels_wasm.translate.language import In, Out, i32, kernel, u8


@kernel(family="image", sizes=[16, 128, 1024, 16384, 131072, 524288])
def saturating_add(a: In[u8], b: In[u8], out: Out[u8], n: i32) -> None:
    """Sum of bytes, clamped to 255."""
    for i in range(n):
        out[i] = min(a[i] + b[i], 255)
