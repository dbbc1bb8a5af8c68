/* The optional C piece: what `gateway.native` says, for CPython 3.11 and newer.
 *
 * Nothing here decides anything that Python does not: `Keyring.take` returns None for every
 * request that is not the plain case, and the Python code beside it takes over from the start; but
 * what was found to be nobody's signature is not computed again there.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <structmember.h>
#include <time.h>

#include "crc32.h"
#include "head.h"
#include "routing.h"
#include "sha256.h"
#include "hmac.h"

enum { MAX_SHARDS = 64, MAX_BOUNDS = 64, KEY_BYTES = 16, SIGNATURE_BYTES = 64, MAX_WEBHOOK_ID = 128, MAX_SECRETS = 2, MAX_SLOTS = 16 };

/* ---- gateway.event: its classes, and where the slots of an Event lie */

enum { ACCEPTED_MS, APP, BODY, CALL_CID, KEY, META, ORDER_HASH, TYPE, UNFIT, SLOTS };
static const char *const SLOT_NAMES[SLOTS] = {
    "accepted_ms", "app", "body", "call_cid", "key", "meta", "order_hash", "type", "unfit",
};
static PyTypeObject *event_type, *stored_type;
static Py_ssize_t slot_offsets[SLOTS];
static PyObject *empty_text;

#define SLOT(event, slot) (*(PyObject **)((char *)(event) + slot_offsets[slot]))

/* Look up where the named slots of a class lie in its objects: all of them, or nothing changes. */
static int find_slots(PyObject *type, const char *const *names, Py_ssize_t *offsets, int count) {
    Py_ssize_t found_at[MAX_SLOTS];
    for (int i = 0; i < count; i++) {
        PyObject *found = PyObject_GetAttrString(type, names[i]);
        if (!found) return -1;
        if (!Py_IS_TYPE(found, &PyMemberDescr_Type)) {
            Py_DECREF(found);
            PyErr_Format(PyExc_ImportError, "%R has no slot %s", type, names[i]);
            return -1;
        }
        found_at[i] = ((PyMemberDescrObject *)found)->d_member->offset;
        Py_DECREF(found);
    }
    memcpy(offsets, found_at, (size_t)count * sizeof *offsets);
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
    uint32_t order_hash; /* of the app, to which a call is added */
} keyed_app;

typedef struct {
    PyObject_HEAD
    Py_ssize_t count;
    keyed_app *apps;
    keyed_app nobody; /* hashed with where there is no app, or no further secret of it */
    int most_secrets; /* of any app */
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

enum { NOT_PLAIN, GENUINE, FORGED };

/* Whose signature it is: GENUINE, with the app in `app` and the digest of app and body in `key`;
 * FORGED: nobody's; NOT_PLAIN: not by the book. An unknown API key costs as much as a wrong
 * signature under a known one, however many secrets that has. */
static int signer(const keyring *self, const request_head *head, slice body,
                  const keyed_app **app, uint8_t key[32]) {
    const slice claimed = head->values[SIGNATURE];
    if (claimed.size != SIGNATURE_BYTES || !head->values[API_KEY].size) return NOT_PLAIN;
    const keyed_app *known = named(self, head->values[API_KEY]);
    const keyed_app *hashed = known && known->secrets ? known : &self->nobody;
    const uint8_t *bytes = (const uint8_t *)body.at;
    sha256 identity = hashed->identity, inner = hashed->inner[0];
    sha256_add_to_both(&inner, &identity, bytes, body.size);
    int found = is_signed(hashed, 0, &inner, claimed.at) && hashed == known;
    for (int secret = 1; secret < self->most_secrets && !found; secret++) {
        const keyed_app *next = secret < hashed->secrets ? hashed : &self->nobody;
        inner = next->inner[secret];
        sha256_add(&inner, bytes, body.size);
        found = is_signed(next, secret, &inner, claimed.at) && next == known;
    }
    if (!found) return FORGED;
    sha256_end(&identity, key);
    *app = known;
    return GENUINE;
}

/* Make what is hashed with for nobody: of an empty secret, by which nothing is ever signed. */
static void keyring_begin(keyring *self) {
    const uint8_t none = 0;
    sha256_begin(&self->nobody.identity);
    for (int i = 0; i < MAX_SECRETS; i++)
        hmac_begin(&self->nobody.inner[i], &self->nobody.outer[i], &none, 0);
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
    if (!self->count) keyring_begin(self);
    keyed_app *apps = PyMem_Realloc(self->apps, (size_t)(self->count + 1) * sizeof *apps);
    if (!apps) return PyErr_NoMemory();
    self->apps = apps;
    keyed_app *one = &apps[self->count++];
    *one = (keyed_app){Py_NewRef(api_key), Py_NewRef(app), Py_NewRef(app_json), .secrets = 0};
    sha256_begin(&one->identity);
    sha256_add(&one->identity, identity, (size_t)identity_size);
    one->order_hash = crc32_of(0, identity, (size_t)identity_size);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(secrets); i++) {
        PyObject *secret = PyTuple_GET_ITEM(secrets, i);
        hmac_begin(&one->inner[i], &one->outer[i], (const uint8_t *)PyBytes_AS_STRING(secret),
                   (size_t)PyBytes_GET_SIZE(secret));
        one->secrets++;
    }
    if (one->secrets > self->most_secrets) self->most_secrets = one->secrets;
    Py_RETURN_NONE;
}

