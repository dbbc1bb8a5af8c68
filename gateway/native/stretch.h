/* Stretch: events as records of the journal, one behind the other, without a Python object for each.
 *
 * It begins open: whole records are written into it, but for their number and checksum. `encode`
 * places it in the journal, and from then on it is what `gateway.event.Stretch` says: a sequence
 * that makes an event only when one is asked for.
 *
 * With `records.h`, `crc32.h` and `publish.h`, and where Python takes the requests, it buys 12 % of
 * `ack: redis` at 64 connections and 11 at 256 (medians of seven pairs, 2026-12-01); `receiver.h`
 * writes into it.
 */
#ifndef GATEWAY_STRETCH_H
#define GATEWAY_STRETCH_H

enum {
    RECORD_HEADER = 24, STRETCH_FIRST_ENTRIES = 64,
    STRETCH_LEAST_BYTES = 4 << 10, STRETCH_MOST_BYTES = 128 << 10, /* to begin with */
};

typedef struct {
    const char *at;    /* the record; while open it is only found by `start` */
    Py_ssize_t start;  /* in the journal; while open: in `data` */
    size_t length;
    long long accepted_ms;
    uint32_t order_hash;
    uint8_t unfit, key[KEY_BYTES];
} entry;

typedef struct {
    PyObject_HEAD
    Py_ssize_t count, room;
    entry *entries;
    PyObject *data; /* bytes being written, until it is placed */
    size_t used, last; /* of it; and how much was taken the last time */
    PyObject *held; /* list of the bytes that entries lie in, once it is placed */
} stretch;

static PyTypeObject *stretch_type;

static void put_number(char *to, uint64_t number, int bytes) {
    for (int i = 0; i < bytes; i++) to[i] = (char)(number >> (8 * i));
}

static uint64_t get_number(const char *from, int bytes) {
    uint64_t number = 0;
    for (int i = 0; i < bytes; i++) number |= (uint64_t)(uint8_t)from[i] << (8 * i);
    return number;
}

static slice meta_of(const entry *one) {
    return (slice){one->at + RECORD_HEADER, (size_t)get_number(one->at + 16, 4)};
}

static slice body_of(const entry *one) {
    const slice meta = meta_of(one);
    return (slice){meta.at + meta.size, one->length - RECORD_HEADER - meta.size};
}

/* ---- open: being written */

static entry *new_entry(stretch *self) {
    if (self->count == self->room) {
        const Py_ssize_t room = self->room ? 2 * self->room : STRETCH_FIRST_ENTRIES;
        entry *entries = PyMem_Realloc(self->entries, (size_t)room * sizeof *entries);
        if (!entries) return (entry *)PyErr_NoMemory();
        self->entries = entries, self->room = room;
    }
    return &self->entries[self->count];
}

/* How much to begin with: about what was needed the last time. */
static size_t stretch_first(const stretch *self, size_t size) {
    size_t first = self->last + self->last / 4;
    if (first > STRETCH_MOST_BYTES) first = STRETCH_MOST_BYTES;
    if (first < STRETCH_LEAST_BYTES) first = STRETCH_LEAST_BYTES;
    return first > size ? first : size;
}

/* Where the next `size` bytes go; NULL with an exception. */
static char *stretch_room(stretch *self, size_t size) {
    if (self->held) {
        PyErr_SetString(PyExc_ValueError, "it is placed already");
        return NULL;
    }
    const size_t needed = self->used + size;
    if (!self->data) {
        self->data = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)stretch_first(self, size));
        self->used = 0;
    } else if (needed > (size_t)PyBytes_GET_SIZE(self->data)) {
        PyObject *more = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(2 * needed));
        if (!more) return NULL;
        memcpy(PyBytes_AS_STRING(more), PyBytes_AS_STRING(self->data), self->used);
        Py_SETREF(self->data, more);
    }
    return self->data ? PyBytes_AS_STRING(self->data) + self->used : NULL;
}

