/* SHA-256 by the processor's own instructions (FIPS 180-4).
 *
 * Only where there are such instructions: a plain C version would be slower than the library
 * that Python brings, and then Python does the hashing.
 */
#ifndef GATEWAY_SHA256_H
#define GATEWAY_SHA256_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    uint32_t state[8];
    uint8_t block[64];
    uint64_t length; /* bytes taken in all */
} sha256;

static const uint32_t SHA256_START[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static const uint32_t SHA256_ROUND[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

#if defined(__x86_64__) && defined(__GNUC__) && !defined(GATEWAY_NO_SHA256)
#include <cpuid.h>
#include <immintrin.h>

static int sha256_is_fast(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1) || !(c & bit_SSSE3)) return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & (1u << 29));
}

/* One message under way: its state, and the schedule, which moves through four registers; every
 * four rounds the oldest is replaced. */
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

SHA256_TARGET
static void sha256_blocks(uint32_t state[8], const uint8_t *data, size_t count) {
    sha256_way way;
    sha256_load(&way, state);
    for (; count; count--, data += 64) {
        const __m128i abef = way.abef, cdgh = way.cdgh;
        sha256_read(&way, data);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) sha256_four(&way, i);
        way.abef = _mm_add_epi32(way.abef, abef);
        way.cdgh = _mm_add_epi32(way.cdgh, cdgh);
    }
    sha256_store(&way, state);
}

/* Two messages at once: each waits for itself most of the time, so this costs little more. */
SHA256_TARGET
static void sha256_pairs(uint32_t one[8], const uint8_t *data, uint32_t other[8],
                         const uint8_t *others, size_t count) {
    sha256_way a, b;
    sha256_load(&a, one);
    sha256_load(&b, other);
    for (; count; count--, data += 64, others += 64) {
        const __m128i a_abef = a.abef, a_cdgh = a.cdgh, b_abef = b.abef, b_cdgh = b.cdgh;
        sha256_read(&a, data);
        sha256_read(&b, others);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            sha256_four(&a, i);
            sha256_four(&b, i);
        }
        a.abef = _mm_add_epi32(a.abef, a_abef);
        a.cdgh = _mm_add_epi32(a.cdgh, a_cdgh);
        b.abef = _mm_add_epi32(b.abef, b_abef);
        b.cdgh = _mm_add_epi32(b.cdgh, b_cdgh);
    }
    sha256_store(&a, one);
    sha256_store(&b, other);
}
#else
static int sha256_is_fast(void) { return 0; }
static void sha256_blocks(uint32_t state[8], const uint8_t *data, size_t count) {
    (void)state, (void)data, (void)count, (void)SHA256_ROUND;
}
static void sha256_pairs(uint32_t one[8], const uint8_t *data, uint32_t other[8],
                         const uint8_t *others, size_t count) {
    (void)one, (void)data, (void)other, (void)others, (void)count;
}
#endif

static void sha256_begin(sha256 *hash) {
    memcpy(hash->state, SHA256_START, sizeof SHA256_START);
    hash->length = 0;
}

static void sha256_add(sha256 *hash, const void *data, size_t size) {
    const uint8_t *bytes = data;
    size_t held = hash->length % 64;
    hash->length += size;
    if (held) {
        size_t lacking = 64 - held;
        if (size < lacking) {
            memcpy(hash->block + held, bytes, size);
            return;
        }
        memcpy(hash->block + held, bytes, lacking);
        sha256_blocks(hash->state, hash->block, 1);
        bytes += lacking, size -= lacking;
    }
    sha256_blocks(hash->state, bytes, size / 64);
    memcpy(hash->block, bytes + size / 64 * 64, size % 64);
}

/* Add the same data to two hashes. */
static void sha256_add_to_both(sha256 *one, sha256 *other, const uint8_t *data, size_t size) {
    /* First up to where each has whole blocks before it. */
    size_t from = (64 - one->length % 64) % 64, others_from = (64 - other->length % 64) % 64;
    if (from > size || others_from > size) {
        sha256_add(one, data, size), sha256_add(other, data, size);
        return;
    }
    sha256_add(one, data, from), sha256_add(other, data, others_from);
    const size_t later = from > others_from ? from : others_from, pairs = (size - later) / 64;
    sha256_pairs(one->state, data + from, other->state, data + others_from, pairs);
    one->length += 64 * pairs, other->length += 64 * pairs;
    from += 64 * pairs, others_from += 64 * pairs;
    sha256_add(one, data + from, size - from);
    sha256_add(other, data + others_from, size - others_from);
}

static void sha256_end(sha256 *hash, uint8_t digest[32]) {
    const uint64_t bits = hash->length * 8;
    size_t held = hash->length % 64;
    hash->block[held++] = 0x80;
    if (held > 56) {
        memset(hash->block + held, 0, 64 - held);
        sha256_blocks(hash->state, hash->block, 1);
        held = 0;
    }
    memset(hash->block + held, 0, 56 - held);
    for (int i = 0; i < 8; i++) hash->block[56 + i] = (uint8_t)(bits >> (56 - 8 * i));
    sha256_blocks(hash->state, hash->block, 1);
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 4; j++) digest[4 * i + j] = (uint8_t)(hash->state[i] >> (24 - 8 * j));
}

#endif
