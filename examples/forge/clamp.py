"""Audio samples kept within bounds."""

from kernels_wasm.translate.language import In, Out, f32, i32, kernel


@kernel(
    family="signal",
    sizes=[16, 128, 1024, 8192, 65536, 262144],
    ranges={"low": (-0.6, -0.5), "high": (0.5, 0.6)},
)
def clamp(values: In[f32], out: Out[f32], low: f32, high: f32, n: i32) -> None:
    """Values kept between two bounds."""
    for i in range(n):
        out[i] = min(max(values[i], low), high)
