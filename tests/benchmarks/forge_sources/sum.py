from kernels_wasm.translate.language import In, f32, i32, kernel


@kernel(family="reduction", sizes=[8, 64, 512, 4096, 32768, 262144])
def sum(values: In[f32], n: i32) -> f32:
    """Sum of a vector of f32."""
    total = f32(0)
    for i in range(n):
        total += values[i]
    return total
