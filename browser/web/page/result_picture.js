// @ts-check
/** A result as a picture to send around: an SVG of 1200 × 630, made of words and bars alone. */
/** @import { Shared } from "./result_link" */
import { language, say, times } from "../shared/i18n.js";
import { browserName, outcome, outcomeWords } from "./outcome.js";

const WIDTH = 1200;
const HEIGHT = 630;
const LEFT = 700; // where the bars begin
const RIGHT = 1080;
const TOP = 40;
const MOST_BARS = 28;
const COLUMN = 36; // characters a line of the words at the left

/** @param {string | number} text */
const escaped = (text) => String(text).replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** @param {string} words @returns {string[]} lines */
function wrapped(words) {
  /** @type {string[]} */
  const lines = [];
  for (const word of words.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < COLUMN) lines.splice(-1, 1, `${last} ${word}`);
    else lines.push(word);
  }
  return lines;
}

/** @param {Shared} result with at least one function @returns {string} SVG */
export function picture({ figures, contexts, browser, version }) {
  const found = outcome(figures, contexts);
  if (!found) throw new Error("a picture needs a result");
  const words = outcomeWords(found);
  const parts = [`<rect width="${WIDTH}" height="${HEIGHT}" fill="#f6f7f5"/>`];
  /** @type {(x: number, y: number, size: number, text: string, rest?: string) => void} */
  const write = (x, y, size, text, rest = "") => {
    parts.push(`<text x="${x}" y="${y.toFixed(1)}" font-size="${size}" ${rest}>${escaped(text)}</text>`);
  };
  write(60, 90, 30, "Fleetune", 'fill="#1a5c69" font-weight="700"');
  write(60, 140, 26, browserName(browser, version), 'fill="#4d5c60"');
  write(60, 255, 96, words.speedup, 'font-weight="700"');
  let y = 300;
  for (const [text, size, fill] of [[say("outcome.over"), 26, "#182326"], [words.interval, 20, "#4d5c60"], [words.sentence, 24, "#182326"]]) {
    for (const line of wrapped(String(text))) {
      write(60, y, Number(size), line, `fill="${fill}"`);
      y += 1.3 * Number(size);
    }
    y += 14;
  }
  bars(figures, write, parts);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" lang="${language}" font-family="system-ui, 'DejaVu Sans', sans-serif" fill="#182326">
<title>${escaped(say("outcome.said", words))}</title>
${parts.join("\n")}
</svg>
`;
}

/** A bar a function, the fastest first, on a logarithmic scale from the slowest. @param {Shared["figures"]} figures @param {(x: number, y: number, size: number, text: string, rest?: string) => void} write @param {string[]} parts */
function bars(figures, write, parts) {
  const shown = [...figures].sort((a, b) => b.speedup - a.speedup).slice(0, MOST_BARS);
  const low = Math.min(0.8, ...shown.map(({ speedup }) => speedup));
  const high = Math.max(2, ...shown.map(({ speedup }) => speedup));
  const x = (/** @type {number} */ speedup) => LEFT + ((RIGHT - LEFT) * Math.log(speedup / low)) / Math.log(high / low);
  const step = Math.min(36, (HEIGHT - 2 * TOP) / shown.length);
  shown.forEach(({ name, speedup }, i) => {
    const top = TOP + i * step;
    const size = Math.min(16, 0.8 * step);
    const [from, to] = [x(1), x(speedup)].sort((a, b) => a - b);
    parts.push(`<rect x="${from.toFixed(1)}" y="${(top + 0.15 * step).toFixed(1)}" width="${Math.max(to - from, 2).toFixed(1)}" height="${(0.7 * step).toFixed(1)}" rx="3" fill="${speedup < 1 ? "#a32a1c" : "#1a5c69"}"/>`);
    write(LEFT - 12, top + 0.68 * step, size, name, 'text-anchor="end"');
    write(RIGHT + 12, top + 0.68 * step, size, times(speedup));
  });
  parts.push(`<path d="M${x(1).toFixed(1)} ${TOP}V${(TOP + shown.length * step).toFixed(1)}" stroke="#4d5c60" stroke-dasharray="5 4"/>`);
}
