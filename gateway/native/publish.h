/* The publishing commands, as `gateway.stream.packing` packs them: one for each shard. */
#ifndef GATEWAY_PUBLISH_H
#define GATEWAY_PUBLISH_H

/* ---- the protocol of Redis */

enum { KEY_BULK = sizeof "$16\r\n" - 1 + KEY_BYTES + 2 };

/* Write a mark, a number and the end of the line to `to`; returns how long that is. */
static int decimal(char *to, size_t number, char mark) {
    to[0] = mark;
    const int size = 1 + put_decimal(to + 1, number);
    to[size] = '\r', to[size + 1] = '\n';
    return size + 2;
}

static size_t bulk_size(size_t size) {
    char head[24];
    return (size_t)decimal(head, size, '$') + size + 2;
}

static char *put_bulk(char *to, slice text) {
    to += decimal(to, text.size, '$');
    return put(put_slice(to, text), "\r\n", 2);
}

/* ---- one command for each shard */

enum { PER_EVENT = 3 }; /* arguments: digest, meta, body */

typedef struct {
    Py_ssize_t position, many, count; /* what it has; its events, and the arguments before them */
    PyObject *named, *last;           /* its first arguments, and the last before the events */
    long long last_ms;                /* of its last event */
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

static void count_event(outgoing *to, const entry *one) {
    to->size += KEY_BULK + bulk_size(meta_of(one).size) + bulk_size(body_of(one).size);
    to->last_ms = one->accepted_ms;
    to->many++;
}

/* Find for each of `stored` the shard that lacks it, MAX_SHARDS if none does; 0: one is unfit. */
static int spread(const stretch *stored, Py_ssize_t shards, outgoing *out, uint8_t *shard_of) {
    for (Py_ssize_t i = 0; i < stored->count; i++) {
        const entry *one = &stored->entries[i];
        if (one->unfit) return 0;
        const size_t shard = one->order_hash % (size_t)shards;
        const int has = one->start + (Py_ssize_t)one->length <= out[shard].position;
        shard_of[i] = has ? MAX_SHARDS : (uint8_t)shard;
        if (!has) count_event(&out[shard], one);
    }
    return 1;
}

/* Write the command up to its events; with `to` NULL only count. Returns its length. */
static size_t put_head(char *to, const outgoing *one, slice journal, size_t upto) {
    char number[3][24], lines[3][48], count[24];
    const size_t numbers[] = {(size_t)one->position, upto, (size_t)one->last_ms};
    const int start = decimal(count, (size_t)(one->count + PER_EVENT * one->many), '*');
    slice parts[7] = {{count, (size_t)start}, bytes_slice(one->named), journal};
    for (int i = 0; i < 3; i++) {
        const slice digits = {number[i], (size_t)put_decimal(number[i], numbers[i])};
        parts[3 + i] = (slice){lines[i], (size_t)(put_bulk(lines[i], digits) - lines[i])};
    }
    parts[6] = bytes_slice(one->last);
    size_t length = 0;
    for (int i = 0; i < 7; i++) {
        if (to) put_slice(to + length, parts[i]);
        length += parts[i].size;
    }
    return length;
}

/* The command for one shard. */
static PyObject *put_command(const stretch *stored, const uint8_t *shard_of, Py_ssize_t shard,
                             const outgoing *out, slice journal, size_t upto) {
    const size_t head = put_head(NULL, out, journal, upto);
    PyObject *command = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(head + out->size));
    if (!command) return NULL;
    char *to = PyBytes_AS_STRING(command);
    to += put_head(to, out, journal, upto);
    for (Py_ssize_t i = 0; i < stored->count; i++) {
        if (shard_of[i] != shard) continue;
        const entry *one = &stored->entries[i];
        to = put_bulk(to, (slice){(const char *)one->key, KEY_BYTES});
        to = put_bulk(put_bulk(to, meta_of(one)), body_of(one));
    }
    return command;
}

/* (list[int], list[bytes]) */
static PyObject *put_commands(const stretch *stored, const uint8_t *shard_of, Py_ssize_t shards,
                              const outgoing *out, slice journal, size_t upto) {
    PyObject *which = PyList_New(0), *commands = PyList_New(0);
    int failed = !which || !commands;
    for (Py_ssize_t i = 0; i < shards && !failed; i++)
        failed = out[i].many
            && (append_new(which, PyLong_FromSsize_t(i))
                || append_new(commands,
                              put_command(stored, shard_of, i, &out[i], journal, upto)));
    if (!failed) return Py_BuildValue("(NN)", which, commands);
    Py_XDECREF(which);
    Py_XDECREF(commands);
    return NULL;
}

/* publish(stored: Stretch, shards, journal, upto) -> (list[int], list[bytes]) | None
 * The shards that lack any of `stored`, and a command for each. None: one of the events is unfit,
 * and Python packs them. */
static PyObject *publish(PyObject *module, PyObject *args) {
    (void)module;
    stretch *stored;
    PyObject *given;
    slice journal;
    Py_ssize_t journal_size, upto;
    if (!PyArg_ParseTuple(args, "O!O!y#n", stretch_type, &stored, &PyList_Type, &given,
                          &journal.at, &journal_size, &upto)) return NULL;
    if (!are_placed(stored, stored)) return NULL;
    journal.size = (size_t)journal_size;
    outgoing out[MAX_SHARDS] = {0};
    const Py_ssize_t shards = read_shards(given, out);
    uint8_t *shard_of = shards < 0 ? NULL : PyMem_Malloc((size_t)stored->count + 1);
    if (!shard_of) return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    PyObject *made = spread(stored, shards, out, shard_of)
        ? put_commands(stored, shard_of, shards, out, journal, (size_t)upto) : Py_NewRef(Py_None);
    PyMem_Free(shard_of);
    return made;
}

#endif
