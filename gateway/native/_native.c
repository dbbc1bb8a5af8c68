/* The optional C piece: what `gateway.native` says, for CPython 3.11 and newer.
 *
 * Nothing here decides anything that Python does not: `Keyring.take` returns None for every
 * request that is not the plain case, and the Python code beside it takes over from the start.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include <time.h>

#include "crc32.h"
#include "head.h"
#include "routing.h"
#include "sha256.h"
#include "keyed_hash.h"

enum { MAX_SHARDS = 64, MAX_BOUNDS = 64, KEY_BYTES = 16, SIGNATURE_BYTES = 64, MAX_WEBHOOK_ID = 128, MAX_SECRETS = 2 };

/* ---- gateway.event: its classes, and where the slots of an Event lie */

enum { ACCEPTED_MS, APP, BODY, CALL_CID, KEY, META, ORDER_HASH, TYPE, UNFIT, SLOTS };
static const char *const SLOT_NAMES[SLOTS] = {
    "accepted_ms", "app", "body", "call_cid", "key", "meta", "order_hash", "type", "unfit",
};
static PyTypeObject *event_type, *stored_type;
static Py_ssize_t slot_offsets[SLOTS];
static PyObject *empty_text;

#define SLOT(event, slot) (*(PyObject **)((char *)(event) + slot_offsets[slot]))

/* Look up where the named slots of a class lie in its objects. */
static int find_slots(PyObject *type, const char *const *names, Py_ssize_t *offsets, int count) {
    for (int i = 0; i < count; i++) {
        PyObject *found = PyObject_GetAttrString(type, names[i]);
        if (!found) return -1;
        if (!Py_IS_TYPE(found, &PyMemberDescr_Type)) {
            Py_DECREF(found);
            PyErr_Format(PyExc_ImportError, "Event.%s is no slot", SLOT_NAMES[i]);
            return -1;
        }
        offsets[i] = ((PyMemberDescrObject *)found)->d_member->offset;
        Py_DECREF(found);
    }
    return 0;
}

/* ---- Keyring: who may sign */

typedef struct {
    PyObject *api_key;  /* bytes, as a header brings it */
    PyObject *app;      /* str */
    PyObject *app_json; /* bytes: the same as a JSON string */
    int secrets;
    sha256 inner[MAX_SECRETS], outer[MAX_SECRETS];
    sha256 identity; /* of the app, to which a body is added */
} keyed_app;

typedef struct {
    PyObject_HEAD
    Py_ssize_t count;
    keyed_app *apps;
} keyring;

/* Whether `claimed`, in hex, is the signature of the body that went into `inner`; in constant
 * time. */
static int is_signed(const keyed_app *app, int secret, sha256 *inner, const char *claimed) {
    uint8_t digest[32];
    unsigned different = 0;
    hmac_end(inner, &app->outer[secret], digest);
    for (int i = 0; i < 32; i++) {
        different |= (uint8_t)claimed[2 * i] ^ (uint8_t)HEX[digest[i] >> 4];
        different |= (uint8_t)claimed[2 * i + 1] ^ (uint8_t)HEX[digest[i] & 15];
    }
    return !different;
}

static const keyed_app *named(const keyring *self, slice api_key) {
    for (Py_ssize_t i = 0; i < self->count; i++) {
        const keyed_app *app = &self->apps[i];
        if ((size_t)PyBytes_GET_SIZE(app->api_key) == api_key.size
            && !memcmp(PyBytes_AS_STRING(app->api_key), api_key.at, api_key.size)) return app;
    }
    return NULL;
}

/* Who signed the body, and into `key` the digest of app and body; NULL: not by the book. */
static const keyed_app *signer(const keyring *self, const request_head *head, slice body,
                               uint8_t key[32]) {
    const slice claimed = head->values[SIGNATURE];
    if (claimed.size != SIGNATURE_BYTES || !head->values[API_KEY].size) return NULL;
    const keyed_app *app = named(self, head->values[API_KEY]);
    if (!app || !app->secrets) return NULL;
    const uint8_t *bytes = (const uint8_t *)body.at;
    sha256 identity = app->identity, inner = app->inner[0];
    sha256_add_to_both(&inner, &identity, bytes, body.size);
    int found = is_signed(app, 0, &inner, claimed.at);
    for (int secret = 1; secret < app->secrets && !found; secret++) {
        inner = app->inner[secret];
        sha256_add(&inner, bytes, body.size);
        found = is_signed(app, secret, &inner, claimed.at);
    }
    if (!found) return NULL;
    sha256_end(&identity, key);
    return app;
}

