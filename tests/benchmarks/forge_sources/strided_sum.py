from kernels_wasm.translate.language import In, f32, i32, kernel


@kernel(
    family="reduction",
    sizes=[8, 64, 512, 4096, 16384, 65536],
    lengths={"values": "n * stride"},
    patterns={"stride3": {"stride": 3}, "stride16": {"stride": 16}},
)
def strided_sum(values: In[f32], n: i32, stride: i32) -> f32:
    """Sum of every stride-th f32."""
    total = f32(0)
    for i in range(n):
        total += values[i * stride]
    return total
