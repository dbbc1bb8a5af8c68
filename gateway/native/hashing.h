/* Which code hashes: what can run here, which of it is in use, and a test's way to change that. */
#ifndef GATEWAY_HASHING_H
#define GATEWAY_HASHING_H

/* hashing() -> the one of HASHINGS that is in use */
static PyObject *hashing(PyObject *module, PyObject *nothing) {
    (void)module, (void)nothing;
    return PyUnicode_FromString(sha256_by->name);
}

/* hash_by(name): use this one of HASHINGS */
static PyObject *hash_by(PyObject *module, PyObject *name) {
    (void)module;
    const char *wanted = PyUnicode_AsUTF8(name);
    if (!wanted) return NULL;
    for (const sha256_code *one = sha256_best; one < SHA256_CODES + SHA256_CODE_COUNT; one++)
        if (!strcmp(one->name, wanted)) {
            sha256_by = one;
            Py_RETURN_NONE;
        }
    return PyErr_Format(PyExc_ValueError, "this processor cannot hash by %R", name);
}

/* HASHINGS: the names of all that this processor can run, the best first */
static int hashing_prepare(PyObject *module) {
    const sha256_code *end = SHA256_CODES + SHA256_CODE_COUNT;
    PyObject *names = PyTuple_New(end - sha256_best);
    for (Py_ssize_t i = 0; names && i < end - sha256_best; i++) {
        PyObject *name = PyUnicode_FromString(sha256_best[i].name);
        if (!name) Py_CLEAR(names);
        else PyTuple_SET_ITEM(names, i, name);
    }
    const int failed = !names || PyModule_AddObjectRef(module, "HASHINGS", names);
    Py_XDECREF(names);
    return failed ? -1 : 0;
}

#endif
