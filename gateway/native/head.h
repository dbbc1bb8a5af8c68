/* The head of a plain request, as `gateway.ingest.requests` takes it, or stricter.
 *
 * What it does not take it does not judge: the caller then asks Python. A name is a token, its
 * colon follows at once, a value has no control character but tab; no known header comes twice.
 */
#ifndef GATEWAY_HEAD_H
#define GATEWAY_HEAD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

typedef struct {
    const char *at;
    size_t size;
} slice;

enum { HOST, LENGTH, SIGNATURE, API_KEY, WEBHOOK_ID, CONNECTION, KNOWN_HEADERS, ELSEWHERE, OTHER };

typedef struct {
    slice values[KNOWN_HEADERS]; /* `at` NULL: not there */
    size_t content_length;
} request_head;

static uint8_t head_is_token[256], head_is_text[256];

static void head_prepare(void) {
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (int c = 0; c < 256; c++) {
        const int letter = (c | 32) >= 'a' && (c | 32) <= 'z' && c < 128;
        head_is_token[c] = letter || (c >= '0' && c <= '9') || (c && c < 128 && strchr(marks, c));
        head_is_text[c] = (c >= 32 && c != 127) || c == '\t';
    }
}

static int head_named(const char *name, size_t size, const char *wanted, size_t wanted_size) {
    return size == wanted_size && strncasecmp(name, wanted, size) == 0;
}

#define NAMED(text) head_named(name, size, text, sizeof(text) - 1)

static int head_kind(const char *name, size_t size) {
    switch (name[0] | 32) {
    case 'h': return NAMED("host") ? HOST : OTHER;
    case 'c':
        if (NAMED("content-length")) return LENGTH;
        return NAMED("connection") ? CONNECTION : OTHER;
    case 'x':
        if (NAMED("x-signature")) return SIGNATURE;
        if (NAMED("x-api-key")) return API_KEY;
        return NAMED("x-webhook-id") ? WEBHOOK_ID : OTHER;
    case 't': return NAMED("transfer-encoding") ? ELSEWHERE : OTHER;
    case 'e': return NAMED("expect") ? ELSEWHERE : OTHER;
    case 'u': return NAMED("upgrade") ? ELSEWHERE : OTHER;
    default: return OTHER;
    }
}

static int head_length(slice digits, size_t *length) {
    if (digits.size == 0 || digits.size > 18) return 0;
    size_t number = 0;
    for (size_t i = 0; i < digits.size; i++) {
        if (digits.at[i] < '0' || digits.at[i] > '9') return 0;
        number = number * 10 + (size_t)(digits.at[i] - '0');
    }
    *length = number;
    return 1;
}

/* Parse the lines at `at`, which end with an empty one before `end`. Returns the place behind it,
 * or NULL: not whole, or not ours. */
static const char *head_parse(const char *at, const char *end, request_head *head) {
    memset(head, 0, sizeof *head);
    for (;;) {
        if (end - at < 2) return NULL;
        if (at[0] == '\r' && at[1] == '\n') break;
        const char *name = at;
        while (at < end && head_is_token[(uint8_t)*at]) at++;
        if (at == end || *at != ':' || at == name) return NULL;
        const size_t size = (size_t)(at - name);
        const char *value = ++at;
        while (at < end && head_is_text[(uint8_t)*at]) at++;
        if (end - at < 2 || at[0] != '\r' || at[1] != '\n') return NULL;
        const int kind = head_kind(name, size);
        if (kind == ELSEWHERE) return NULL;
        if (kind < KNOWN_HEADERS) {
            const char *last = at;
            while (value < last && (*value == ' ' || *value == '\t')) value++;
            while (last > value && (last[-1] == ' ' || last[-1] == '\t')) last--;
            if (head->values[kind].at) return NULL;
            head->values[kind] = (slice){value, (size_t)(last - value)};
        }
        at += 2;
    }
    const slice connection = head->values[CONNECTION];
    if (connection.at
        && !head_named(connection.at, connection.size, "keep-alive", 10)) return NULL;
    if (!head->values[HOST].size) return NULL;
    if (!head_length(head->values[LENGTH], &head->content_length)) return NULL;
    return at + 2;
}

#undef NAMED
#endif
