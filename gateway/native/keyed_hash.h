/* KeyedHash: HMAC-SHA256 under one key, as `gateway.keyed_hash` has it. */
#ifndef GATEWAY_KEYED_HASH_H
#define GATEWAY_KEYED_HASH_H

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

typedef struct {
    PyObject_HEAD
    sha256 inner, outer;
} keyed_hash;

static PyObject *keyed_hash_new(PyTypeObject *type, PyObject *args, PyObject *named) {
    (void)named;
    const char *key;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "y#", &key, &size)) return NULL;
    keyed_hash *self = (keyed_hash *)type->tp_alloc(type, 0);
    if (self) hmac_begin(&self->inner, &self->outer, (const uint8_t *)key, (size_t)size);
    return (PyObject *)self;
}

/* sign(message: bytes) -> str: in lower-case hex */
static PyObject *keyed_hash_sign(keyed_hash *self, PyObject *message) {
    if (!PyBytes_Check(message)) {
        PyErr_SetString(PyExc_TypeError, "a message is bytes");
        return NULL;
    }
    uint8_t digest[32];
    char hex[64];
    sha256 inner = self->inner;
    sha256_add(&inner, PyBytes_AS_STRING(message), (size_t)PyBytes_GET_SIZE(message));
    hmac_end(&inner, &self->outer, digest);
    for (int i = 0; i < 32; i++) {
        hex[2 * i] = HEX[digest[i] >> 4];
        hex[2 * i + 1] = HEX[digest[i] & 15];
    }
    return PyUnicode_DecodeASCII(hex, sizeof hex, NULL);
}

static PyMethodDef keyed_hash_methods[] = {
    {"sign", (PyCFunction)keyed_hash_sign, METH_O, "Return the signature in lower-case hex."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot keyed_hash_slots[] = {
    {Py_tp_new, keyed_hash_new}, {Py_tp_methods, keyed_hash_methods}, {0, NULL},
};
static PyType_Spec keyed_hash_spec = {
    "gateway.native._native.KeyedHash", sizeof(keyed_hash), 0, Py_TPFLAGS_DEFAULT,
    keyed_hash_slots,
};

#endif
