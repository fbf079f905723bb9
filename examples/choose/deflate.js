/** Compress bytes so that zlib can read them; which bytes come out is each library's own affair. */
import { zlibSync } from "fflate";
import { deflate, inflate } from "pako";

const WORDS = "the fox and a dog met on their way to nowhere in particular while it rained ".split(" ");

export const job = [
  "deflate",
  {
    pako: (data) => deflate(data, { level: 6 }),
    fflate: (data) => zlibSync(data, { level: 6 }),
    stream: {
      bytes: 0,
      supported: () => "CompressionStream" in globalThis,
      load: () => async (data) => {
        const zipped = new Blob([data]).stream().pipeThrough(new CompressionStream("deflate"));
        return new Uint8Array(await new Response(zipped).arrayBuffer());
      },
    },
  },
  {
    size: (data) => data.length,
    sizes: [256, 4096, 65536, 524288],
    input: (n, random) => {
      let text = "";
      while (text.length < n) text += `${WORDS[Math.floor(random() * WORDS.length)]} `;
      return new TextEncoder().encode(text.slice(0, n));
    },
    same: (a, b) => {
      const [one, other] = [inflate(a), inflate(b)];
      return b.length < 1.1 * a.length + 32 && one.length === other.length && one.every((value, i) => value === other[i]);
    },
    expect: { calls: 200 },
  },
];
