"""Signatures, checked by Web Cryptography and by the script in its place, against `cryptography` and RFC 8032."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests import node
from tests.test_embed import WEB

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


ORDER = 2**252 + 27742317777372353535851937790883648493  # of the base point
CHECK = """
const [file, without, cases] = process.argv.slice(1);
if (without === "ed25519") {
  const importKey = crypto.subtle.importKey.bind(crypto.subtle);
  crypto.subtle.importKey = async (format, key, algorithm, ...rest) => {
    if (algorithm === "Ed25519") throw new DOMException("Unrecognized name.", "NotSupportedError");
    return importKey(format, key, algorithm, ...rest);
  };
} else if (without) Object.defineProperty(crypto, "subtle", { value: undefined });
const { isSigned } = await import(file);
const bytes = (hex) => new Uint8Array(Buffer.from(hex, "hex"));
const right = [];
for (const [key, message, signature] of JSON.parse(cases)) {
  right.push(await isSigned(bytes(key), bytes(signature), bytes(message)));
}
console.log(JSON.stringify(right));
"""


def cases() -> list[tuple[str, str, str, bool]]:
    """Key, message and signature in hex, and whether it is right."""
    found = [(*vector, True) for vector in VECTORS]
    for number in range(8):
        private = Ed25519PrivateKey.from_private_bytes(bytes([number + 1]) * 32)
        public, message = private.public_key().public_bytes_raw(), bytes(range(number * 17))
        signature = private.sign(message)
        scalar = (int.from_bytes(signature[32:], "little") + ORDER).to_bytes(32, "little")
        others = [
            (Ed25519PrivateKey.generate().public_key().public_bytes_raw(), message, signature),
            ((2**255 - 18).to_bytes(32, "little"), message, signature),  # y = 1 in a second spelling
            (bytes(32), message, signature),
            (b"\xff" * 32, message, signature),
            (public[:31], message, signature),
            (public + b"\0", message, signature),
            (b"", message, b""),
            (public, message + b"x", signature),
            (public, message, signature[:63]),
            (public, message, signature + b"\0"),
            (public, message, signature[:32] + scalar),  # the same point, in a second spelling
            *(
                (public, message, signature[:at] + bytes([signature[at] ^ 1 << number]) + signature[at + 1 :])
                for at in (0, 31, 32, 63)
            ),
        ]
        found.append((public.hex(), message.hex(), signature.hex(), True))
        found += [(key.hex(), text.hex(), signed.hex(), False) for key, text, signed in others]
    return found


@pytest.mark.parametrize("without", ["", "ed25519", "subtle"])
def test_what_cryptography_signs_is_right_and_nothing_else(without: str) -> None:
    tried = cases()
    right = node.evaluate(CHECK, (WEB / "shared" / "signature.js").as_uri(), without, json.dumps(tried))
    assert right == [case[3] for case in tried]
