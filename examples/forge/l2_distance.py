"""How far two points are apart, as searches in embeddings ask."""

from kernels_wasm.translate.language import In, f32, i32, kernel, sqrt


@kernel(family="linear algebra", sizes=[16, 128, 768, 4096, 32768, 262144])
def l2_distance(a: In[f32], b: In[f32], n: i32) -> f32:
    """Euclidean distance of two vectors."""
    total = f32(0)
    for i in range(n):
        gap = a[i] - b[i]
        total += gap * gap
    return sqrt(total)
