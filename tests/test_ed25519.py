"""Ed25519 in plain Python, and in plain JavaScript, against `cryptography`, and against the vectors of RFC 8032."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests import node
from tests.test_embed import WEB

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


def test_ed25519_in_script_agrees_with_the_vectors_and_refuses_second_spellings() -> None:
    private = Ed25519PrivateKey.from_private_bytes(bytes([5]) * 32)
    public, signature = private.public_key().public_bytes_raw(), private.sign(b"message")
    order = 2**252 + 27742317777372353535851937790883648493
    scalar = (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    beyond = (2**255 - 18).to_bytes(32, "little")  # y = 1 once more
    cases = [(key, message, sign, True) for key, message, sign in VECTORS] + [
        (key.hex(), b"message".hex(), sign.hex(), right)
        for key, sign, right in (
            (public, signature, True),
            (public, signature[:32] + scalar, False),
            (public, bytes([signature[0] ^ 1]) + signature[1:], False),
            (beyond, signature, False),
            (public[:31], signature, False),
            (public, signature[:63], False),
        )
    ]
    script = """
    const { verify, sha512 } = await import(process.argv[1]);
    const { createHash } = await import("node:crypto");
    const bytes = (hex) => new Uint8Array(Buffer.from(hex, "hex"));
    const right = [];
    for (const [key, message, signature] of JSON.parse(process.argv[2])) {
      right.push(await verify(bytes(key), bytes(signature), bytes(message)));
    }
    const lengths = Array.from({ length: 300 }, (_, n) => new Uint8Array(n).fill(n));
    const known = (data) => createHash("sha512").update(data).digest();
    const digests = lengths.every((data) => known(data).equals(sha512(data)));
    console.log(JSON.stringify([right, digests]));
    """
    right, digests = node.evaluate(script, (WEB / "shared" / "ed25519.js").as_uri(), json.dumps(cases))
    assert right == [case[3] for case in cases]
    assert digests
