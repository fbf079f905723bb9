from kernels_wasm.translate.language import In, Out, i32, kernel, u8


@kernel(family="bytes", sizes=[16, 128, 1024, 8192, 65536, 1048576])
def copy(source: In[u8], to: Out[u8], n: i32) -> None:
    """Copy of bytes between buffers that do not overlap."""
    for i in range(n):
        to[i] = source[i]
