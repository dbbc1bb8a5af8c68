/* Receiver: what the connections of one listener do with plain requests, and with their answers.
 *
 * `data_received` takes a request that is plain, whole and alone, on a connection that owes
 * nothing, straight to the intake, already written as a record of the journal; `answer` gives the
 * 200 of all of a tick. Anything else goes to the methods of the connection, `_receive` and
 * `resolve`, which need no Receiver. An answer goes to the socket itself until the transport has
 * had something to write.
 *
 * Alone, but with `sockets.h`, which needs it, it buys 20 % of `ack: redis` at 256 connections
 * (seven pairs, 2026-12-01, `c_piece redis`: without them 3 to 33 % more).
 */
#ifndef GATEWAY_RECEIVER_H
#define GATEWAY_RECEIVER_H

#include <sys/socket.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* Python ignores SIGPIPE */
#endif

typedef struct {
    PyObject_HEAD
    keyring *ring;
    PyObject *line;    /* the request line of a webhook */
    Py_ssize_t max_head, max_body;
    stretch *events;              /* the intake's: what this tick has brought, */
    PyObject *replies, *read_ats; /* for whom, and when */
    PyObject *begin;   /* called before the first of them */
    PyObject *stored;  /* the bytes of the 200 while it is the plain one, else None */
    PyObject *counts, *label; /* the 200s are counted in counts[label] */
    PyObject *sockets; /* reads those who sent nothing but plain requests; None: nobody does */
} receiver;

static PyTypeObject *receiver_type;

/* ---- the connections, and where their slots lie */

enum {
    RECEIVER, STATE, DUE, BUFFER, PAUSED, FRESH, SINCE, TRANSPORT, DESCRIPTOR, JOINED,
    SIGNED, CONNECTION_SLOTS
};
static const char *const CONNECTION_SLOT_NAMES[CONNECTION_SLOTS] = {
    "_receiver", "_state", "_due", "_buffer", "_paused", "_fresh", "_since", "_transport",
    "_descriptor", "_joined", "_signed_at",
};
static PyTypeObject *connection_type;
static Py_ssize_t connection_offsets[CONNECTION_SLOTS];
static PyObject *open_state, *perf_counter, *none_descriptor;
static PyObject *name_receive, *name_receive_forged, *name_resolve, *name_failed, *name_write;

#define CONNECTION(one, slot) (*(PyObject **)((char *)(one) + connection_offsets[slot]))

static void put_slot(PyObject *one, int slot, PyObject *value) {
    Py_XSETREF(CONNECTION(one, slot), Py_NewRef(value));
}

/* The connection's receiver, if nothing about it is out of the ordinary; owing `due` answers. */
static receiver *plain(PyObject *one, Py_ssize_t due) {
    PyObject *found = CONNECTION(one, RECEIVER), *owed = CONNECTION(one, DUE);
    if (!found || !Py_IS_TYPE(found, receiver_type) || CONNECTION(one, STATE) != open_state
        || CONNECTION(one, PAUSED) != Py_False || !owed || !PyList_CheckExact(owed)
        || PyList_GET_SIZE(owed) != due) return NULL;
    return (receiver *)found;
}

/* ---- in */

/* time.perf_counter() */
static PyObject *moment(void) {
#ifdef __linux__
    struct timespec now;
    if (!clock_gettime(CLOCK_MONOTONIC, &now))
        return PyFloat_FromDouble((double)now.tv_sec + 1e-9 * (double)now.tv_nsec);
#endif
    return PyObject_CallNoArgs(perf_counter);
}

static void drop_last(PyObject *list) {
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    const Py_ssize_t size = PyList_GET_SIZE(list);
    PyList_SetSlice(list, size - 1, size, NULL);
    PyErr_Restore(type, value, trace);
}

/* Hand in an event: all of it, or nothing and -1. */
static int submit(receiver *to, PyObject *one, const plain_request *request, PyObject *now) {
    if (!to->events->count) {
        PyObject *begun = PyObject_CallNoArgs(to->begin);
        if (!begun) return -1;
        Py_DECREF(begun);
    }
    if (add_plain(to->events, request)) return -1;
    PyObject *const lists[] = {CONNECTION(one, DUE), to->replies, to->read_ats};
    PyObject *const items[] = {Py_None, one, now};
    for (int i = 0; i < 3; i++)
        if (PyList_Append(lists[i], items[i])) {
            while (i--) drop_last(lists[i]);
            drop_record(to->events);
            return -1;
        }
    return 0;
}

/* GENUINE: taken; NOT_PLAIN, FORGED: not; -1: an exception, and nothing taken. */
static int receive(receiver *to, PyObject *one, slice given) {
    plain_request found;
    const int read = read_plain(to->ring, given, bytes_slice(to->line), (size_t)to->max_head,
                                (size_t)to->max_body, 0, 1, &found);
    if (read != GENUINE) return read;
    PyObject *now = moment();
    if (!now) return -1;
    if (CONNECTION(one, FRESH) != Py_False) put_slot(one, FRESH, Py_False);
    put_slot(one, SINCE, now), put_slot(one, SIGNED, now);
    const int failed = submit(to, one, &found, now);
    Py_DECREF(now);
    return failed ? -1 : GENUINE;
}