/* Write the beginning of a record; returns where its meta goes, and its entry in `one`. */
static char *begin_record(stretch *self, size_t meta_size, size_t body_size, entry **one) {
    const size_t length = RECORD_HEADER + meta_size + body_size;
    char *to = stretch_room(self, length);
    if (!to || !(*one = new_entry(self))) return NULL;
    **one = (entry){.start = (Py_ssize_t)self->used, .length = length};
    memcpy(to, "GWR1", 4);
    memset(to + 4, 0, 12);
    put_number(to + 16, meta_size, 4);
    put_number(to + 20, body_size, 4);
    return to + RECORD_HEADER;
}

static void end_record(stretch *self) {
    self->used += self->entries[self->count++].length;
}

static void drop_record(stretch *self) {
    self->used -= self->entries[--self->count].length;
}

static int check_event(PyObject *event) {
    if (Py_IS_TYPE(event, event_type) && SLOT(event, META) && SLOT(event, BODY)
        && SLOT(event, KEY) && SLOT(event, UNFIT) && SLOT(event, ORDER_HASH)
        && SLOT(event, ACCEPTED_MS) && PyBytes_Check(SLOT(event, META))
        && PyBytes_Check(SLOT(event, BODY)) && PyBytes_Check(SLOT(event, KEY))
        && PyBytes_GET_SIZE(SLOT(event, KEY)) == KEY_BYTES) return 0;
    PyErr_SetString(PyExc_TypeError, "expected events");
    return -1;
}

static int add_event(stretch *self, PyObject *event) {
    if (check_event(event)) return -1;
    PyObject *meta = SLOT(event, META), *body = SLOT(event, BODY);
    const int unfit = PyObject_IsTrue(SLOT(event, UNFIT));
    const unsigned long hash = PyLong_AsUnsignedLong(SLOT(event, ORDER_HASH));
    const long long accepted_ms = PyLong_AsLongLong(SLOT(event, ACCEPTED_MS));
    if (unfit < 0 || PyErr_Occurred()) return -1;
    const size_t meta_size = (size_t)PyBytes_GET_SIZE(meta);
    const size_t body_size = (size_t)PyBytes_GET_SIZE(body);
    entry *one;
    char *to = begin_record(self, meta_size, body_size, &one);
    if (!to) return -1;
    put(put(to, PyBytes_AS_STRING(meta), meta_size), PyBytes_AS_STRING(body), body_size);
    one->accepted_ms = accepted_ms, one->order_hash = (uint32_t)hash, one->unfit = (uint8_t)unfit;
    memcpy(one->key, PyBytes_AS_STRING(SLOT(event, KEY)), KEY_BYTES);
    end_record(self);
    return 0;
}

static int add_plain(stretch *self, const plain_request *request) {
    entry *one;
    const size_t meta_size = plain_meta_size(request);
    char *to = begin_record(self, meta_size, request->body.size, &one);
    if (!to) return -1;
    to = put_plain_meta(to, request);
    put(to, request->body.at, request->body.size);
    one->accepted_ms = request->accepted_ms, one->order_hash = plain_order_hash(request);
    memcpy(one->key, request->key, KEY_BYTES);
    end_record(self);
    return 0;
}

static PyObject *stretch_append(stretch *self, PyObject *event) {
    if (add_event(self, event)) return NULL;
    Py_RETURN_NONE;
}

static stretch *new_stretch(void) {
    return (stretch *)stretch_type->tp_alloc(stretch_type, 0);
}

/* take() -> Stretch: all that was written, which leaves it empty */
static PyObject *stretch_take(stretch *self, PyObject *nothing) {
    (void)nothing;
    stretch *taken = new_stretch();
    if (!taken) return NULL;
    taken->count = self->count, taken->room = self->room, taken->entries = self->entries;
    taken->data = self->data, taken->used = self->used, taken->held = self->held;
    self->count = self->room = 0, self->entries = NULL;
    self->data = self->held = NULL;
    self->last = self->used, self->used = 0;
    return (PyObject *)taken;
}

/* ---- placed */

/* Keep no more room than there are entries: a publisher that is behind leaves many small ones. */
static void fit_entries(stretch *self) {
    const size_t size = (size_t)(self->count ? self->count : 1) * sizeof(entry);
    entry *fitting = PyMem_Realloc(self->entries, size);
    if (fitting) self->entries = fitting, self->room = self->count ? self->count : 1;
}

