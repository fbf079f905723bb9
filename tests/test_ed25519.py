"""Ed25519 in plain Python against `cryptography`, and against the vectors of RFC 8032."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleetune import ed25519

# RFC 8032, 7.1: public key, message, signature.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
]


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_the_vectors_of_the_rfc_verify(key: str, message: str, signature: str) -> None:
    assert ed25519.verify(bytes.fromhex(key), bytes.fromhex(signature), bytes.fromhex(message))


def test_what_cryptography_signs_verifies_and_nothing_else() -> None:
    for number in range(8):
        private = Ed25519PrivateKey.generate()
        public = private.public_key().public_bytes_raw()
        message = bytes(range(number * 7))
        signature = private.sign(message)
        assert ed25519.verify(public, signature, message)
        assert not ed25519.verify(public, signature, message + b"x")
        for at in (0, 31, 32, 63):
            changed = bytearray(signature)
            changed[at] ^= 1 << number
            assert not ed25519.verify(public, bytes(changed), message)
        assert not ed25519.verify(
            Ed25519PrivateKey.generate().public_key().public_bytes_raw(), signature, message
        )


def test_second_spellings_are_refused() -> None:
    private = Ed25519PrivateKey.generate()
    public, signature = private.public_key().public_bytes_raw(), private.sign(b"message")
    scalar = int.from_bytes(signature[32:], "little") + ed25519.ORDER
    assert not ed25519.verify(public, signature[:32] + scalar.to_bytes(32, "little"), b"message")
    beyond = (ed25519.P + 1).to_bytes(32, "little")  # y = 1 once more
    assert not ed25519.verify(beyond, signature, b"message")
    assert not ed25519.verify(public[:31], signature, b"message")
    assert not ed25519.verify(public, signature[:63], b"message")