/* The method for what was received and not taken. */
static PyObject *method_for(int received) {
    return received == FORGED ? name_receive_forged : name_receive;
}

static int sockets_admit(PyObject *to, PyObject *one);

/* Tell the connection that something of ours has failed, which it answers or ends. */
static PyObject *tell_failed(PyObject *one) {
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    if (trace) PyException_SetTraceback(error, trace);
    PyObject *told = PyObject_CallMethodOneArg(one, name_failed, error);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(trace);
    return told;
}

static PyObject *data_received(PyObject *one, PyObject *data) {
    receiver *to = plain(one, 0);
    PyObject *buffer = CONNECTION(one, BUFFER);
    int taken = NOT_PLAIN;
    if (to && PyBytes_CheckExact(data) && buffer && PyByteArray_CheckExact(buffer)
        && !PyByteArray_GET_SIZE(buffer)) {
        const slice given = {PyBytes_AS_STRING(data), (size_t)PyBytes_GET_SIZE(data)};
        taken = receive(to, one, given);
        if (taken < 0 || (taken == GENUINE && sockets_admit(to->sockets, one)))
            return tell_failed(one);
        if (taken == GENUINE) Py_RETURN_NONE;
    }
    return PyObject_CallMethodOneArg(one, method_for(taken), data);
}

static PyMethodDef data_received_method = {
    "data_received", data_received, METH_O, "Take what the peer has sent.",
};

/* ---- out */

static int count_answers(receiver *from, long many) {
    PyObject *was = PyDict_GetItemWithError(from->counts, from->label);
    if (!was && PyErr_Occurred()) return -1;
    PyObject *more = PyLong_FromLong(many);
    PyObject *sum = !more ? NULL : was ? PyNumber_Add(was, more) : Py_NewRef(more);
    const int failed = !sum || PyDict_SetItem(from->counts, from->label, sum);
    Py_XDECREF(more);
    Py_XDECREF(sum);
    return failed ? -1 : 0;
}

/* How much of `data` the socket takes at once; 0 as well where it fails: whoever then leaves the
 * data to the transport has it meet the same error. */
static Py_ssize_t send_at_once(int fd, PyObject *data) {
    const ssize_t sent = send(fd, PyBytes_AS_STRING(data), (size_t)PyBytes_GET_SIZE(data),
                              MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 ? 0 : sent;
}

/* The same for a connection; 0 where the transport writes. That closes its socket only after it
 * has told the connection, which then is not plain any more. */
static Py_ssize_t send_directly(PyObject *one, PyObject *data) {
    PyObject *descriptor = CONNECTION(one, DESCRIPTOR);
    const int fd = descriptor && PyLong_CheckExact(descriptor) ? (int)PyLong_AsLong(descriptor) : -1;
    return fd < 0 ? 0 : send_at_once(fd, data);
}

/* Have the transport write `data` from `from` on, and everything after it. */
static PyObject *write_rest(PyObject *one, PyObject *data, Py_ssize_t from) {
    put_slot(one, DESCRIPTOR, none_descriptor);
    PyObject *rest =
        PyBytes_FromStringAndSize(PyBytes_AS_STRING(data) + from, PyBytes_GET_SIZE(data) - from);
    if (!rest) return NULL;
    PyObject *done = PyObject_CallMethodOneArg(CONNECTION(one, TRANSPORT), name_write, rest);
    Py_DECREF(rest);
    return done;
}

/* Write the 200 that is owed. Whatever goes wrong is told to the connection. */
static int answer_plainly(receiver *from, PyObject *one) {
    PyObject *answer = Py_NewRef(from->stored);
    PyList_SetSlice(CONNECTION(one, DUE), 0, 1, NULL);
    const Py_ssize_t sent = send_directly(one, answer);
    PyObject *done =
        sent == PyBytes_GET_SIZE(answer) ? Py_NewRef(Py_None) : write_rest(one, answer, sent);
    Py_DECREF(answer);
    if (!done) done = tell_failed(one);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* The receiver of a connection that owes the plain 200 and nothing else. */
static receiver *owing(PyObject *one) {
    receiver *from = connection_type && Py_IS_TYPE(one, connection_type) ? plain(one, 1) : NULL;
    return from && CONNECTION(one, TRANSPORT) && PyBytes_CheckExact(from->stored)
            && PyList_GET_ITEM(CONNECTION(one, DUE), 0) == Py_None ? from : NULL;
}

/* answer(replies: list[Reply], stored: Answer): resolve them all with `stored`, the plain 200 */
static PyObject *answer(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *replies, *stored;
    if (!PyArg_ParseTuple(args, "O!O", &PyList_Type, &replies, &stored)) return NULL;
    receiver *last = NULL; /* kept alive by its connections, which `replies` holds */
    long many = 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(replies); i++) {
        PyObject *one = Py_NewRef(PyList_GET_ITEM(replies, i));
        int failed = 0;
        receiver *from = owing(one);
        if (from) {
            if (last && last != from) failed = count_answers(last, many), many = 0;
            last = from, many++;
            failed = failed || answer_plainly(from, one);
        } else {
            PyObject *done = PyObject_CallMethodOneArg(one, name_resolve, stored);
            failed = !done;
            Py_XDECREF(done);
        }
        Py_DECREF(one);
        if (failed) return NULL;
    }
    if (last && count_answers(last, many)) return NULL;
    Py_RETURN_NONE;
}

/* receive_by(type, open_state): give the connections of `type` their `data_received` */
static PyObject *receive_by(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *type, *state;
    if (!PyArg_ParseTuple(args, "O!O", &PyType_Type, &type, &state)) return NULL;
    if (find_slots(type, CONNECTION_SLOT_NAMES, connection_offsets, CONNECTION_SLOTS)) return NULL;
    PyObject *method = PyDescr_NewMethod((PyTypeObject *)type, &data_received_method);
    if (!method) return NULL;
    const int failed = PyObject_SetAttrString(type, "data_received", method);
    Py_DECREF(method);
    if (failed) return NULL;
    Py_XSETREF(connection_type, (PyTypeObject *)Py_NewRef(type));
    Py_XSETREF(open_state, Py_NewRef(state));
    Py_RETURN_NONE;
}

/* ---- the type */

static int receiver_init(receiver *self, PyObject *args, PyObject *named) {
    PyObject *ring, *line, *events, *replies, *read_ats, *begin, *counts, *label;
    (void)named;
    if (!PyArg_ParseTuple(args, "OSnnO!O!O!OO!O", &ring, &line, &self->max_head, &self->max_body,
                          stretch_type, &events, &PyList_Type, &replies, &PyList_Type, &read_ats,
                          &begin, &PyDict_Type, &counts, &label)) return -1;
    if (!Py_IS_TYPE(ring, keyring_type)) {
        PyErr_SetString(PyExc_TypeError, "expected a Keyring");
        return -1;
    }
    Py_XSETREF(self->ring, (keyring *)Py_NewRef(ring));
    Py_XSETREF(self->line, Py_NewRef(line));
    Py_XSETREF(self->events, (stretch *)Py_NewRef(events));
    Py_XSETREF(self->replies, Py_NewRef(replies));
    Py_XSETREF(self->read_ats, Py_NewRef(read_ats));
    Py_XSETREF(self->begin, Py_NewRef(begin));
    Py_XSETREF(self->counts, Py_NewRef(counts));
    Py_XSETREF(self->label, Py_NewRef(label));
    Py_XSETREF(self->stored, Py_NewRef(Py_None));
    Py_XSETREF(self->sockets, Py_NewRef(Py_None));
    return 0;
}

static int receiver_traverse(receiver *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->replies);
    Py_VISIT(self->read_ats);
    Py_VISIT(self->begin);
    Py_VISIT(self->counts);
    Py_VISIT(self->label);
    Py_VISIT(self->sockets);
    return 0;
}

