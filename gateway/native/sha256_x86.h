/* What `sha256_instructions.h` needs of x86-64: its SHA extensions. */
#ifndef GATEWAY_SHA256_X86_H
#define GATEWAY_SHA256_X86_H

#include <cpuid.h>
#include <immintrin.h>

#define SHA256_INSTRUCTIONS "x86-sha"

static int sha256_has_instructions(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1) || !(c & bit_SSSE3)) return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & (1u << 29));
}

#define SHA256_TARGET __attribute__((target("sha,sse4.1,ssse3")))
#define SHA256_INLINE SHA256_TARGET static inline __attribute__((always_inline))

typedef struct {
    __m128i abef, cdgh, words[4];
} sha256_way;

SHA256_INLINE void sha256_load(sha256_way *way, const uint32_t state[8]) {
    const __m128i low = _mm_loadu_si128((const __m128i *)&state[0]);
    const __m128i high =
        _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)&state[4]), 0x1b);
    const __m128i swapped = _mm_shuffle_epi32(low, 0xb1);
    way->abef = _mm_alignr_epi8(swapped, high, 8);
    way->cdgh = _mm_blend_epi16(high, swapped, 0xf0);
}

SHA256_INLINE void sha256_store(const sha256_way *way, uint32_t state[8]) {
    const __m128i low = _mm_shuffle_epi32(way->abef, 0x1b);
    const __m128i high = _mm_shuffle_epi32(way->cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)&state[0], _mm_blend_epi16(low, high, 0xf0));
    _mm_storeu_si128((__m128i *)&state[4], _mm_alignr_epi8(high, low, 8));
}

SHA256_INLINE void sha256_read(sha256_way *way, const uint8_t *block) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    for (int i = 0; i < 4; i++)
        way->words[i] = _mm_shuffle_epi8(
            _mm_loadu_si128((const __m128i *)(block + 16 * i)), big_endian);
}

SHA256_INLINE void sha256_four(sha256_way *way, int i) {
    const __m128i now = way->words[i & 3];
    const __m128i sum = _mm_add_epi32(
        now, _mm_loadu_si128((const __m128i *)&SHA256_ROUND[4 * i]));
    way->cdgh = _mm_sha256rnds2_epu32(way->cdgh, way->abef, sum);
    way->abef = _mm_sha256rnds2_epu32(way->abef, way->cdgh, _mm_shuffle_epi32(sum, 0x0e));
    if (i < 12) {
        const __m128i last = way->words[(i + 3) & 3];
        __m128i next = _mm_sha256msg1_epu32(now, way->words[(i + 1) & 3]);
        next = _mm_add_epi32(next, _mm_alignr_epi8(last, way->words[(i + 2) & 3], 4));
        way->words[i & 3] = _mm_sha256msg2_epu32(next, last);
    }
}

SHA256_INLINE void sha256_sum(sha256_way *way, const sha256_way *before) {
    way->abef = _mm_add_epi32(way->abef, before->abef);
    way->cdgh = _mm_add_epi32(way->cdgh, before->cdgh);
}

#endif
