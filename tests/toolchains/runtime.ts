// 2 * data, as a new array: for the loader, with its runtime exported
export function run(data: Float32Array): Float32Array {
  const out = new Float32Array(data.length);
  for (let i = 0; i < data.length; i++) out[i] = 2 * data[i];
  return out;
}
export const Float32Array_ID = idof<Float32Array>();
