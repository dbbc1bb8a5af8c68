/* CRC-32 as in zlib, sixteen bytes a step by sixteen tables ("slicing"). */
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

/* `crc` is the value so far, 0 at the beginning. */
static uint32_t crc32_of(uint32_t crc, const void *data, size_t size) {
    const uint8_t *bytes = data;
    crc = ~crc;
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
