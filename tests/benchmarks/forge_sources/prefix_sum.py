from kernels_wasm.translate.language import In, Out, i32, kernel


@kernel(family="scan", sizes=[8, 64, 512, 4096, 32768, 262144])
def prefix_sum(values: In[i32], out: Out[i32], n: i32) -> None:
    """Inclusive prefix sum of i32, wrapping."""
    total = 0
    for i in range(n):
        total += values[i]
        out[i] = total
