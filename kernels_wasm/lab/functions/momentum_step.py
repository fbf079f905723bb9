"""One step of training a network."""

from kernels_wasm.translate.language import In, InOut, f32, i32, kernel


@kernel(
    family="linear algebra", sizes=[64, 1024, 16384, 131072], ranges={"keep": (0.5, 0.9), "rate": (0, 0.1)}
)
def momentum_step(
    weights: InOut[f32], speed: InOut[f32], gradient: In[f32], keep: f32, rate: f32, n: i32
) -> None:
    """Weights moved along their gradient, with momentum."""
    for i in range(n):
        step = keep * speed[i] + gradient[i]
        speed[i] = step
        weights[i] = weights[i] - rate * step
