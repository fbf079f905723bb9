from kernels_wasm.translate.language import In, Out, i32, kernel, u8, u32


@kernel(
    family="bytes",
    sizes=[16, 256, 2048, 16384, 131072, 524288],
    lengths={"counts": "256"},
    patterns=["random", "constant"],
)
def histogram(data: In[u8], counts: Out[u32], n: i32) -> None:
    """Counts of each byte value."""
    for k in range(256):
        counts[k] = 0
    for i in range(n):
        counts[data[i]] += 1
