"""How often a value changes, as run-length coders ask."""

from kernels_wasm.translate.language import In, i32, kernel, u8


@kernel(
    family="integer",
    sizes=[64, 1024, 16384, 131072],
    lengths={"data": "n + 1"},
    patterns=["random", "constant"],
)
def count_runs(data: In[u8], n: i32) -> i32:
    """Number of neighbours that differ."""
    runs = 0
    for i in range(n):
        runs += i32(data[i] != data[i + 1])
    return runs