static int receiver_clear(receiver *self) {
    Py_CLEAR(self->ring);
    Py_CLEAR(self->line);
    Py_CLEAR(self->events);
    Py_CLEAR(self->replies);
    Py_CLEAR(self->read_ats);
    Py_CLEAR(self->begin);
    Py_CLEAR(self->stored);
    Py_CLEAR(self->counts);
    Py_CLEAR(self->label);
    Py_CLEAR(self->sockets);
    return 0;
}

static void receiver_dealloc(receiver *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    receiver_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef receiver_members[] = {
    {"stored", T_OBJECT, offsetof(receiver, stored), 0, "The bytes of the plain 200, or None."},
    {"sockets", T_OBJECT, offsetof(receiver, sockets), 0, "The Sockets that connections join, or None."},
    {NULL, 0, 0, 0, NULL},
};
static PyType_Slot receiver_slots[] = {
    {Py_tp_init, receiver_init}, {Py_tp_dealloc, receiver_dealloc},
    {Py_tp_traverse, receiver_traverse}, {Py_tp_clear, receiver_clear},
    {Py_tp_members, receiver_members}, {0, NULL},
};
static PyType_Spec receiver_spec = {
    "gateway.native._native.Receiver", sizeof(receiver), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, receiver_slots,
};

static int receiver_prepare(PyObject *module) {
    PyObject *time = PyImport_ImportModule("time");
    perf_counter = time ? PyObject_GetAttrString(time, "perf_counter") : NULL;
    Py_XDECREF(time);
    name_receive = PyUnicode_InternFromString("_receive");
    name_receive_forged = PyUnicode_InternFromString("_receive_forged");
    name_resolve = PyUnicode_InternFromString("resolve");
    name_failed = PyUnicode_InternFromString("_failed");
    name_write = PyUnicode_InternFromString("write");
    none_descriptor = PyLong_FromLong(-1);
    if (!perf_counter || !name_receive || !name_receive_forged || !name_resolve || !name_failed
        || !name_write || !none_descriptor) return -1;
    receiver_type = (PyTypeObject *)PyType_FromSpec(&receiver_spec);
    return receiver_type
        ? PyModule_AddObjectRef(module, "Receiver", (PyObject *)receiver_type) : -1;
}

#endif
