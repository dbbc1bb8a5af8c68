/* What `sha256_instructions.h` needs of ARM in 64 bits: the SHA2 extension of ARMv8. */
#ifndef GATEWAY_SHA256_ARM_H
#define GATEWAY_SHA256_ARM_H

#include <arm_neon.h>
#ifdef __linux__
#include <sys/auxv.h>
#endif

#define SHA256_INSTRUCTIONS "armv8-sha2"

/* Every processor of Apple's has it; Linux tells. Elsewhere it counts what we are compiled for. */
static int sha256_has_instructions(void) {
#if defined(__APPLE__) || defined(__ARM_FEATURE_SHA2)
    return 1;
#elif defined(__linux__)
    return (getauxval(AT_HWCAP) & (1ul << 6)) != 0; /* HWCAP_SHA2 */
#else
    return 0;
#endif
}

#ifdef __ARM_FEATURE_SHA2
#define SHA256_TARGET
#elif defined(__clang__)
#define SHA256_TARGET __attribute__((target("sha2")))
#else
#define SHA256_TARGET __attribute__((target("+crypto")))
#endif
#define SHA256_INLINE SHA256_TARGET static inline __attribute__((always_inline))

typedef struct {
    uint32x4_t abcd, efgh, words[4];
} sha256_way;

SHA256_INLINE void sha256_load(sha256_way *way, const uint32_t state[8]) {
    way->abcd = vld1q_u32(state), way->efgh = vld1q_u32(state + 4);
}

SHA256_INLINE void sha256_store(const sha256_way *way, uint32_t state[8]) {
    vst1q_u32(state, way->abcd), vst1q_u32(state + 4, way->efgh);
}

SHA256_INLINE void sha256_read(sha256_way *way, const uint8_t *block) {
    for (int i = 0; i < 4; i++)
        way->words[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(block + 16 * i)));
}

SHA256_INLINE void sha256_four(sha256_way *way, int i) {
    const uint32x4_t now = way->words[i & 3], abcd = way->abcd;
    const uint32x4_t sum = vaddq_u32(now, vld1q_u32(&SHA256_ROUND[4 * i]));
    way->abcd = vsha256hq_u32(abcd, way->efgh, sum);
    way->efgh = vsha256h2q_u32(way->efgh, abcd, sum);
    if (i < 12)
        way->words[i & 3] = vsha256su1q_u32(vsha256su0q_u32(now, way->words[(i + 1) & 3]),
                                            way->words[(i + 2) & 3], way->words[(i + 3) & 3]);
}

SHA256_INLINE void sha256_sum(sha256_way *way, const sha256_way *before) {
    way->abcd = vaddq_u32(way->abcd, before->abcd);
    way->efgh = vaddq_u32(way->efgh, before->efgh);
}

#endif