static void keyring_dealloc(keyring *self) {
    for (Py_ssize_t i = 0; i < self->count; i++) {
        Py_XDECREF(self->apps[i].api_key);
        Py_XDECREF(self->apps[i].app);
        Py_XDECREF(self->apps[i].app_json);
    }
    PyMem_Free(self->apps);
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

/* add(api_key: bytes, app: str, app_json: bytes, identity: bytes, secrets: tuple[bytes, ...]) */
static PyObject *keyring_add(keyring *self, PyObject *args) {
    PyObject *api_key, *app, *app_json, *secrets;
    const char *identity;
    Py_ssize_t identity_size;
    if (!PyArg_ParseTuple(args, "SUSy#O!", &api_key, &app, &app_json, &identity, &identity_size,
                          &PyTuple_Type, &secrets)) return NULL;
    if (PyTuple_GET_SIZE(secrets) > MAX_SECRETS) {
        PyErr_SetString(PyExc_ValueError, "too many secrets");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(secrets); i++)
        if (!PyBytes_Check(PyTuple_GET_ITEM(secrets, i))) {
            PyErr_SetString(PyExc_TypeError, "secrets are bytes");
            return NULL;
        }
    keyed_app *apps = PyMem_Realloc(self->apps, (size_t)(self->count + 1) * sizeof *apps);
    if (!apps) return PyErr_NoMemory();
    self->apps = apps;
    keyed_app *one = &apps[self->count++];
    *one = (keyed_app){Py_NewRef(api_key), Py_NewRef(app), Py_NewRef(app_json), .secrets = 0};
    sha256_begin(&one->identity);
    sha256_add(&one->identity, identity, (size_t)identity_size);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(secrets); i++) {
        PyObject *secret = PyTuple_GET_ITEM(secrets, i);
        hmac_begin(&one->inner[i], &one->outer[i], (const uint8_t *)PyBytes_AS_STRING(secret),
                   (size_t)PyBytes_GET_SIZE(secret));
        one->secrets++;
    }
    Py_RETURN_NONE;
}

/* ---- from a request to an Event */

static int is_plain(slice text) {
    for (size_t i = 0; i < text.size; i++)
        if (text.at[i] < 32 || text.at[i] > 126 || text.at[i] == '"' || text.at[i] == '\\') return 0;
    return 1;
}

static char *put(char *to, const char *text, size_t size) {
    memcpy(to, text, size);
    return to + size;
}

static char *put_quoted(char *to, slice text) {
    *to++ = '"';
    to = put(to, text.at, text.size);
    *to++ = '"';
    return to;
}

/* Without cycles, as all that an event holds is: let the collector not look at it. */
static PyObject *plain_object(PyObject *made) {
    PyObject_GC_UnTrack(made);
    return made;
}

/* The meta of an event as `gateway.event.Event` encodes it. */
static PyObject *make_meta(const keyed_app *app, const routing *route, long long accepted_ms,
                           const char *key_hex, slice webhook_id, slice signature) {
    char number[24];
    const int digits = snprintf(number, sizeof number, "%lld", accepted_ms);
    const size_t app_size = (size_t)PyBytes_GET_SIZE(app->app_json);
    const size_t cid_size = route->call_cid.at ? route->call_cid.size + 2 : 4;
    const size_t size = 1 + app_size + 1 + route->type.size + 2 + 1 + cid_size + 1 + (size_t)digits
        + 1 + 2 * KEY_BYTES + 2 + 1 + webhook_id.size + 2 + 1 + signature.size + 2
        + sizeof ",\"webhook\",\"\"]" - 1;
    PyObject *meta = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (!meta) return NULL;
    char *to = PyBytes_AS_STRING(meta);
    *to++ = '[';
    to = put(to, PyBytes_AS_STRING(app->app_json), app_size);
    *to++ = ',';
    to = put_quoted(to, route->type);
    *to++ = ',';
    to = route->call_cid.at ? put_quoted(to, route->call_cid) : put(to, "null", 4);
    *to++ = ',';
    to = put(to, number, (size_t)digits);
    *to++ = ',';
    to = put_quoted(to, (slice){key_hex, 2 * KEY_BYTES});
    *to++ = ',';
    to = put_quoted(to, webhook_id);
    *to++ = ',';
    to = put_quoted(to, signature);
    put(to, ",\"webhook\",\"\"]", sizeof ",\"webhook\",\"\"]" - 1);
    return meta;
}

