//! out[i] = 2 * data[i]
#[no_mangle]
pub unsafe extern "C" fn run(data: *const f32, out: *mut f32, n: i32) {
    for i in 0..n as usize {
        *out.add(i) = 2.0 * *data.add(i);
    }
}
