// @ts-check
/**
 * The decompressed body; an error if it is longer.
 * @param {Response} response @param {number} most bytes @param {(bytes: number) => void} [count]
 */
export async function readAtMost(response, most, count = () => {}) {
  const parts = [];
  let length = 0;
  for (const reader = response.body?.getReader(); reader; ) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > most) {
      await reader.cancel();
      throw new Error("the answer does not end");
    }
    count(value.length);
    parts.push(value);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
