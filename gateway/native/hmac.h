/* HMAC-SHA256 (RFC 2104), the two keyed states of a secret made once, as `gateway.keyed_hash` does. */
#ifndef GATEWAY_HMAC_H
#define GATEWAY_HMAC_H

static const char HEX[] = "0123456789abcdef";

/* Make the two keyed states of a secret. */
static void hmac_begin(sha256 *inner, sha256 *outer, const uint8_t *secret, size_t size) {
    uint8_t key[64] = {0}, padded[64];
    if (size > sizeof key) {
        sha256 hash;
        sha256_begin(&hash), sha256_add(&hash, secret, size), sha256_end(&hash, key);
    } else {
        memcpy(key, secret, size);
    }
    for (int i = 0; i < 64; i++) padded[i] = key[i] ^ 0x36;
    sha256_begin(inner), sha256_add(inner, padded, sizeof padded);
    for (int i = 0; i < 64; i++) padded[i] = key[i] ^ 0x5c;
    sha256_begin(outer), sha256_add(outer, padded, sizeof padded);
}

/* Finish: `inner` has taken the message. */
static void hmac_end(sha256 *inner, const sha256 *outer, uint8_t digest[32]) {
    sha256 hash = *outer;
    sha256_end(inner, digest);
    sha256_add(&hash, digest, 32), sha256_end(&hash, digest);
}

#endif
