/* Syncing: what the journal's thread does, all of it but telling: wait for marks, sync, rest.
 *
 * The same as `gateway.journal.syncer.PlainSyncing`, without the interpreter: a thread of Python
 * that syncs 200 times a second takes the lock of the interpreter again after each of its calls, and
 * the event loop waits for it as often.
 *
 * What it alone buys: 5 and 6 % of `ack: journal` at one connection (medians of 90 and of 60 pairs,
 * -27..73), 1 to 2 % at 64 and 256; nothing of `ack: redis` (80 pairs, 2026-12-01, an idle machine):
 * `python -m bench.micro.c_piece journal --pairs 60 -- -Syncing`.
 */
#ifndef GATEWAY_SYNCING_H
#define GATEWAY_SYNCING_H

#ifdef __linux__
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

typedef struct {
    int fd;
    long long end; /* all of the journal before it is in this file or an older one */
} marked_file;

typedef struct {
    PyObject_HEAD
    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t news;
    marked_file *marked; /* the oldest first, each descriptor once */
    size_t count, room;
    long long synced, rest_ns;
    /* Descriptors, -1: none. While there is one whose sync has failed no other's counts. */
    int failed, current;
    bool is_waiting, is_closed, owes_rest;
    atomic_bool is_awaited;
} syncing;

static bool syncing_put(syncing *self, int fd, long long end) {
    for (size_t i = 0; i < self->count; i++)
        if (self->marked[i].fd == fd) {
            self->marked[i].end = end;
            return true;
        }
    if (self->count == self->room) {
        const size_t room = self->room ? 2 * self->room : 4;
        marked_file *grown = PyMem_RawRealloc(self->marked, room * sizeof *grown);
        if (!grown) return false;
        self->marked = grown, self->room = room;
    }
    self->marked[self->count++] = (marked_file){fd, end};
    return true;
}

/* mark(fd, end): sync this file, and then all of the journal before `end` is on disk */
static PyObject *syncing_mark(syncing *self, PyObject *args) {
    marked_file one;
    if (!PyArg_ParseTuple(args, "iL", &one.fd, &one.end)) return NULL;
    pthread_mutex_lock(&self->lock);
    const bool is_put = one.fd == self->failed || syncing_put(self, one.fd, one.end);
    if (self->is_waiting) pthread_cond_signal(&self->news);
    pthread_mutex_unlock(&self->lock);
    if (!is_put) return PyErr_NoMemory();
    Py_RETURN_NONE;
}

static void syncing_drop(syncing *self, size_t i) {
    memmove(self->marked + i, self->marked + i + 1, (--self->count - i) * sizeof *self->marked);
}

static void syncing_unmark(syncing *self, int fd) {
    for (size_t i = self->count; i--;)
        if (self->marked[i].fd == fd) syncing_drop(self, i);
}

/* forget(fd): it is another file's, or about to be closed */
static PyObject *syncing_forget(syncing *self, PyObject *args) {
    int fd;
    if (!PyArg_ParseTuple(args, "i", &fd)) return NULL;
    pthread_mutex_lock(&self->lock);
    syncing_unmark(self, fd);
    if (fd == self->failed) self->failed = -1;
    if (fd == self->current) self->current = -1;
    pthread_mutex_unlock(&self->lock);
    Py_RETURN_NONE;
}

/* Whoever closes ends the rest; a mark does not. */
static void syncing_rest(syncing *self) {
    if (!self->owes_rest) return;
    self->owes_rest = false;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    const long long ns = until.tv_nsec + self->rest_ns;
    until.tv_sec += ns / 1000000000, until.tv_nsec = ns % 1000000000;
    while (!self->is_closed && !pthread_cond_timedwait(&self->news, &self->lock, &until)) {}
}

/* Wait for a mark and take it; false: closed, and all that was marked is synced. */
static bool syncing_next(syncing *self, marked_file *one) {
    self->is_waiting = true;
    while (!self->count && !self->is_closed) pthread_cond_wait(&self->news, &self->lock);
    self->is_waiting = false;
    if (!self->count) return false;
    *one = self->marked[0], self->current = one->fd;
    syncing_drop(self, 0);
    return true;
}

static int sync_file(int fd) {
    while (fdatasync(fd))
        if (errno != EINTR) return errno;
    return 0;
}

