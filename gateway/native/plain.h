/* The plain request: what is found in one, and the event that it makes.
 *
 * `gateway.event.Event` says how its meta is encoded and what its shard is computed from.
 *
 * With what it is made of (`head.h`, `routing.h`, `hmac.h`, `sha256.h`), and beyond `receiver.h`,
 * it buys 52 % of `ack: redis` at 64 connections and 60 at 256 (medians of seven pairs, 2026-12-01,
 * `c_piece redis -- -receive_by,-answer,-Sockets -Keyring,-receive_by,-answer,-Sockets`).
 */
#ifndef GATEWAY_PLAIN_H
#define GATEWAY_PLAIN_H

static int is_plain(slice text) {
    for (size_t i = 0; i < text.size; i++)
        if (text.at[i] < 32 || text.at[i] > 126 || text.at[i] == '"' || text.at[i] == '\\') return 0;
    return 1;
}

static char *put(char *to, const char *text, size_t size) {
    memcpy(to, text, size);
    return to + size;
}

static char *put_slice(char *to, slice text) {
    return put(to, text.at, text.size);
}

static char *put_quoted(char *to, slice text) {
    *to++ = '"';
    to = put_slice(to, text);
    *to++ = '"';
    return to;
}

static slice bytes_slice(PyObject *bytes) {
    return (slice){PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes)};
}

/* Without cycles, as all that an event holds is: let the collector not look at it. */
static PyObject *plain_object(PyObject *made) {
    PyObject_GC_UnTrack(made);
    return made;
}

/* Append what was just made; NULL is the exception that it met. */
static int append_new(PyObject *list, PyObject *item) {
    const int failed = !item || PyList_Append(list, item);
    Py_XDECREF(item);
    return failed ? -1 : 0;
}

/* Write `number` in decimal; returns how many digits. */
static int put_decimal(char *to, uint64_t number) {
    char digits[20];
    int count = 0, size = 0;
    do digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count) to[size++] = digits[--count];
    return size;
}

typedef struct {
    const keyed_app *app;
    routing route;
    slice body, webhook_id, signature;
    long long accepted_ms;
    size_t length;    /* of all of it */
    uint8_t key[32];  /* the event's is the beginning */
} plain_request;

/* ---- its meta */

static const slice META_END = {",\"webhook\",\"\"]", sizeof ",\"webhook\",\"\"]" - 1};

static size_t plain_meta_size(const plain_request *one) {
    char digits[20];
    const size_t cid = one->route.call_cid.at ? one->route.call_cid.size + 2 : 4;
    const size_t strings = one->route.type.size + 2 * KEY_BYTES + one->webhook_id.size
        + one->signature.size + 4 * 2;
    return 1 + (size_t)PyBytes_GET_SIZE(one->app->app_json) + strings + cid
        + (size_t)put_decimal(digits, (uint64_t)one->accepted_ms) + 6 + META_END.size;
}

static char *put_plain_meta(char *to, const plain_request *one) {
    *to++ = '[';
    to = put_slice(to, bytes_slice(one->app->app_json));
    *to++ = ',';
    to = put_quoted(to, one->route.type);
    *to++ = ',';
    to = one->route.call_cid.at ? put_quoted(to, one->route.call_cid) : put(to, "null", 4);
    *to++ = ',';
    to += put_decimal(to, (uint64_t)one->accepted_ms);
    *to++ = ',', *to++ = '"';
    for (int i = 0; i < KEY_BYTES; i++) {
        *to++ = HEX[one->key[i] >> 4];
        *to++ = HEX[one->key[i] & 15];
    }
    *to++ = '"', *to++ = ',';
    to = put_quoted(to, one->webhook_id);
    *to++ = ',';
    to = put_quoted(to, one->signature);
    return put_slice(to, META_END);
}

