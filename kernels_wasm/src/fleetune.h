/* What every kernel includes: types, the export, and the optimisation axes as macros.
 *
 * build.py compiles one source once per variant and passes one -D per optimisation (variants.toml):
 *   FT_INLINE     helpers marked INLINE become part of their caller; otherwise they are real calls
 *   FT_UNROLL     loops marked UNROLL(n) are unrolled n times; otherwise never
 *   FT_SIMD       128-bit vectors (v128_t and wasm_* intrinsics) may be used
 *   FT_RELAXED    relaxed SIMD may be used (implies FT_SIMD)
 *   FT_BULK       memory.copy and memory.fill may be used
 *   FT_TILING, FT_BRANCHLESS, FT_LOOKUP, FT_SWAR and so on: the kernel says what they change
 * An axis that is off must leave no trace in the module; tests/test_kernels.py looks at the disassembly.
 */
#ifndef FLEETUNE_H
#define FLEETUNE_H

typedef signed char i8;
typedef unsigned char u8;
typedef short i16;
typedef unsigned short u16;
typedef int i32;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;
typedef float f32;
typedef double f64;

/* The one exported function of a module. */
#define EXPORT __attribute__((export_name("run"), visibility("default")))

/* A helper of the hot loop. Every kernel has at least one, so that `inlining` means something. */
#ifdef FT_INLINE
#define INLINE static inline __attribute__((always_inline))
#else
#define INLINE static __attribute__((noinline))
#endif

/* In front of a loop. UNROLL(n) follows the axis; ALWAYS_UNROLL is for tiny fixed loops over
 * registers, where the "loop" is only a way to write the same line several times. */
#define FT_PRAGMA(text) _Pragma(#text)
#ifdef FT_UNROLL
#define UNROLL(n) FT_PRAGMA(clang loop unroll_count(n))
#else
#define UNROLL(n) FT_PRAGMA(clang loop unroll(disable))
#endif
#define ALWAYS_UNROLL FT_PRAGMA(clang loop unroll(full))

/* Typed loads and stores at any alignment, for byte kernels that read words. */
typedef u32 __attribute__((aligned(1), may_alias)) u32_unaligned;
typedef u64 __attribute__((aligned(1), may_alias)) u64_unaligned;
#define LOAD_U32(p) (*(const u32_unaligned *)(p))
#define LOAD_U64(p) (*(const u64_unaligned *)(p))
#define STORE_U32(p, v) (*(u32_unaligned *)(p) = (v))
#define STORE_U64(p, v) (*(u64_unaligned *)(p) = (v))

#ifdef FT_SIMD
#include <wasm_simd128.h>

/* Sum of the four lanes, in the order (0+2)+(1+3). */
static inline __attribute__((always_inline, unused)) f32 sum_f32x4(v128_t v) {
  v = wasm_f32x4_add(v, wasm_i32x4_shuffle(v, v, 2, 3, 0, 1));
  return wasm_f32x4_extract_lane(v, 0) + wasm_f32x4_extract_lane(v, 1);
}

/* a*b + c per lane: fused (or not, the engine decides) with relaxed SIMD, else two roundings. */
#ifdef FT_RELAXED
#define MADD_F32X4(a, b, c) wasm_f32x4_relaxed_madd((a), (b), (c))
#define MADD_F64X2(a, b, c) wasm_f64x2_relaxed_madd((a), (b), (c))
#else
#define MADD_F32X4(a, b, c) wasm_f32x4_add(wasm_f32x4_mul((a), (b)), (c))
#define MADD_F64X2(a, b, c) wasm_f64x2_add(wasm_f64x2_mul((a), (b)), (c))
#endif
#endif

#endif
