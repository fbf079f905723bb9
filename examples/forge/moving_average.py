"""The mean of eight neighbours."""

from kernels_wasm.translate.language import In, Out, f32, i32, kernel


@kernel(family="signal", sizes=[16, 128, 1024, 8192, 65536, 262144], lengths={"values": "n + 7"})
def moving_average(values: In[f32], out: Out[f32], n: i32) -> None:
    """Mean of each value and the seven that follow."""
    for i in range(n):
        total = f32(0)
        for k in range(8):
            total += values[i + k]
        out[i] = total * 0.125
