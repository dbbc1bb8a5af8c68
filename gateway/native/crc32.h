/* CRC-32 as in zlib: by carry-less multiplication where the processor has it, folding 64 bytes a
 * step (Gopal et al., "Fast CRC computation for generic polynomials using PCLMULQDQ", Intel 2009);
 * else, and for what is left, sixteen bytes a step by sixteen tables ("slicing").
 */
#ifndef GATEWAY_CRC32_H
#define GATEWAY_CRC32_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static uint32_t crc32_tables[16][256];

static void crc32_prepare(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t rest = byte;
        for (int bit = 0; bit < 8; bit++) rest = (rest >> 1) ^ (rest & 1 ? 0xedb88320u : 0);
        crc32_tables[0][byte] = rest;
    }
    for (int table = 1; table < 16; table++)
        for (int byte = 0; byte < 256; byte++) {
            const uint32_t before = crc32_tables[table - 1][byte];
            crc32_tables[table][byte] = (before >> 8) ^ crc32_tables[0][before & 0xff];
        }
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#include <immintrin.h>

static int crc32_folds;

static void crc32_look(void) {
    unsigned a, b, c, d;
    crc32_folds = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_PCLMUL) && (c & bit_SSE4_1);
}

/* One fold: `part` moved on by the distance that `by` stands for, and `next` added. */
#define CRC32_FOLD(part, by, next) \
    _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(part, by, 0x00), \
                                _mm_clmulepi64_si128(part, by, 0x11)), next)

/* `size` is a multiple of 16 and at least 64; `crc` is inverted, and so is the result. */
__attribute__((target("pclmul,sse4.1")))
static uint32_t crc32_folded(uint32_t crc, const uint8_t *bytes, size_t size) {
    const __m128i by_64 = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4);
    const __m128i by_16 = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
    const __m128i low_32 = _mm_setr_epi32(-1, 0, -1, 0);
    const __m128i *at = (const __m128i *)bytes;
    __m128i parts[4];
    for (int i = 0; i < 4; i++) parts[i] = _mm_loadu_si128(at + i);
    parts[0] = _mm_xor_si128(parts[0], _mm_cvtsi32_si128((int)crc));
    for (at += 4, size -= 64; size >= 64; at += 4, size -= 64)
        for (int i = 0; i < 4; i++)
            parts[i] = CRC32_FOLD(parts[i], by_64, _mm_loadu_si128(at + i));
    __m128i rest = parts[0];
    for (int i = 1; i < 4; i++) rest = CRC32_FOLD(rest, by_16, parts[i]);
    for (; size >= 16; at++, size -= 16) rest = CRC32_FOLD(rest, by_16, _mm_loadu_si128(at));

    /* 128 bits to 64, to 32 (Barrett). */
    rest = _mm_xor_si128(_mm_clmulepi64_si128(rest, by_16, 0x10), _mm_srli_si128(rest, 8));
    const __m128i by_4 = _mm_set_epi64x(0, 0x0163cd6124);
    rest = _mm_xor_si128(_mm_clmulepi64_si128(_mm_and_si128(rest, low_32), by_4, 0x00),
                         _mm_srli_si128(rest, 4));
    const __m128i barrett = _mm_set_epi64x(0x01f7011641, 0x01db710641);
    __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(rest, low_32), barrett, 0x10);
    quotient = _mm_clmulepi64_si128(_mm_and_si128(quotient, low_32), barrett, 0x00);
    return (uint32_t)_mm_extract_epi32(_mm_xor_si128(rest, quotient), 1);
}
#else
enum { crc32_folds = 0 };
static void crc32_look(void) {}
static uint32_t crc32_folded(uint32_t crc, const uint8_t *bytes, size_t size) {
    (void)bytes, (void)size;
    return crc;
}
#endif

/* `crc` is the value so far, 0 at the beginning. */
static uint32_t crc32_of(uint32_t crc, const void *data, size_t size) {
    const uint8_t *bytes = data;
    crc = ~crc;
    if (crc32_folds && size >= 64) {
        const size_t folded = size / 16 * 16;
        crc = crc32_folded(crc, bytes, folded);
        bytes += folded, size -= folded;
    }
    for (; size >= 16; size -= 16, bytes += 16) {
        uint32_t rest = 0;
        for (int i = 0; i < 4; i++)
            rest ^= crc32_tables[15 - i][bytes[i] ^ ((crc >> (8 * i)) & 0xff)];
        for (int i = 4; i < 16; i++) rest ^= crc32_tables[15 - i][bytes[i]];
        crc = rest;
    }
    for (; size; size--) crc = (crc >> 8) ^ crc32_tables[0][(crc ^ *bytes++) & 0xff];
    return ~crc;
}

#endif
