from kernels_wasm.translate.language import In, Out, f32, i32, kernel


@kernel(family="linear algebra", sizes=[8, 64, 512, 4096, 32768, 262144], ranges={"a": (0.5, 1.5)})
def saxpy(a: f32, x: In[f32], y: In[f32], out: Out[f32], n: i32) -> None:
    """out = a·x + y over f32 vectors."""
    for i in range(n):
        out[i] = a * x[i] + y[i]
