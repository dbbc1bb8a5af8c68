/* Sockets: reads the sockets of connections that send nothing but plain requests, many in one call.
 *
 * A connection joins with its first plain request: its transport reads no more, and this does. It
 * leaves with whatever is not plain, an end or an error included, which its transport then meets
 * itself. So nothing is decided here: a connection behaves as if its transport had read it all along.
 *
 * What it alone buys: 16 % of `ack: redis` at 64 connections (median of 80 pairs, -36..65), 5 % at
 * 256, nothing at one; 4, 2 and 5 % of `ack: journal` (60 pairs); nothing over TLS (2026-12-01, an
 * idle machine): `python -m bench.micro.c_piece redis --pairs 80 -- -Sockets`.
 */
#ifndef GATEWAY_SOCKETS_H
#define GATEWAY_SOCKETS_H

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/epoll.h>

enum { SOCKETS_BYTES = 64 << 10, SOCKETS_ROUND = 256 };

typedef struct {
    PyObject_HEAD
    int epoll;          /* all members */
    int gate;           /* `epoll` alone, or nothing while they rest: what a loop waits for */
    int room;           /* descriptors below it have a place in `members` */
    PyObject **members; /* by descriptor; NULL: not here */
    char *buffer;
} sockets;

static PyTypeObject *sockets_type;
static PyObject *name_join, *name_leave;

static int sockets_make_room(sockets *self, int fd) {
    if (fd < self->room) return 0;
    int room = self->room ? self->room : 64;
    while (room <= fd) room *= 2;
    PyObject **members = PyMem_Realloc(self->members, (size_t)room * sizeof *members);
    if (!members) return -1;
    memset(members + self->room, 0, (size_t)(room - self->room) * sizeof *members);
    self->members = members, self->room = room;
    return 0;
}

static void sockets_forget(sockets *self, int fd) {
    PyObject *gone = self->members[fd];
    self->members[fd] = NULL;
    put_slot(gone, JOINED, none_descriptor);
    epoll_ctl(self->epoll, EPOLL_CTL_DEL, fd, NULL); /* fails where it is closed: as well */
    Py_XDECREF(gone);
}

static int descriptor_in(PyObject *one, int slot) {
    PyObject *descriptor = CONNECTION(one, slot);
    return descriptor && PyLong_CheckExact(descriptor) ? (int)PyLong_AsLong(descriptor) : -1;
}

/* Read `one` from now on, if that is possible. 0, or -1 with an exception. */
static int sockets_join(sockets *self, PyObject *one) {
    const int fd = descriptor_in(one, DESCRIPTOR);
    if (fd < 0 || self->epoll < 0 || descriptor_in(one, JOINED) >= 0) return 0;
    if (sockets_make_room(self, fd) || self->members[fd]) return 0;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &event)) return 0;
    self->members[fd] = Py_NewRef(one);
    put_slot(one, JOINED, CONNECTION(one, DESCRIPTOR));
    PyObject *done = PyObject_CallMethodNoArgs(one, name_join);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

static int sockets_admit(PyObject *to, PyObject *one) {
    return to && Py_IS_TYPE(to, sockets_type) ? sockets_join((sockets *)to, one) : 0;
}