/* CRC-32 of what the shard is computed from; `cid.at` NULL: an event of no call. */
static uint32_t hash_order(slice app, slice cid, const uint8_t *key) {
    if (!cid.at) return crc32_of(0, key, KEY_BYTES);
    uint32_t hash = crc32_of(0, app.at, app.size);
    hash = crc32_of(hash, "", 1);
    return crc32_of(hash, cid.at, cid.size);
}

static PyObject *make_event(const keyed_app *app, const routing *route, const request_head *head,
                            slice body, const uint8_t *digest, long long accepted_ms) {
    char key_hex[2 * KEY_BYTES];
    for (int i = 0; i < KEY_BYTES; i++) {
        key_hex[2 * i] = HEX[digest[i] >> 4];
        key_hex[2 * i + 1] = HEX[digest[i] & 15];
    }
    const slice id = head->values[WEBHOOK_ID].at ? head->values[WEBHOOK_ID] : (slice){"", 0};
    const slice cid = route->call_cid;
    slice name;
    Py_ssize_t name_size;
    name.at = PyUnicode_AsUTF8AndSize(app->app, &name_size);
    name.size = (size_t)name_size;
    PyObject *event = name.at ? event_type->tp_alloc(event_type, 0) : NULL;
    if (!event) return NULL;
    SLOT(event, ACCEPTED_MS) = PyLong_FromLongLong(accepted_ms);
    SLOT(event, APP) = Py_NewRef(app->app);
    SLOT(event, BODY) = PyBytes_FromStringAndSize(body.at, (Py_ssize_t)body.size);
    SLOT(event, CALL_CID) =
        cid.at ? PyUnicode_DecodeASCII(cid.at, (Py_ssize_t)cid.size, NULL) : Py_NewRef(Py_None);
    SLOT(event, KEY) = PyBytes_FromStringAndSize((const char *)digest, KEY_BYTES);
    SLOT(event, META) =
        make_meta(app, route, accepted_ms, key_hex, id, head->values[SIGNATURE]);
    SLOT(event, ORDER_HASH) = PyLong_FromUnsignedLong(hash_order(name, cid, digest));
    SLOT(event, TYPE) = PyUnicode_DecodeASCII(route->type.at, (Py_ssize_t)route->type.size, NULL);
    SLOT(event, UNFIT) = Py_NewRef(empty_text);
    for (int i = 0; i < SLOTS; i++)
        if (!SLOT(event, i)) {
            Py_DECREF(event);
            return NULL;
        }
    return plain_object(event);
}

/* Take the plain request at the start of `given`: its event and its length, or NULL without an
 * exception. `now_ms` 0: by the clock. `alone`: only if nothing follows it. */
static PyObject *take_plain(const keyring *ring, slice given, slice line, size_t max_head,
                            size_t max_body, long long now_ms, int alone, size_t *length) {
    if (given.size < line.size || memcmp(given.at, line.at, line.size)) return NULL;
    const char *end = given.at + given.size;
    const char *head_end = given.size > max_head ? given.at + max_head : end;
    request_head head;
    const char *body = head_parse(given.at + line.size, head_end, &head);
    if (!body || head.content_length > max_body
        || head.content_length > (size_t)(end - body)) return NULL;
    const slice content = {body, head.content_length};
    *length = (size_t)(body - given.at) + content.size;
    if (alone && *length != given.size) return NULL;
    if (content.size < 2 || (uint8_t)body[0] == 0x1f) return NULL;
    const slice id = head.values[WEBHOOK_ID];
    if (id.size > MAX_WEBHOOK_ID || !is_plain(id)) return NULL;
    uint8_t key[32];
    const keyed_app *app = signer(ring, &head, content, key);
    if (!app) return NULL;
    routing route;
    const uint8_t *bytes = (const uint8_t *)body;
    if (!routing_find(bytes, bytes + content.size, &route)) return NULL;
    if (!now_ms) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        now_ms = (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    }
    return make_event(app, &route, &head, content, key, now_ms);
}

