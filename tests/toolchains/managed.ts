// out[i] = 2 * data[i], as AssemblyScript is usually written: arrays of its own runtime
export function run(data: Float32Array, out: Float32Array, n: i32): void {
  for (let i = 0; i < n; i++) out[i] = 2 * data[i];
}