/* Give `one` back to its transport, and what was read of it to its own `method`. */
static int sockets_give_back(sockets *self, int fd, PyObject *one, Py_ssize_t size,
                             PyObject *method) {
    sockets_forget(self, fd);
    PyObject *done = PyObject_CallMethodNoArgs(one, name_leave);
    if (done && size > 0) {
        Py_DECREF(done);
        PyObject *data = PyBytes_FromStringAndSize(self->buffer, size);
        done = data ? PyObject_CallMethodOneArg(one, method, data) : NULL;
        Py_XDECREF(data);
    }
    if (!done) done = tell_failed(one);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

static int sockets_read_one(sockets *self, int fd, PyObject *one) {
    receiver *to = plain(one, 0);
    PyObject *held = CONNECTION(one, BUFFER);
    if (!to || !held || !PyByteArray_CheckExact(held) || PyByteArray_GET_SIZE(held))
        return sockets_give_back(self, fd, one, 0, NULL);
    const ssize_t size = recv(fd, self->buffer, SOCKETS_BYTES, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    if (size <= 0) return sockets_give_back(self, fd, one, 0, NULL);
    const int taken = receive(to, one, (slice){self->buffer, (size_t)size});
    if (taken == GENUINE) return 0;
    if (taken >= 0) return sockets_give_back(self, fd, one, size, method_for(taken));
    PyObject *done = tell_failed(one);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* read() -> how many connections had anything; more than that may wait */
static PyObject *sockets_read(sockets *self, PyObject *nothing) {
    (void)nothing;
    struct epoll_event events[SOCKETS_ROUND];
    const int count = self->epoll < 0 ? 0 : epoll_wait(self->epoll, events, SOCKETS_ROUND, 0);
    for (int i = 0; i < count; i++) {
        const int fd = events[i].data.fd;
        PyObject *one = fd < self->room ? Py_XNewRef(self->members[fd]) : NULL;
        if (one && sockets_read_one(self, fd, one)) PyErr_WriteUnraisable(one);
        Py_XDECREF(one);
    }
    return PyLong_FromLong(count > 0 ? count : 0);
}

/* leave(connection): forget one that is gone; its transport is about to close the socket */
static PyObject *sockets_leave(sockets *self, PyObject *one) {
    const int fd = Py_IS_TYPE(one, connection_type) ? descriptor_in(one, JOINED) : -1;
    if (fd >= 0 && fd < self->room && self->members[fd] == one) sockets_forget(self, fd);
    Py_RETURN_NONE;
}

static PyObject *sockets_fileno(sockets *self, PyObject *nothing) {
    (void)nothing;
    return PyLong_FromLong(self->gate);
}

static PyObject *sockets_set_gate(sockets *self, uint32_t events) {
    struct epoll_event event = {.events = events};
    if (epoll_ctl(self->gate, EPOLL_CTL_MOD, self->epoll, &event))
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

/* rest(): wake nobody for what comes */
static PyObject *sockets_rest(sockets *self, PyObject *nothing) {
    (void)nothing;
    return sockets_set_gate(self, 0);
}

/* watch(): wake again, for what has come meanwhile too */
static PyObject *sockets_watch(sockets *self, PyObject *nothing) {
    (void)nothing;
    return sockets_set_gate(self, EPOLLIN);
}

static int sockets_clear(sockets *self) {
    for (int fd = 0; fd < self->room; fd++)
        if (self->members[fd]) sockets_forget(self, fd);
    return 0;
}

static void sockets_end(sockets *self) {
    sockets_clear(self);
    if (self->gate >= 0) close(self->gate);
    if (self->epoll >= 0) close(self->epoll);
    self->gate = self->epoll = -1;
}

/* close(): read nothing any more */
static PyObject *sockets_close(sockets *self, PyObject *nothing) {
    (void)nothing;
    sockets_end(self);
    Py_RETURN_NONE;
}

static PyObject *sockets_new(PyTypeObject *type, PyObject *args, PyObject *named) {
    if (!PyArg_ParseTuple(args, "") || named) return NULL;
    sockets *self = (sockets *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->epoll = epoll_create1(EPOLL_CLOEXEC), self->gate = epoll_create1(EPOLL_CLOEXEC);
    self->buffer = PyMem_Malloc(SOCKETS_BYTES);
    struct epoll_event event = {.events = EPOLLIN};
    if (self->buffer && self->epoll >= 0 && self->gate >= 0
        && !epoll_ctl(self->gate, EPOLL_CTL_ADD, self->epoll, &event)) return (PyObject *)self;
    if (self->buffer) PyErr_SetFromErrno(PyExc_OSError);
    else PyErr_NoMemory();
    Py_DECREF(self);
    return NULL;
}

static int sockets_traverse(sockets *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    for (int fd = 0; fd < self->room; fd++) Py_VISIT(self->members[fd]);
    return 0;
}

static void sockets_dealloc(sockets *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    sockets_end(self);
    PyMem_Free(self->members);
    PyMem_Free(self->buffer);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef sockets_methods[] = {
    {"read", (PyCFunction)sockets_read, METH_NOARGS, "Read whoever has sent anything, once."},
    {"leave", (PyCFunction)sockets_leave, METH_O, "Forget a connection."},
    {"fileno", (PyCFunction)sockets_fileno, METH_NOARGS, "What is readable when a member is."},
    {"rest", (PyCFunction)sockets_rest, METH_NOARGS, "Wake nobody for what comes."},
    {"watch", (PyCFunction)sockets_watch, METH_NOARGS, "Wake again."},
    {"close", (PyCFunction)sockets_close, METH_NOARGS, "Read nothing any more."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot sockets_slots[] = {
    {Py_tp_new, sockets_new}, {Py_tp_dealloc, sockets_dealloc}, {Py_tp_traverse, sockets_traverse},
    {Py_tp_clear, sockets_clear}, {Py_tp_methods, sockets_methods}, {0, NULL},
};
static PyType_Spec sockets_spec = {
    "gateway.native._native.Sockets", sizeof(sockets), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    sockets_slots,
};

static int sockets_prepare(PyObject *module) {
    name_join = PyUnicode_InternFromString("_read_by_sockets");
    name_leave = PyUnicode_InternFromString("_read_by_transport");
    if (!name_join || !name_leave) return -1;
    sockets_type = (PyTypeObject *)PyType_FromSpec(&sockets_spec);
    return sockets_type ? PyModule_AddObjectRef(module, "Sockets", (PyObject *)sockets_type) : -1;
}

#else

/* Without epoll nobody joins anything. */
static int sockets_admit(PyObject *to, PyObject *one) {
    (void)to, (void)one;
    return 0;
}

static int sockets_prepare(PyObject *module) {
    return PyModule_AddObjectRef(module, "Sockets", Py_None);
}

#endif
#endif
