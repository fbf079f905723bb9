// out[i] = 2 * data[i]
export function run(data: usize, out: usize, n: i32): void {
  for (let i = 0; i < n; i++) store<f32>(out + (<usize>i << 2), 2 * load<f32>(data + (<usize>i << 2)));
}
