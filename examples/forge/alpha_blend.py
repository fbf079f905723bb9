"""Two grey images through a mask: (front · alpha + back · (255 - alpha)) / 255, rounded."""

from kernels_wasm.translate.language import In, Out, i32, kernel, u8


@kernel(family="image", sizes=[16, 256, 4096, 16384, 65536, 262144])
def alpha_blend(front: In[u8], back: In[u8], alpha: In[u8], out: Out[u8], n: i32) -> None:
    """One image over another through a mask of bytes."""
    for i in range(n):
        mixed = front[i] * alpha[i] + back[i] * (255 - alpha[i])
        out[i] = (mixed + 127) // 255
