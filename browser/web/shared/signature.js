// @ts-check
/**
 * Checks Ed25519 signatures: by Web Cryptography, or in script where it has none (Chromium before 137) or is missing
 * (outside secure contexts: a sandboxed frame's worker is none).
 * @param {Uint8Array<ArrayBuffer>} key 32 bytes @param {Uint8Array<ArrayBuffer>} signature 64 bytes @param {Uint8Array<ArrayBuffer>} message
 * @returns {Promise<boolean>} false too if key or signature are none
 */
export async function isSigned(key, signature, message) {
  if (key.length !== 32 || signature.length !== 64) return false;
  const imported = await crypto.subtle?.importKey("raw", key, "Ed25519", false, ["verify"]).catch(() => undefined);
  if (imported) return crypto.subtle.verify("Ed25519", imported, signature, message);
  return (await import("./ed25519.js")).verify(key, signature, message);
}
