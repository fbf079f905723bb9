// Runs generated JavaScript for tests: one JSON request a line, {code, arguments, order}; one JSON answer a line. Arrays come and
// go as base64 of their bytes, numbers as text, so that -0, NaN and infinities survive.
import { createInterface } from "node:readline";

for await (const line of createInterface({ input: process.stdin })) {
  const { code, arguments: given } = JSON.parse(line);
  let answer;
  try {
    const module = await import(`data:text/javascript;base64,${Buffer.from(code).toString("base64")}`);
    const args = given.map((one) => {
      if (typeof one === "string") return Number(one);
      const bytes = Buffer.from(one.data, "base64");
      const buffer = new ArrayBuffer(bytes.length);
      new Uint8Array(buffer).set(bytes);
      return new globalThis[one.type](buffer);
    });
    const result = module.js(...args);
    const arrays = args.filter((one) => ArrayBuffer.isView(one)).map((one) => Buffer.from(one.buffer).toString("base64"));
    answer = { result: result === undefined ? null : Object.is(result, -0) ? "-0" : String(result), arrays };
  } catch (error) {
    answer = { error: `${error.name}: ${error.message}` };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
