// Takes the modules out of the packages, and puts each kernel's JavaScript into one file: build/*.
import { mkdirSync, readFileSync, writeFileSync, copyFileSync } from "node:fs";
import { build } from "esbuild";

const out = new URL("build/", import.meta.url);
mkdirSync(out, { recursive: true });

/** The modules that `load` compiles or instantiates, in order. @param {() => Promise<unknown>} load */
async function modulesOf(load) {
  const found = [];
  const kept = { instantiate: WebAssembly.instantiate, compile: WebAssembly.compile };
  for (const name of Object.keys(kept)) {
    WebAssembly[name] = (module, ...rest) => {
      if (!(module instanceof WebAssembly.Module)) found.push(new Uint8Array(module.buffer ?? module).slice());
      return kept[name](module, ...rest);
    };
  }
  try {
    await load();
  } finally {
    Object.assign(WebAssembly, kept);
  }
  return found;
}

/** @param {string} name @param {Uint8Array[]} modules the last one is the package's */
function keep(name, modules) {
  const bytes = modules.at(-1);
  if (!bytes || !WebAssembly.validate(bytes)) throw new Error(`${name}: the package compiled no module`);
  writeFileSync(new URL(name, out), bytes);
  console.log(`${name}  ${bytes.length} bytes`);
}

keep("xxhash.wasm", await modulesOf(async () => (await import("xxhash-wasm")).default()));
keep("sha256.wasm", await modulesOf(async () => (await import("hash-wasm")).default.createSHA256()));
// meshoptimizer looks whether SIMD is there and takes one of its two builds.
const { validate } = WebAssembly;
keep("meshopt.simd.wasm", await modulesOf(async () => (await import("meshoptimizer/decoder")).MeshoptDecoder.ready));
WebAssembly.validate = () => false;
const base = await modulesOf(async () => {
  const path = new URL("node_modules/meshoptimizer/meshopt_decoder.mjs?base", import.meta.url);
  return (await import(path.href)).MeshoptDecoder.ready;
});
WebAssembly.validate = validate;
keep("meshopt.wasm", base);

for (const kernel of ["xxh32", "sha256", "mesh_decode"]) {
  await build({
    entryPoints: [new URL(`${kernel}.js`, import.meta.url).pathname],
    outfile: new URL(`${kernel}.js`, out).pathname,
    bundle: true, format: "esm", legalComments: "inline", logLevel: "error",
  });
  copyFileSync(new URL(`${kernel}.toml`, import.meta.url), new URL(`${kernel}.toml`, out));
  console.log(`${kernel}.js  ${readFileSync(new URL(`${kernel}.js`, out)).length} bytes`);
}
