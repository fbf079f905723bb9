/** Halve a picture: canvas, pica, Rust compiled to WebAssembly. Pictures may differ as eyes do not see. */
import resize, { initResize } from "@jsquash/resize";
import Pica from "pica";

const canvas = (width, height) => new OffscreenCanvas(width, height);

export const job = [
  "resize",
  {
    canvas: async (picture) => {
      const from = canvas(picture.width, picture.height);
      from.getContext("2d").putImageData(picture, 0, 0);
      const [width, height] = [picture.width >> 1, picture.height >> 1];
      const context = canvas(width, height).getContext("2d");
      context.imageSmoothingQuality = "high";
      context.drawImage(from, 0, 0, width, height);
      return context.getImageData(0, 0, width, height);
    },
    pica: {
      load: () => {
        const pica = new Pica({ features: ["js", "wasm"] });
        return async ({ data, width, height }) => {
          const [toWidth, toHeight] = [width >> 1, height >> 1];
          const bytes = await pica.resizeBuffer({ src: data, width, height, toWidth, toHeight });
          return new ImageData(new Uint8ClampedArray(bytes.buffer, bytes.byteOffset, bytes.length), toWidth, toHeight);
        };
      },
    },
    squoosh: {
      load: async () => {
        await initResize(new URL("./squoosh_resize_bg.wasm", import.meta.url));
        return (picture) => resize(picture, { width: picture.width >> 1, height: picture.height >> 1 });
      },
    },
  },
  {
    size: ({ width, height }) => width * height,
    sizes: [64 * 64, 256 * 256, 1024 * 1024],
    input: (n) => {
      const side = Math.round(Math.sqrt(n));
      const wave = Array.from({ length: side + 4 }, (_, i) => 127 + 120 * Math.sin(i / 9));
      const data = new Uint8ClampedArray(4 * side * side).fill(255);
      for (let i = 0; i < side * side; i++) {
        for (let c = 0; c < 3; c++) data[4 * i + c] = (wave[(i % side) + c] + wave[Math.floor(i / side)]) / 2;
      }
      return new ImageData(data, side, side);
    },
    same: (a, b) => {
      let apart = 0;
      for (let i = 0; i < a.data.length; i++) apart += Math.abs(a.data[i] - b.data[i]);
      return a.width === b.width && a.height === b.height && apart < 6 * a.data.length;
    },
    expect: { calls: 50 },
  },
];