/* CRC-32 of what the shard is computed from; `cid.at` NULL: an event of no call. */
static uint32_t hash_order(slice app, slice cid, const uint8_t *key) {
    if (!cid.at) return crc32_of(0, key, KEY_BYTES);
    uint32_t hash = crc32_of(0, app.at, app.size);
    hash = crc32_of(hash, "", 1);
    return crc32_of(hash, cid.at, cid.size);
}

static uint32_t plain_order_hash(const plain_request *one) {
    if (!one->route.call_cid.at) return crc32_of(0, one->key, KEY_BYTES);
    return crc32_of(one->app->order_hash, one->route.call_cid.at, one->route.call_cid.size);
}

/* ---- its event */

/* `event`, if all its slots are there. */
static PyObject *whole_event(PyObject *event) {
    for (int i = 0; i < SLOTS; i++)
        if (!SLOT(event, i)) {
            Py_DECREF(event);
            return NULL;
        }
    return plain_object(event);
}

static PyObject *make_event(const plain_request *one) {
    const slice cid = one->route.call_cid, type = one->route.type;
    PyObject *event = event_type->tp_alloc(event_type, 0);
    if (!event) return NULL;
    PyObject *meta = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)plain_meta_size(one));
    if (meta) put_plain_meta(PyBytes_AS_STRING(meta), one);
    SLOT(event, ACCEPTED_MS) = PyLong_FromLongLong(one->accepted_ms);
    SLOT(event, APP) = Py_NewRef(one->app->app);
    SLOT(event, BODY) = PyBytes_FromStringAndSize(one->body.at, (Py_ssize_t)one->body.size);
    SLOT(event, CALL_CID) =
        cid.at ? PyUnicode_DecodeASCII(cid.at, (Py_ssize_t)cid.size, NULL) : Py_NewRef(Py_None);
    SLOT(event, KEY) = PyBytes_FromStringAndSize((const char *)one->key, KEY_BYTES);
    SLOT(event, META) = meta;
    SLOT(event, ORDER_HASH) = PyLong_FromUnsignedLong(plain_order_hash(one));
    SLOT(event, TYPE) = PyUnicode_DecodeASCII(type.at, (Py_ssize_t)type.size, NULL);
    SLOT(event, UNFIT) = Py_NewRef(empty_text);
    return whole_event(event);
}

/* ---- reading it */

static long long wall_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Read the plain request at the start of `given`: GENUINE; FORGED, of which only the length is found;
 * NOT_PLAIN: Python judges it. `now_ms` 0: by the clock. `alone`: only if nothing follows it. */
static int read_plain(const keyring *ring, slice given, slice line, size_t max_head,
                      size_t max_body, long long now_ms, int alone, plain_request *found) {
    if (given.size < line.size || memcmp(given.at, line.at, line.size)) return NOT_PLAIN;
    const char *end = given.at + given.size;
    const char *head_end = given.size > max_head ? given.at + max_head : end;
    request_head head;
    const char *body = head_parse(given.at + line.size, head_end, &head);
    if (!body || head.content_length > max_body
        || head.content_length > (size_t)(end - body)) return NOT_PLAIN;
    found->body = (slice){body, head.content_length};
    found->length = (size_t)(body - given.at) + head.content_length;
    if (alone && found->length != given.size) return NOT_PLAIN;
    if (head.content_length < 2 || (uint8_t)body[0] == 0x1f) return NOT_PLAIN;
    const slice id = head.values[WEBHOOK_ID];
    if (id.size > MAX_WEBHOOK_ID || !is_plain(id)) return NOT_PLAIN;
    found->webhook_id = id.at ? id : (slice){"", 0};
    found->signature = head.values[SIGNATURE];
    const int whose = signer(ring, &head, found->body, &found->app, found->key);
    if (whose != GENUINE) return whose;
    const uint8_t *bytes = (const uint8_t *)body;
    if (!routing_find(bytes, bytes + head.content_length, &found->route)) return NOT_PLAIN;
    found->accepted_ms = now_ms ? now_ms : wall_ms();
    return GENUINE;
}

#endif
