/* What routing needs of an event: the strings `type` and `call_cid` of the outermost object.
 *
 * The whole body is checked to be JSON (RFC 8259) in UTF-8, so that what passes here passes any
 * parser. What is unusual (an escape in a key or in one of the two, a key twice, another type,
 * nesting beyond the bound) is not judged: the caller then asks Python.
 */
#ifndef GATEWAY_ROUTING_H
#define GATEWAY_ROUTING_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "head.h"

#define ROUTING_MAX_DEPTH 128
#define ROUTING_MAX_CALL_CID 256

typedef struct {
    slice type, call_cid; /* `at` NULL: none */
} routing;

enum { PLAIN = 1, BACKSLASH = 2, QUOTE = 4, WIDE = 8 };
static uint8_t json_class[256];

static void routing_prepare(void) {
    for (int c = 0; c < 256; c++)
        json_class[c] = c < 32 ? 0 : c == '"' ? QUOTE : c == '\\' ? BACKSLASH : c < 128 ? PLAIN : WIDE;
}

static const uint8_t *json_space(const uint8_t *at, const uint8_t *end) {
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) at++;
    return at;
}

static int json_hex(uint8_t c) {
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'f');
}

/* One character beyond ASCII (RFC 3629): no overlong form, no surrogate, nothing past U+10FFFF. */
static const uint8_t *json_wide(const uint8_t *at, const uint8_t *end) {
    const uint8_t first = at[0];
    const int size = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    if (!size || end - at < size) return NULL;
    for (int i = 1; i < size; i++)
        if ((at[i] & 0xc0) != 0x80) return NULL;
    if ((first == 0xe0 && at[1] < 0xa0) || (first == 0xed && at[1] > 0x9f)
        || (first == 0xf0 && at[1] < 0x90) || (first == 0xf4 && at[1] > 0x8f)) return NULL;
    return at + size;
}

/* The first byte from `at` on that a string does not simply hold. */
static const uint8_t *json_plain(const uint8_t *at, const uint8_t *end) {
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
    const __m128i last_control = _mm_set1_epi8(31);
    for (; end - at >= 16; at += 16) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)at);
        /* Signed: what is beyond ASCII is below zero, and so not above the controls either. */
        const __m128i fine = _mm_cmpgt_epi8(bytes, last_control);
        const __m128i marks = _mm_or_si128(_mm_cmpeq_epi8(bytes, quote),
                                           _mm_cmpeq_epi8(bytes, backslash));
        const int found = _mm_movemask_epi8(_mm_andnot_si128(marks, fine)) ^ 0xffff;
        if (found) return at + __builtin_ctz((unsigned)found);
    }
#endif
    while (at < end && json_class[*at] == PLAIN) at++;
    return at;
}

/* The string whose opening quote is before `at`; returns the place behind its closing one.
 * `plain` says whether it is printable ASCII without escapes. */
static const uint8_t *json_string(const uint8_t *at, const uint8_t *end, int *plain) {
    *plain = 1;
    for (;;) {
        at = json_plain(at, end);
        if (at == end) return NULL;
        switch (json_class[*at]) {
        case QUOTE: return at + 1;
        case WIDE:
            *plain = 0;
            if (!(at = json_wide(at, end))) return NULL;
            break;
        case BACKSLASH:
            *plain = 0;
            if (end - at < 2) return NULL;
            if (at[1] == 'u') {
                if (end - at < 6) return NULL;
                for (int i = 2; i < 6; i++)
                    if (!json_hex(at[i])) return NULL;
                at += 6;
            } else {
                if (!at[1] || !strchr("\"\\/bfnrt", at[1])) return NULL;
                at += 2;
            }
            break;
        default: return NULL;
        }
    }
}

static const uint8_t *json_digits(const uint8_t *at, const uint8_t *end) {
    const uint8_t *from = at;
    while (at < end && *at >= '0' && *at <= '9') at++;
    return at == from ? NULL : at;
}

