"""The activation of a neural network."""

from kernels_wasm.translate.language import In, Out, f32, i32, kernel


@kernel(family="linear algebra", sizes=[64, 1024, 16384, 131072])
def leaky_relu(values: In[f32], out: Out[f32], n: i32) -> None:
    """Values, those below 0 made a hundredth."""
    for i in range(n):
        out[i] = values[i] if values[i] > 0 else values[i] * 0.01
