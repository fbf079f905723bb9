"""A stream cipher's last step."""

from kernels_wasm.translate.language import In, Out, i32, kernel, u8


@kernel(family="integer", sizes=[64, 1024, 16384, 131072])
def xor_bytes(data: In[u8], key: In[u8], out: Out[u8], n: i32) -> None:
    """Bytes combined by exclusive or."""
    for i in range(n):
        out[i] = data[i] ^ key[i]
