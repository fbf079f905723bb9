/* CRC-32 (IEEE 802.3, reflected polynomial 0xEDB88320), as zlib computes it. scalar: bit by bit. lookupTable: one byte a
 * step. slicing4 and slicing8: four or eight bytes a step with that many tables (Kounavis and Berry, 2005). */
#include "fleetune.h"

#ifdef FT_LOOKUP
/* The CRC is linear: an entry is the exclusive or of the entries of its set bits, so eight constants make a table. */
#define ENTRY(i, b0, b1, b2, b3, b4, b5, b6, b7)                                                             \
  (((i) & 1 ? b0 : 0) ^ ((i) & 2 ? b1 : 0) ^ ((i) & 4 ? b2 : 0) ^ ((i) & 8 ? b3 : 0) ^                      \
   ((i) & 16 ? b4 : 0) ^ ((i) & 32 ? b5 : 0) ^ ((i) & 64 ? b6 : 0) ^ ((i) & 128 ? b7 : 0))
#define ENTRIES4(i, ...) \
  ENTRY(i, __VA_ARGS__), ENTRY(i + 1, __VA_ARGS__), ENTRY(i + 2, __VA_ARGS__), ENTRY(i + 3, __VA_ARGS__)
#define ENTRIES16(i, ...) \
  ENTRIES4(i, __VA_ARGS__), ENTRIES4(i + 4, __VA_ARGS__), ENTRIES4(i + 8, __VA_ARGS__), ENTRIES4(i + 12, __VA_ARGS__)
#define ENTRIES64(i, ...) \
  ENTRIES16(i, __VA_ARGS__), ENTRIES16(i + 16, __VA_ARGS__), ENTRIES16(i + 32, __VA_ARGS__), ENTRIES16(i + 48, __VA_ARGS__)
#define TABLE(...) \
  { ENTRIES64(0, __VA_ARGS__), ENTRIES64(64, __VA_ARGS__), ENTRIES64(128, __VA_ARGS__), ENTRIES64(192, __VA_ARGS__) }
#define TABLE0 TABLE(0x77073096u, 0xEE0E612Cu, 0x076DC419u, 0x0EDB8832u, 0x1DB71064u, 0x3B6E20C8u, 0x76DC4190u, 0xEDB88320u)
#define TABLE1 TABLE(0x191B3141u, 0x32366282u, 0x646CC504u, 0xC8D98A08u, 0x4AC21251u, 0x958424A2u, 0xF0794F05u, 0x3B83984Bu)
#define TABLE2 TABLE(0x01C26A37u, 0x0384D46Eu, 0x0709A8DCu, 0x0E1351B8u, 0x1C26A370u, 0x384D46E0u, 0x709A8DC0u, 0xE1351B80u)
#define TABLE3 TABLE(0xB8BC6765u, 0xAA09C88Bu, 0x8F629757u, 0xC5B428EFu, 0x5019579Fu, 0xA032AF3Eu, 0x9B14583Du, 0xED59B63Bu)
#define TABLE4 TABLE(0x3D6029B0u, 0x7AC05360u, 0xF580A6C0u, 0x30704BC1u, 0x60E09782u, 0xC1C12F04u, 0x58F35849u, 0xB1E6B092u)
#define TABLE5 TABLE(0xCB5CD3A5u, 0x4DC8A10Bu, 0x9B914216u, 0xEC53826Du, 0x03D6029Bu, 0x07AC0536u, 0x0F580A6Cu, 0x1EB014D8u)
#define TABLE6 TABLE(0xA6770BB4u, 0x979F1129u, 0xF44F2413u, 0x33EF4E67u, 0x67DE9CCEu, 0xCFBD399Cu, 0x440B7579u, 0x8816EAF2u)
#define TABLE7 TABLE(0xCCAA009Eu, 0x4225077Du, 0x844A0EFAu, 0xD3E51BB5u, 0x7CBB312Bu, 0xF9766256u, 0x299DC2EDu, 0x533B85DAu)

static const u32 tables[][256] = {
    TABLE0,
#if defined(FT_SLICING4) || defined(FT_SLICING8)
    TABLE1, TABLE2, TABLE3,
#endif
#ifdef FT_SLICING8
    TABLE4, TABLE5, TABLE6, TABLE7,
#endif
};

INLINE u32 step(u32 crc, u8 byte) { return tables[0][(crc ^ byte) & 255] ^ (crc >> 8); }
#else
INLINE u32 step(u32 crc, u8 byte) {
  crc ^= byte;
#ifdef FT_UNROLL
#pragma clang loop unroll(full)
#else
#pragma clang loop unroll(disable)
#endif
  for (i32 bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0xEDB88320u & -(crc & 1));
  return crc;
}
#endif

#if defined(FT_SLICING4) || defined(FT_SLICING8)
/* Four bytes whose effect is `ahead` bytes from the end of the step. */
INLINE u32 four(u32 word, i32 ahead) {
  return tables[ahead + 3][word & 255] ^ tables[ahead + 2][(word >> 8) & 255] ^
         tables[ahead + 1][(word >> 16) & 255] ^ tables[ahead][word >> 24];
}
#endif

EXPORT u32 run(const u8 *data, i32 n) {
  u32 crc = ~0u;
  i32 i = 0;
#if defined(FT_SLICING8)
  UNROLL(2)
  for (; i + 8 <= n; i += 8) crc = four(LOAD_U32(data + i) ^ crc, 4) ^ four(LOAD_U32(data + i + 4), 0);
#elif defined(FT_SLICING4)
  UNROLL(2)
  for (; i + 4 <= n; i += 4) crc = four(LOAD_U32(data + i) ^ crc, 0);
#endif
#ifdef FT_LOOKUP
  UNROLL(4)
#else
  UNROLL(1)
#endif
  for (; i < n; i++) crc = step(crc, data[i]);
  return ~crc;
}