/* take(data, start, request_line, max_head, max_body, now_ms) -> (length, Event) | None */
static PyObject *keyring_take(keyring *self, PyObject *const *args, Py_ssize_t count) {
    if (count != 6 || !PyBytes_Check(args[0]) || !PyBytes_Check(args[2])) {
        PyErr_SetString(PyExc_TypeError, "take(data, start, line, max_head, max_body, now_ms)");
        return NULL;
    }
    const Py_ssize_t start = PyLong_AsSsize_t(args[1]);
    const size_t max_head = PyLong_AsSize_t(args[3]), max_body = PyLong_AsSize_t(args[4]);
    const long long now_ms = PyLong_AsLongLong(args[5]);
    if (PyErr_Occurred()) return NULL;
    const Py_ssize_t size = PyBytes_GET_SIZE(args[0]);
    if (start < 0 || start > size) Py_RETURN_NONE;
    const slice given = {PyBytes_AS_STRING(args[0]) + start, (size_t)(size - start)};
    const slice line = {PyBytes_AS_STRING(args[2]), (size_t)PyBytes_GET_SIZE(args[2])};
    size_t length = 0;
    PyObject *event = take_plain(self, given, line, max_head, max_body, now_ms, 0, &length);
    if (event) return Py_BuildValue("(nN)", (Py_ssize_t)length, event);
    if (PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef keyring_methods[] = {
    {"add", (PyCFunction)keyring_add, METH_VARARGS, "Add an app and its secrets."},
    {"take", (PyCFunction)(void (*)(void))keyring_take, METH_FASTCALL,
     "Take one plain, signed, whole request; None: not mine."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot keyring_slots[] = {
    {Py_tp_dealloc, keyring_dealloc}, {Py_tp_methods, keyring_methods}, {0, NULL},
};
static PyType_Spec keyring_spec = {
    "gateway.native._native.Keyring", sizeof(keyring), 0, Py_TPFLAGS_DEFAULT, keyring_slots,
};
static PyTypeObject *keyring_type;

#include "receiver.h"
#include "sockets.h"

#include "records.h"

/* ---- the protocol of Redis */

/* Write a mark, a number and the end of the line to `to`; returns how long that is. */
static int decimal(char *to, size_t number, char mark) {
    char digits[20];
    int count = 0, size = 0;
    do digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    to[size++] = mark;
    while (count) to[size++] = digits[--count];
    to[size++] = '\r', to[size++] = '\n';
    return size;
}

static size_t bulk_size(Py_ssize_t size) {
    char head[24];
    return (size_t)decimal(head, (size_t)size, '$') + (size_t)size + 2;
}

static char *put_bulk(char *to, PyObject *text) {
    const size_t size = (size_t)PyBytes_GET_SIZE(text);
    to += decimal(to, size, '$');
    to = put(to, PyBytes_AS_STRING(text), size);
    return put(to, "\r\n", 2);
}

/* ---- one command for each shard: `gateway.stream.publisher` says what is in them */

enum { PER_EVENT = 3 }; /* arguments: digest, meta, body */
static const int PUBLISHED[PER_EVENT] = {KEY, META, BODY};

typedef struct {
    Py_ssize_t position, many, count; /* what it has; its events, and the arguments before them */
    PyObject *named, *last;           /* its first arguments, and the last before the events */
    PyObject *last_ms;                /* of its last event */
    size_t size;
} outgoing;

/* Read `shards`, a list of (position, count, named, last). */
static Py_ssize_t read_shards(PyObject *shards, outgoing *out) {
    const Py_ssize_t many = PyList_GET_SIZE(shards);
    if (!many || many > MAX_SHARDS) {
        PyErr_SetString(PyExc_ValueError, "too many shards, or none");
        return -1;
    }
    for (Py_ssize_t i = 0; i < many; i++) {
        PyObject *one = PyList_GET_ITEM(shards, i);
        if (!PyTuple_Check(one)) {
            PyErr_SetString(PyExc_TypeError, "a shard is (position, count, named, last)");
            return -1;
        }
        if (!PyArg_ParseTuple(one, "nnSS", &out[i].position, &out[i].count, &out[i].named,
                              &out[i].last)) return -1;
    }
    return many;
}

/* The shard that lacks the event of `one`, MAX_SHARDS if none does; -1: nonsense, -2: unfit. */
static int lacking(PyObject *one, const outgoing *out, Py_ssize_t shards) {
    if (!Py_IS_TYPE(one, stored_type) || PyTuple_GET_SIZE(one) != 4) {
        PyErr_SetString(PyExc_TypeError, "expected what stands in a journal");
        return -1;
    }
    PyObject *event = PyTuple_GET_ITEM(one, 3);
    if (check_event(event)) return -1;
    if (!SLOT(event, ORDER_HASH) || !SLOT(event, ACCEPTED_MS)) {
        PyErr_SetString(PyExc_TypeError, "expected whole events");
        return -1;
    }
    const int unfit = PyObject_IsTrue(SLOT(event, UNFIT));
    const size_t hash = PyLong_AsSize_t(SLOT(event, ORDER_HASH));
    const Py_ssize_t end = PyLong_AsSsize_t(PyTuple_GET_ITEM(one, 1));
    if (unfit < 0 || PyErr_Occurred()) return -1;
    if (unfit) return -2;
    const int shard = (int)(hash % (size_t)shards);
    return end <= out[shard].position ? MAX_SHARDS : shard;
}

static void add_event(outgoing *one, PyObject *event) {
    for (int j = 0; j < PER_EVENT; j++)
        one->size += bulk_size(PyBytes_GET_SIZE(SLOT(event, PUBLISHED[j])));
    one->last_ms = SLOT(event, ACCEPTED_MS);
    one->many++;
}

/* Write the command up to its events; with `to` NULL only count. Returns its length. */
static size_t put_head(char *to, const outgoing *one, slice journal, size_t upto) {
    char number[3][24], lines[3][48], count[24];
    const size_t numbers[] = {(size_t)one->position, upto, PyLong_AsSize_t(one->last_ms)};
    const int start = decimal(count, (size_t)(one->count + PER_EVENT * one->many), '*');
    slice parts[7] = {
        {count, (size_t)start},
        {PyBytes_AS_STRING(one->named), (size_t)PyBytes_GET_SIZE(one->named)},
        journal,
    };
    for (int i = 0; i < 3; i++) {
        const int size = snprintf(number[i], sizeof number[i], "%zu", numbers[i]);
        const int line = snprintf(lines[i], sizeof lines[i], "$%d\r\n%s\r\n", size, number[i]);
        parts[3 + i] = (slice){lines[i], (size_t)line};
    }
    parts[6] = (slice){PyBytes_AS_STRING(one->last), (size_t)PyBytes_GET_SIZE(one->last)};
    size_t length = 0;
    for (int i = 0; i < 7; i++) {
        if (to) memcpy(to + length, parts[i].at, parts[i].size);
        length += parts[i].size;
    }
    return length;
}

/* The command for one shard. */
static PyObject *put_command(PyObject *stored, const uint8_t *shard_of, Py_ssize_t shard,
                             const outgoing *one, slice journal, size_t upto) {
    const size_t head = put_head(NULL, one, journal, upto);
    if (PyErr_Occurred()) return NULL;
    PyObject *command = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(head + one->size));
    if (!command) return NULL;
    char *to = PyBytes_AS_STRING(command);
    to += put_head(to, one, journal, upto);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(stored); i++) {
        if (shard_of[i] != shard) continue;
        PyObject *event = PyTuple_GET_ITEM(PyList_GET_ITEM(stored, i), 3);
        for (int j = 0; j < PER_EVENT; j++) to = put_bulk(to, SLOT(event, PUBLISHED[j]));
    }
    return command;
}

/* publish(stored: list[Stored], shards, journal, upto) -> (list[int], list[bytes]) | None
 * The shards that lack any of `stored`, and a command for each. None: one of the events is unfit,
 * and Python packs them. */
static PyObject *publish(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *stored, *given;
    slice journal;
    Py_ssize_t journal_size, upto;
    if (!PyArg_ParseTuple(args, "O!O!y#n", &PyList_Type, &stored, &PyList_Type, &given, &journal.at,
                          &journal_size, &upto)) return NULL;
    journal.size = (size_t)journal_size;
    outgoing out[MAX_SHARDS] = {0};
    const Py_ssize_t shards = read_shards(given, out), count = PyList_GET_SIZE(stored);
    uint8_t *shard_of = shards < 0 ? NULL : PyMem_Malloc((size_t)count + 1);
    if (!shard_of) return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    PyObject *which = PyList_New(0), *commands = PyList_New(0);
    int shard = which && commands ? 0 : -1;
    for (Py_ssize_t i = 0; i < count && shard >= 0; i++) {
        PyObject *one = PyList_GET_ITEM(stored, i);
        shard = lacking(one, out, shards);
        shard_of[i] = (uint8_t)shard;
        if (shard >= 0 && shard < MAX_SHARDS) add_event(&out[shard], PyTuple_GET_ITEM(one, 3));
    }
    for (Py_ssize_t i = 0; i < shards && shard >= 0; i++)
        if (out[i].many
            && (append_new(which, PyLong_FromSsize_t(i))
                || append_new(commands, put_command(stored, shard_of, i, &out[i], journal,
                                                    (size_t)upto)))) shard = -1;
    PyMem_Free(shard_of);
    if (shard >= 0) return Py_BuildValue("(NN)", which, commands);
    Py_XDECREF(which);
    Py_XDECREF(commands);
    if (shard == -2) Py_RETURN_NONE;
    return NULL;
}

/* observe(bounds: tuple[float, ...], counts: list[int], moments: list[float], now) -> their sum
 * Count for each moment how long before `now` it was, as `Histogram.observe` does. */
static PyObject *observe(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *bounds, *counts, *moments;
    double now, sum = 0;
    if (!PyArg_ParseTuple(args, "O!O!O!d", &PyTuple_Type, &bounds, &PyList_Type, &counts,
                          &PyList_Type, &moments, &now)) return NULL;
    const Py_ssize_t many = PyTuple_GET_SIZE(bounds);
    long added[MAX_BOUNDS + 1] = {0};
    if (many > MAX_BOUNDS || PyList_GET_SIZE(counts) != many + 1) {
        PyErr_SetString(PyExc_ValueError, "bounds and counts do not match");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(moments); i++) {
        const double value = now - PyFloat_AsDouble(PyList_GET_ITEM(moments, i));
        Py_ssize_t bound = 0;
        while (bound < many && PyFloat_AS_DOUBLE(PyTuple_GET_ITEM(bounds, bound)) < value) bound++;
        added[bound]++, sum += value;
    }
    for (Py_ssize_t i = 0; i <= many && !PyErr_Occurred(); i++) {
        if (!added[i]) continue;
        PyObject *count = PyLong_FromLong(added[i] + PyLong_AsLong(PyList_GET_ITEM(counts, i)));
        if (count) PyList_SetItem(counts, i, count);
    }
    return PyErr_Occurred() ? NULL : PyFloat_FromDouble(sum);
}

/* send(fd, data: bytes) -> how much of it the socket took at once; 0 where it failed, too */
static PyObject *send_some(PyObject *module, PyObject *args) {
    (void)module;
    int fd;
    PyObject *data;
    if (!PyArg_ParseTuple(args, "iS", &fd, &data)) return NULL;
    return PyLong_FromSsize_t(send_at_once(fd, data));
}

#include "crowd.h"

static PyMethodDef functions[] = {
    {"send", send_some, METH_VARARGS, "Send what a socket takes at once."},
    {"relay", relay, METH_VARARGS, "Send the same bytes to many connections."},
    {"relay_by", relay_by, METH_VARARGS, "Learn which connections relay sends to by itself."},
    {"receive_by", receive_by, METH_VARARGS, "Give connections their data_received."},
    {"answer", answer, METH_VARARGS, "Resolve replies with the plain 200."},
    {"observe", observe, METH_VARARGS, "Count moments in a histogram."},
    {"encode", encode, METH_VARARGS, "Encode events as journal records."},
    {"decode", decode, METH_VARARGS, "Read events back from journal records."},
    {"publish", publish, METH_VARARGS, "Pack a command for each shard that lacks events."},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_native", "See gateway.native.", -1, functions, NULL, NULL, NULL, NULL,
};

static int learn_event(void) {
    PyObject *module = PyImport_ImportModule("gateway.event");
    if (!module) return -1;
    event_type = (PyTypeObject *)PyObject_GetAttrString(module, "Event");
    stored_type = (PyTypeObject *)PyObject_GetAttrString(module, "Stored");
    Py_DECREF(module);
    if (!event_type || !stored_type) return -1;
    return find_slots((PyObject *)event_type, SLOT_NAMES, slot_offsets, SLOTS);
}

PyMODINIT_FUNC PyInit__native(void) {
    crc32_prepare(), crc32_look(), head_prepare(), routing_prepare();
    if (learn_event()) return NULL;
    if (!(empty_text = PyUnicode_FromStringAndSize("", 0))) return NULL;
    PyObject *module = PyModule_Create(&definition);
    if (!module) return NULL;
    keyring_type = (PyTypeObject *)PyType_FromSpec(&keyring_spec);
    if (!keyring_type || PyModule_AddObjectRef(module, "Keyring", (PyObject *)keyring_type)
        || receiver_prepare(module)
        || sockets_prepare(module) || crowd_prepare()
        || PyModule_AddObject(module, "KeyedHash", PyType_FromSpec(&keyed_hash_spec))
        || PyModule_AddIntConstant(module, "HASHES_FAST", sha256_is_fast())) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
