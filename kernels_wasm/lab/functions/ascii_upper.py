"""Letters made capital."""

from kernels_wasm.translate.language import In, Out, i32, kernel, u8


@kernel(family="text", sizes=[64, 1024, 16384, 131072])
def ascii_upper(text: In[u8], out: Out[u8], n: i32) -> None:
    """Bytes with a to z made A to Z."""
    for i in range(n):
        letter = text[i]
        out[i] = letter - 32 if letter >= 97 and letter <= 122 else letter
