from kernels_wasm.translate.language import In, f32, i32, kernel


@kernel(family="linear algebra", sizes=[8, 64, 512, 4096, 32768, 262144])
def dot(a: In[f32], b: In[f32], n: i32) -> f32:
    """Sum of products of two f32 vectors."""
    total = f32(0)
    for i in range(n):
        total += a[i] * b[i]
    return total
