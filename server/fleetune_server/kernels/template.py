"""What `fleetune kernels init` writes: a description, a script and a source to start from."""

from __future__ import annotations

from pathlib import Path

DESCRIPTION = """\
# A kernel of your own. `fleetune kernels check sum.toml` says what is wrong with it.
name = "sum"                # lower_snake_case; pages call tuner.kernel("sum")
family = "reductions"
summary = "Sum of a vector of f32"
dtype = "f32"               # of the elements: i8 u8 i16 u16 i32 u32 f32 f64
script = "sum.js"           # exports js and makeInput; jsTuned and adapters if they are named here
jsTuned = false
# Arrays: in, out, inout or scratch, and how long they must be: a formula of the numbers with + - * /, max, min,
# ceil and pow2; f32[] is not checked. Numbers: i32, u32, f32, f64, and a range: "wanted: i32 0..255", "x: f64 finite".
params = ["values: in f32[n]", "n: i32"]
returns = "f32"             # or void
size = "n"                  # a number among params, or a product "rows * cols"
sizes = [16, 256, 4096, 16384, 65536, 262144]
patterns = ["random"]       # what makeInput is asked for
tolerance = { relative = 1e-4, absolute = 1e-5 }

# Without [memory] modules import env.memory. Arguments go behind __heap_base if it is exported, else behind the memory
# that the module declares, or from dataEnd = 4096 on. With [memory] modules export their own:
# [memory]
# export = "memory"
# allocator = "malloc"      # called once for room; or scratch = 1024, an address from which nothing is used;
#                           # with neither, arguments go behind the memory that the module starts with

[[variants]]                # one must have no optimisations: its module is what the profile is read from
module = "sum.wasm"
export = "sum"
optimisations = []
features = []

[[variants]]
module = "sum.simd.wasm"
export = "sum"              # or adapter = "name": of the script's adapters, given the module's exports
optimisations = ["vectorization"]
features = ["simd"]
"""
SCRIPT = """\
/** What a good JavaScript developer would ship, with the arguments of `params`. */
export function js(values, n) {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += values[i];
  return sum;
}

/** One set of arguments; `random` is a seeded () => [0, 1). Different calls give different data. */
export function makeInput(size, pattern, random) {
  return [Float32Array.from({ length: size }, random), size];
}
"""
SOURCE = """\
/* zig cc -target wasm32-freestanding -O2 -mcpu=mvp -ffreestanding -nostdlib \\
     -Wl,--no-entry,--import-memory,--export=sum,--export=__heap_base sum.c -o sum.wasm
   and with -O3 -msimd128 -ffast-math instead of -O2 -mcpu=mvp as sum.simd.wasm */
float sum(const float *values, int n) {
  float total = 0;
  for (int i = 0; i < n; i++) total += values[i];
  return total;
}
"""


def write_template(folder: Path) -> list[Path]:
    """Write the files, none of which may be there already (FileExistsError); their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"sum.toml": DESCRIPTION, "sum.js": SCRIPT, "sum.c": SOURCE}
    for name, text in files.items():
        with (folder / name).open("x") as file:
            file.write(text)
    return [folder / name for name in files]
