//! out[i] = 2 * data[i]
export fn run(data: [*]const f32, out: [*]f32, n: i32) void {
    for (0..@intCast(n)) |i| out[i] = 2 * data[i];
}
