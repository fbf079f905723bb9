"""The checksum of small devices."""

from kernels_wasm.translate.language import In, i32, kernel, u8


@kernel(family="hash", sizes=[64, 1024, 16384])
def crc8(data: In[u8], n: i32) -> i32:
    """CRC-8 of bytes, bit by bit."""
    check = 0
    for i in range(n):
        check = check ^ data[i]
        for _bit in range(8):
            check = ((check << 1) ^ 7) & 255 if check >= 128 else check << 1
    return check
