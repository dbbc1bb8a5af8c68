/* SHA-256 by the processor's own instructions, where it is of a family that may have them.
 *
 * A way is one message under way: its state, and the schedule, which moves through four registers;
 * every four rounds the oldest is replaced. Two ways side by side cost little more than one: each
 * waits for itself most of the time.
 *
 * Alone it buys 36 % of `ack: journal` at 64 connections (seven pairs, 2026-12-01, `c_piece journal
 * -- portable`: in portable C 19 to 59 % more; without the C piece 174 % more).
 */
#ifndef GATEWAY_SHA256_INSTRUCTIONS_H
#define GATEWAY_SHA256_INSTRUCTIONS_H

#if defined(__x86_64__) && defined(__GNUC__)
#include "sha256_x86.h"
/* clang before 16 declares the intrinsics only where all that it compiles may use them. */
#elif defined(__aarch64__) && defined(__GNUC__) && !defined(__AARCH64EB__) \
    && (!defined(__clang__) || __clang_major__ >= 16 || defined(__ARM_FEATURE_SHA2))
#include "sha256_arm.h"
#endif

#ifdef SHA256_INSTRUCTIONS
SHA256_TARGET
static void sha256_blocks(uint32_t state[8], const uint8_t *data, size_t count) {
    sha256_way way;
    sha256_load(&way, state);
    for (; count; count--, data += 64) {
        const sha256_way before = way;
        sha256_read(&way, data);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) sha256_four(&way, i);
        sha256_sum(&way, &before);
    }
    sha256_store(&way, state);
}

SHA256_TARGET
static void sha256_pairs(uint32_t one[8], const uint8_t *data, uint32_t other[8],
                         const uint8_t *others, size_t count) {
    sha256_way a, b;
    sha256_load(&a, one);
    sha256_load(&b, other);
    for (; count; count--, data += 64, others += 64) {
        const sha256_way a_before = a, b_before = b;
        sha256_read(&a, data);
        sha256_read(&b, others);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            sha256_four(&a, i);
            sha256_four(&b, i);
        }
        sha256_sum(&a, &a_before);
        sha256_sum(&b, &b_before);
    }
    sha256_store(&a, one);
    sha256_store(&b, other);
}
#endif

#endif
