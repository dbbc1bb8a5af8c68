/* SHA-256: by the processor's instructions where it has them, in portable C elsewhere.
 *
 * Which of them is found out once. A hash under way has the same state in all, so a test may change
 * it at any time.
 */
#ifndef GATEWAY_SHA256_H
#define GATEWAY_SHA256_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sha256_portable.h"
#include "sha256_instructions.h"

typedef struct {
    uint32_t state[8];
    uint8_t block[64];
    uint64_t length; /* bytes taken in all */
} sha256;

typedef struct {
    const char *name;
    /* Whole blocks of 64 bytes; and as many of another message, into another state. */
    void (*blocks)(uint32_t state[8], const uint8_t *data, size_t count);
    void (*pairs)(uint32_t one[8], const uint8_t *data, uint32_t other[8], const uint8_t *others,
                  size_t count);
} sha256_code;

/* The best first; what needs no instructions is the last. */
static const sha256_code SHA256_CODES[] = {
#ifdef SHA256_INSTRUCTIONS
    {SHA256_INSTRUCTIONS, sha256_blocks, sha256_pairs},
#endif
    {"portable", sha256_portable_blocks, sha256_portable_pairs},
};
enum { SHA256_CODE_COUNT = sizeof SHA256_CODES / sizeof *SHA256_CODES };

/* From which of them on this processor can run all, and the one in use. */
static const sha256_code *sha256_best, *sha256_by;

static void sha256_look(void) {
    sha256_best = SHA256_CODES;
#ifdef SHA256_INSTRUCTIONS
    if (!sha256_has_instructions()) sha256_best++;
#endif
    sha256_by = sha256_best;
}

static const uint32_t SHA256_START[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

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
        sha256_by->blocks(hash->state, hash->block, 1);
        bytes += lacking, size -= lacking;
    }
    sha256_by->blocks(hash->state, bytes, size / 64);
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
    sha256_by->pairs(one->state, data + from, other->state, data + others_from, pairs);
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
        sha256_by->blocks(hash->state, hash->block, 1);
        held = 0;
    }
    memset(hash->block + held, 0, 56 - held);
    for (int i = 0; i < 8; i++) hash->block[56 + i] = (uint8_t)(bits >> (56 - 8 * i));
    sha256_by->blocks(hash->state, hash->block, 1);
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 4; j++) digest[4 * i + j] = (uint8_t)(hash->state[i] >> (24 - 8 * j));
}

#endif