static const uint8_t *json_number(const uint8_t *at, const uint8_t *end) {
    if (at < end && *at == '-') at++;
    if (at < end && *at == '0') at++;
    else if (!(at = json_digits(at, end))) return NULL;
    if (at < end && *at == '.' && !(at = json_digits(at + 1, end))) return NULL;
    if (at < end && (*at | 32) == 'e') {
        at++;
        if (at < end && (*at == '+' || *at == '-')) at++;
        if (!(at = json_digits(at, end))) return NULL;
    }
    return at;
}

static const uint8_t *json_word(const uint8_t *at, const uint8_t *end, const char *word) {
    const size_t size = strlen(word);
    return (size_t)(end - at) >= size && memcmp(at, word, size) == 0 ? at + size : NULL;
}

/* A value that is neither object nor array. */
static const uint8_t *json_scalar(const uint8_t *at, const uint8_t *end) {
    int plain;
    switch (*at) {
    case '"': return json_string(at + 1, end, &plain);
    case 't': return json_word(at, end, "true");
    case 'f': return json_word(at, end, "false");
    case 'n': return json_word(at, end, "null");
    default: return json_number(at, end);
    }
}

/* Take the member of the outermost object whose key was just read, if it is one of the two. */
static const uint8_t *routing_member(
    slice key, const uint8_t *at, const uint8_t *end, routing *found) {
    const int is_type = key.size == 4 && memcmp(key.at, "type", 4) == 0;
    if (!is_type && (key.size != 8 || memcmp(key.at, "call_cid", 8))) return json_scalar(at, end);
    slice *wanted = is_type ? &found->type : &found->call_cid;
    if (wanted->at || *at != '"') return NULL;
    int plain;
    const uint8_t *behind = json_string(at + 1, end, &plain);
    if (!behind || !plain) return NULL;
    *wanted = (slice){(const char *)at + 1, (size_t)(behind - at) - 2};
    return wanted->size ? behind : NULL;
}

/* Find the routing fields of the body from `at` to `end`; 0: Python decides. */
static int routing_find(const uint8_t *at, const uint8_t *end, routing *found) {
    uint8_t closes[ROUTING_MAX_DEPTH]; /* what closes each open object or array */
    int depth = 0;
    memset(found, 0, sizeof *found);
    at = json_space(at, end);
    if (at == end || *at != '{') return 0;
    for (;;) { /* `at` is at a value */
        slice key = {NULL, 0};
        if (*at == '{' || *at == '[') {
            if (depth == ROUTING_MAX_DEPTH) return 0;
            closes[depth++] = *at == '{' ? '}' : ']';
            at = json_space(at + 1, end);
            if (at == end) return 0;
            if (*at != closes[depth - 1]) goto member;
            goto close;
        }
        if (!(at = json_scalar(at, end))) return 0;
    behind: /* a value */
        at = json_space(at, end);
        if (!depth) return at == end && found->type.at && found->call_cid.size <= ROUTING_MAX_CALL_CID;
        if (at == end) return 0;
        if (*at == ',') {
            at = json_space(at + 1, end);
            if (at == end) return 0;
            goto member;
        }
        if (*at != closes[depth - 1]) return 0;
    close:
        at++, depth--;
        goto behind;
    member:
        if (closes[depth - 1] == ']') continue;
        int plain;
        if (*at != '"') return 0;
        const uint8_t *start = ++at;
        if (!(at = json_string(at, end, &plain))) return 0;
        if (depth == 1 && !plain) return 0;
        key = (slice){(const char *)start, (size_t)(at - start) - 1};
        at = json_space(at, end);
        if (at == end || *at != ':') return 0;
        at = json_space(at + 1, end);
        if (at == end) return 0;
        if (depth == 1 && *at != '{' && *at != '[') {
            if (!(at = routing_member(key, at, end, found))) return 0;
            goto behind;
        }
        if (depth == 1 && ((key.size == 4 && !memcmp(key.at, "type", 4))
                           || (key.size == 8 && !memcmp(key.at, "call_cid", 8)))) return 0;
    }
}

#endif