#include "plain.h"

/* take(data, start, request_line, max_head, max_body, now_ms) -> (length, Event) | (length, None) | None
 *
 * No Event: whole, and its signature is nobody's. */
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
    plain_request found;
    const int read = read_plain(self, given, line, max_head, max_body, now_ms, 0, &found);
    if (read == NOT_PLAIN) Py_RETURN_NONE;
    if (read == FORGED) return Py_BuildValue("(nO)", (Py_ssize_t)found.length, Py_None);
    PyObject *event = make_event(&found);
    return event ? Py_BuildValue("(nN)", (Py_ssize_t)found.length, event) : NULL;
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

#include "stretch.h"
#include "records.h"
#include "receiver.h"
#include "sockets.h"
#include "syncing.h"
#include "publish.h"

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
#include "hashing.h"

static PyMethodDef functions[] = {
    {"send", send_some, METH_VARARGS, "Send what a socket takes at once."},
    {"relay", relay, METH_VARARGS, "Send the same bytes to many connections."},
    {"relay_by", relay_by, METH_VARARGS, "Learn which connections relay sends to by itself."},
    {"receive_by", receive_by, METH_VARARGS, "Give connections their data_received."},
    {"answer", answer, METH_VARARGS, "Resolve replies with the plain 200."},
    {"observe", observe, METH_VARARGS, "Count moments in a histogram."},
    {"encode", encode, METH_VARARGS, "Encode events as journal records."},
    {"decode", decode, METH_VARARGS, "Read events back from journal records."},
    {"hash_by", hash_by, METH_O, "Hash by this of HASHINGS from now on; for tests."},
    {"hashing", hashing, METH_NOARGS, "Which of HASHINGS is in use."},
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
    sha256_look();
    if (learn_event()) return NULL;
    if (!(empty_text = PyUnicode_FromStringAndSize("", 0))) return NULL;
    PyObject *module = PyModule_Create(&definition);
    if (!module) return NULL;
    keyring_type = (PyTypeObject *)PyType_FromSpec(&keyring_spec);
    if (!keyring_type || PyModule_AddObjectRef(module, "Keyring", (PyObject *)keyring_type)
        || stretch_prepare(module) || receiver_prepare(module)
        || sockets_prepare(module) || syncing_prepare(module) || crowd_prepare()
        || hashing_prepare(module)) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