/* Give the records their numbers and places, the first of them `number` and `start`. */
static int stretch_place(stretch *self, long long number, Py_ssize_t start) {
    fit_entries(self);
    if (!self->data && !(self->data = PyBytes_FromStringAndSize(NULL, 0))) return -1;
    if (_PyBytes_Resize(&self->data, (Py_ssize_t)self->used)) return -1;
    if (!(self->held = PyList_New(1))) return -1;
    char *base = PyBytes_AS_STRING(self->data);
    PyList_SET_ITEM(self->held, 0, self->data);
    self->data = NULL;
    for (Py_ssize_t i = 0; i < self->count; i++) {
        entry *one = &self->entries[i];
        char *at = base + one->start;
        put_number(at + 8, (uint64_t)(number + i), 8);
        put_number(at + 4, crc32_of(0, at + 8, one->length - 8), 4);
        one->at = at;
        one->start += start;
    }
    return 0;
}

static PyObject *make_stored(Py_ssize_t start, Py_ssize_t end, long long number, PyObject *event) {
    PyObject *stored = event ? stored_type->tp_alloc(stored_type, 4) : NULL;
    if (!stored) {
        Py_XDECREF(event);
        return NULL;
    }
    PyTuple_SET_ITEM(stored, 0, PyLong_FromSsize_t(start));
    PyTuple_SET_ITEM(stored, 1, PyLong_FromSsize_t(end));
    PyTuple_SET_ITEM(stored, 2, PyLong_FromLongLong(number));
    PyTuple_SET_ITEM(stored, 3, event);
    for (int i = 0; i < 3; i++)
        if (!PyTuple_GET_ITEM(stored, i)) {
            Py_DECREF(stored);
            return NULL;
        }
    return plain_object(stored);
}

static PyObject *restore_event(slice meta, slice body);

static PyObject *entry_event(const stretch *self, const entry *one) {
    entry found = *one;
    if (!self->held) found.at = PyBytes_AS_STRING(self->data) + one->start;
    const slice meta = meta_of(&found), body = body_of(&found);
    PyObject *event = restore_event(meta, body);
    if (event || PyErr_Occurred()) return event;
    return PyObject_CallMethod((PyObject *)event_type, "restored", "y#y#", meta.at,
                               (Py_ssize_t)meta.size, body.at, (Py_ssize_t)body.size);
}

/* events() -> list[Event], placed or not */
static PyObject *stretch_events(stretch *self, PyObject *nothing) {
    (void)nothing;
    PyObject *events = PyList_New(0);
    for (Py_ssize_t i = 0; events && i < self->count; i++)
        if (append_new(events, entry_event(self, &self->entries[i]))) Py_CLEAR(events);
    return events;
}

static Py_ssize_t stretch_length(stretch *self) {
    return self->count;
}

static PyObject *stretch_item(stretch *self, Py_ssize_t index) {
    if (index < 0 || index >= self->count || !self->held) {
        PyErr_SetString(PyExc_IndexError, "no event stands there");
        return NULL;
    }
    const entry *one = &self->entries[index];
    return make_stored(one->start, one->start + (Py_ssize_t)one->length,
                       (long long)get_number(one->at + 8, 8), entry_event(self, one));
}

/* Add the entries of `from` between two places behind those of `self`. */
static int add_entries(stretch *self, const stretch *from, Py_ssize_t begin, Py_ssize_t end) {
    const Py_ssize_t more = end - begin, needed = self->count + more;
    if (!more) return 0;
    if (needed > self->room) {
        entry *entries = PyMem_Realloc(self->entries, (size_t)needed * sizeof *entries);
        if (!entries) return PyErr_NoMemory(), -1;
        self->entries = entries, self->room = needed;
    }
    if (PyList_SetSlice(self->held, PyList_GET_SIZE(self->held), PY_SSIZE_T_MAX, from->held))
        return -1;
    memcpy(self->entries + self->count, from->entries + begin, (size_t)more * sizeof(entry));
    self->count = needed;
    return 0;
}

static int are_placed(const stretch *one, const stretch *other) {
    if (one->held && other->held) return 1;
    PyErr_SetString(PyExc_ValueError, "it is not placed yet");
    return 0;
}

