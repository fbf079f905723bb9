// node build.mjs BUNDLER APP: bundles APP/index.js into APP/BUNDLER/index.js, with the bundler's ordinary options. Warnings are errors.
const [bundler, app] = process.argv.slice(2);
const [input, folder] = [`${app}/index.js`, `${app}/${bundler}`];

const builds = {
  async esbuild() {
    const { build } = await import("esbuild");
    const { warnings } = await build({ entryPoints: [input], outdir: folder, bundle: true, splitting: true, format: "esm", logLevel: "silent" });
    if (warnings.length) throw new Error(JSON.stringify(warnings));
  },
  async rollup() {
    const [{ rollup }, { nodeResolve }] = await Promise.all([import("rollup"), import("@rollup/plugin-node-resolve")]);
    const warned = [];
    const bundle = await rollup({ input, plugins: [nodeResolve({ browser: true })], onwarn: ({ message }) => warned.push(message) });
    await bundle.write({ dir: folder });
    if (warned.length) throw new Error(warned.join("\n"));
  },
  async vite() {
    const { build, createLogger } = await import("vite");
    const output = { entryFileNames: "index.js" };
    const customLogger = createLogger("silent");
    customLogger.warn = (message) => {
      throw new Error(message);
    };
    await build({ root: app, base: "./", configFile: false, customLogger, build: { outDir: folder, rolldownOptions: { input, output } } });
  },
  async webpack() {
    const { default: webpack } = await import("webpack");
    const configuration = { mode: "production", context: app, entry: input, output: { path: folder, filename: "index.js" } };
    const stats = await new Promise((resolve, reject) => webpack(configuration, (error, made) => (error ? reject(error) : resolve(made))));
    const { errors, warnings } = stats.toJson({ all: false, errors: true, warnings: true });
    const told = [...errors, ...warnings].map(({ message, moduleName }) => `${moduleName ?? ""}: ${message}`);
    if (told.length) throw new Error(told.join("\n"));
  },
};
await builds[bundler]();
