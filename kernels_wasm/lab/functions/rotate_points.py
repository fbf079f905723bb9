"""Points of a mesh turned and moved."""

from kernels_wasm.translate.language import In, Out, f32, i32, kernel


@kernel(family="numeric", sizes=[64, 1024, 16384, 131072])
def rotate_points(
    x: In[f32], y: In[f32], outx: Out[f32], outy: Out[f32], cosine: f32, sine: f32, n: i32
) -> None:
    """Points turned about the origin."""
    for i in range(n):
        outx[i] = x[i] * cosine - y[i] * sine
        outy[i] = x[i] * sine + y[i] * cosine