/* run() -> (fd, end, errno) as soon as there is something to tell; None once closed */
static PyObject *syncing_run(syncing *self, PyObject *nothing) {
    (void)nothing;
    marked_file one = {0};
    int error = 0;
    bool is_left, is_counted;
    Py_BEGIN_ALLOW_THREADS
    pthread_mutex_lock(&self->lock);
    do {
        syncing_rest(self);
        if (!(is_left = syncing_next(self, &one))) break;
        pthread_mutex_unlock(&self->lock);
        error = sync_file(one.fd);
        pthread_mutex_lock(&self->lock);
        is_counted = one.fd == self->current;
        if (is_counted && error) self->failed = one.fd, syncing_unmark(self, one.fd);
        else if (is_counted && self->failed < 0 && one.end > self->synced) self->synced = one.end;
        self->owes_rest = true;
    } while (!is_counted || (!error && !self->is_awaited));
    pthread_mutex_unlock(&self->lock);
    Py_END_ALLOW_THREADS
    if (!is_left) Py_RETURN_NONE;
    return Py_BuildValue("iLi", one.fd, one.end, error);
}

/* close(): sync what is marked, and no more */
static PyObject *syncing_close(syncing *self, PyObject *nothing) {
    (void)nothing;
    pthread_mutex_lock(&self->lock);
    self->is_closed = true;
    pthread_cond_signal(&self->news);
    pthread_mutex_unlock(&self->lock);
    Py_RETURN_NONE;
}

static PyObject *syncing_get_synced(syncing *self, void *nothing) {
    (void)nothing;
    pthread_mutex_lock(&self->lock);
    const long long synced = self->synced;
    pthread_mutex_unlock(&self->lock);
    return PyLong_FromLongLong(synced);
}

static PyObject *syncing_get_awaited(syncing *self, void *nothing) {
    (void)nothing;
    return PyBool_FromLong(self->is_awaited);
}

static int syncing_set_awaited(syncing *self, PyObject *value, void *nothing) {
    (void)nothing;
    const int is_awaited = value ? PyObject_IsTrue(value) : 0;
    if (is_awaited < 0) return -1;
    self->is_awaited = is_awaited;
    return 0;
}

/* Syncing(interval_s): rest so long after each sync */
static PyObject *syncing_new(PyTypeObject *type, PyObject *args, PyObject *named) {
    double interval_s;
    if (named || !PyArg_ParseTuple(args, "d", &interval_s)) return NULL;
    syncing *self = (syncing *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->rest_ns = (long long)(interval_s * 1e9), self->failed = self->current = -1;
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->news, &clock);
    pthread_condattr_destroy(&clock);
    return (PyObject *)self;
}

static void syncing_dealloc(syncing *self) {
    PyTypeObject *type = Py_TYPE(self);
    pthread_cond_destroy(&self->news);
    pthread_mutex_destroy(&self->lock);
    PyMem_RawFree(self->marked);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef syncing_methods[] = {
    {"mark", (PyCFunction)syncing_mark, METH_VARARGS, "Ask for a sync."},
    {"forget", (PyCFunction)syncing_forget, METH_VARARGS, "Know nothing of a descriptor."},
    {"run", (PyCFunction)syncing_run, METH_NOARGS, "Sync until there is something to tell."},
    {"close", (PyCFunction)syncing_close, METH_NOARGS, "Sync what is marked, and no more."},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef syncing_attributes[] = {
    {"synced", (getter)syncing_get_synced, NULL, "All before it is on disk.", NULL},
    {"is_awaited", (getter)syncing_get_awaited, (setter)syncing_set_awaited,
     "Whether a sync that succeeds is told.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot syncing_slots[] = {
    {Py_tp_new, syncing_new}, {Py_tp_dealloc, syncing_dealloc}, {Py_tp_methods, syncing_methods},
    {Py_tp_getset, syncing_attributes}, {0, NULL},
};
static PyType_Spec syncing_spec = {
    "gateway.native._native.Syncing", sizeof(syncing), 0, Py_TPFLAGS_DEFAULT, syncing_slots,
};

static int syncing_prepare(PyObject *module) {
    PyObject *type = PyType_FromSpec(&syncing_spec);
    return type ? PyModule_AddObject(module, "Syncing", type) : -1;
}

#else

static int syncing_prepare(PyObject *module) {
    return PyModule_AddObjectRef(module, "Syncing", Py_None);
}

#endif
#endif
