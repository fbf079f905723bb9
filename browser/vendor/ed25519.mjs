// `browser/web/shared/ed25519.js` is made of this (README.md says how): audited code in one file, loaded where Web Cryptography
// checks no Ed25519 signatures, or is missing and hashes nothing either (`shared/signature.js`).
/*!
noble-ed25519, Copyright (c) 2019 Paul Miller, and noble-hashes, Copyright (c) 2022 Paul Miller (https://paulmillr.com)

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the “Software”), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in
all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED “AS IS”, WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN
THE SOFTWARE.
*/
import { hashes, verify as verifySync } from "@noble/ed25519";
import { sha512 } from "@noble/hashes/sha2.js";

hashes.sha512 = sha512;

/**
 * Whether this signature on the message was made with the key, by RFC 8032; throws if one of them has another length.
 * @param {Uint8Array} publicKey @param {Uint8Array} signature @param {Uint8Array} message
 */
export const verify = (publicKey, signature, message) => verifySync(signature, message, publicKey, { zip215: false });