/* part(begin, end) -> Stretch: from the `begin`th up to the `end`th */
static PyObject *stretch_part(stretch *self, PyObject *args) {
    Py_ssize_t begin, end;
    if (!PyArg_ParseTuple(args, "nn", &begin, &end) || !are_placed(self, self)) return NULL;
    if (end > self->count) end = self->count;
    if (begin < 0) begin = 0;
    if (begin > end) begin = end;
    stretch *part = new_stretch();
    if (!part) return NULL;
    if (!(part->held = PyList_New(0)) || add_entries(part, self, begin, end)) Py_CLEAR(part);
    return (PyObject *)part;
}

/* extend(more: Stretch): add what stands behind it */
static PyObject *stretch_extend(stretch *self, PyObject *more) {
    if (!Py_IS_TYPE(more, stretch_type)) {
        PyErr_SetString(PyExc_TypeError, "expected a Stretch");
        return NULL;
    }
    stretch *from = (stretch *)more;
    if (!are_placed(self, from) || add_entries(self, from, 0, from->count)) return NULL;
    Py_RETURN_NONE;
}

/* ---- what is asked of its ends */

enum { START, END, FIRST_NUMBER, LAST_NUMBER, FIRST_MS, LAST_MS };

static PyObject *stretch_get(stretch *self, void *what) {
    if (!self->count || !self->held) {
        PyErr_SetString(PyExc_ValueError, "nothing stands there");
        return NULL;
    }
    const entry *first = &self->entries[0], *last = &self->entries[self->count - 1];
    switch ((int)(intptr_t)what) {
    case START: return PyLong_FromSsize_t(first->start);
    case END: return PyLong_FromSsize_t(last->start + (Py_ssize_t)last->length);
    case FIRST_NUMBER: return PyLong_FromLongLong((long long)get_number(first->at + 8, 8));
    case LAST_NUMBER: return PyLong_FromLongLong((long long)get_number(last->at + 8, 8));
    case FIRST_MS: return PyLong_FromLongLong(first->accepted_ms);
    default: return PyLong_FromLongLong(last->accepted_ms);
    }
}

#define END_OF(name, what, text) {name, (getter)stretch_get, NULL, text, (void *)(intptr_t)what}
static PyGetSetDef stretch_ends[] = {
    END_OF("start", START, "Where the first of them begins."),
    END_OF("end", END, "Where the last of them ends."),
    END_OF("first_number", FIRST_NUMBER, "The number of the first."),
    END_OF("last_number", LAST_NUMBER, "The number of the last."),
    END_OF("first_ms", FIRST_MS, "When the first was accepted."),
    END_OF("last_ms", LAST_MS, "When the last was accepted."),
    {NULL, NULL, NULL, NULL, NULL},
};

static void stretch_dealloc(stretch *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyMem_Free(self->entries);
    Py_XDECREF(self->data);
    Py_XDECREF(self->held);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef stretch_methods[] = {
    {"append", (PyCFunction)stretch_append, METH_O, "Write one more event, until it is placed."},
    {"take", (PyCFunction)stretch_take, METH_NOARGS, "Hand over what it holds."},
    {"events", (PyCFunction)stretch_events, METH_NOARGS, "The events themselves."},
    {"part", (PyCFunction)stretch_part, METH_VARARGS, "Some of it."},
    {"extend", (PyCFunction)stretch_extend, METH_O, "Add what stands behind it."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot stretch_slots[] = {
    {Py_tp_dealloc, stretch_dealloc}, {Py_tp_methods, stretch_methods},
    {Py_tp_getset, stretch_ends}, {Py_sq_length, stretch_length}, {Py_sq_item, stretch_item},
    {0, NULL},
};
static PyType_Spec stretch_spec = {
    "gateway.native._native.Stretch", sizeof(stretch), 0, Py_TPFLAGS_DEFAULT, stretch_slots,
};

static int stretch_prepare(PyObject *module) {
    stretch_type = (PyTypeObject *)PyType_FromSpec(&stretch_spec);
    return stretch_type ? PyModule_AddObjectRef(module, "Stretch", (PyObject *)stretch_type) : -1;
}

#undef END_OF
#endif
