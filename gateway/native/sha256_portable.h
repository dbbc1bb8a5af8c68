/* SHA-256 (FIPS 180-4) in portable C, for every processor; two messages are hashed one after the other. */
#ifndef GATEWAY_SHA256_PORTABLE_H
#define GATEWAY_SHA256_PORTABLE_H

#include <stddef.h>
#include <stdint.h>

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

#define SHA256_TURNED(word, by) ((word) >> (by) | (word) << (32 - (by)))

static inline uint32_t sha256_word(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Word `i` of the schedule from the sixteen before it; the oldest of them makes room. */
static inline uint32_t sha256_next_word(uint32_t words[16], int i) {
    const uint32_t early = words[(i + 1) & 15], late = words[(i + 14) & 15];
    const uint32_t low = SHA256_TURNED(early, 7) ^ SHA256_TURNED(early, 18) ^ early >> 3;
    const uint32_t high = SHA256_TURNED(late, 17) ^ SHA256_TURNED(late, 19) ^ late >> 10;
    return words[i & 15] += low + high + words[(i + 9) & 15];
}

/* One round. What the standard calls a to h stays where it is, and its names move instead. */
#define SHA256_STEP(a, b, c, d, e, f, g, h, word, i) do { \
    h += (word) + SHA256_ROUND[i] + (g ^ (e & (f ^ g))) \
        + (SHA256_TURNED(e, 6) ^ SHA256_TURNED(e, 11) ^ SHA256_TURNED(e, 25)); \
    d += h; \
    h += ((a & b) | (c & (a | b))) \
        + (SHA256_TURNED(a, 2) ^ SHA256_TURNED(a, 13) ^ SHA256_TURNED(a, 22)); \
} while (0)

#define SHA256_EIGHT(word, i) do { \
    SHA256_STEP(a, b, c, d, e, f, g, h, word(i), i); \
    SHA256_STEP(h, a, b, c, d, e, f, g, word(i + 1), i + 1); \
    SHA256_STEP(g, h, a, b, c, d, e, f, word(i + 2), i + 2); \
    SHA256_STEP(f, g, h, a, b, c, d, e, word(i + 3), i + 3); \
    SHA256_STEP(e, f, g, h, a, b, c, d, word(i + 4), i + 4); \
    SHA256_STEP(d, e, f, g, h, a, b, c, word(i + 5), i + 5); \
    SHA256_STEP(c, d, e, f, g, h, a, b, word(i + 6), i + 6); \
    SHA256_STEP(b, c, d, e, f, g, h, a, word(i + 7), i + 7); \
} while (0)
#define SHA256_READ(i) (words[i] = sha256_word(data + 4 * (i)))
#define SHA256_NEXT(i) sha256_next_word(words, i)

static void sha256_portable_blocks(uint32_t state[8], const uint8_t *data, size_t count) {
    for (; count; count--, data += 64) {
        uint32_t words[16];
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
        uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
        SHA256_EIGHT(SHA256_READ, 0);
        SHA256_EIGHT(SHA256_READ, 8);
        for (int i = 16; i < 64; i += 16) {
            SHA256_EIGHT(SHA256_NEXT, i);
            SHA256_EIGHT(SHA256_NEXT, i + 8);
        }
        state[0] += a, state[1] += b, state[2] += c, state[3] += d;
        state[4] += e, state[5] += f, state[6] += g, state[7] += h;
    }
}

static void sha256_portable_pairs(uint32_t one[8], const uint8_t *data, uint32_t other[8],
                               const uint8_t *others, size_t count) {
    sha256_portable_blocks(one, data, count);
    sha256_portable_blocks(other, others, count);
}

#endif
