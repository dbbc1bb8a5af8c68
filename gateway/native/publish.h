/* The publishing commands, as `gateway.store.publishing.packing` packs them.
 *
 * Alone it buys 25 % of `ack: redis` at 64 connections, 20 % at 256 (seven pairs, 2026-12-01,
 * `c_piece redis`: without it -3 to 39, and -5 to 54 % more).
 */
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

/* ---- one command for each shard, or for all */

enum { PER_EVENT = 3, ARGUMENTS = 7, MAX_LEAD = 128 }; /* digest, meta, body; what is before them */

typedef struct {
    Py_ssize_t position, many, keys; /* what it has; its events, and the names of its keys */
    PyObject *named, *last;          /* its keys, and the last before the events; packed */
    long long last_ms;               /* of its last event */
    size_t size;
} outgoing;

typedef struct {
    slice lead, journal; /* what a command begins with after its length; the journal's id */
    size_t upto;
    int joined;
    const stretch *stored;
    const uint8_t *shard_of;
} publication;

/* Read `shards`, a list of (position, keys, named, last). */
static Py_ssize_t read_shards(PyObject *shards, outgoing *out) {
    const Py_ssize_t many = PyList_GET_SIZE(shards);
    if (!many || many > MAX_SHARDS) {
        PyErr_SetString(PyExc_ValueError, "too many shards, or none");
        return -1;
    }
    for (Py_ssize_t i = 0; i < many; i++) {
        PyObject *one = PyList_GET_ITEM(shards, i);
        if (!PyTuple_Check(one) || PyTuple_GET_SIZE(one) != 4
            || !PyBytes_Check(PyTuple_GET_ITEM(one, 2)) || !PyBytes_Check(PyTuple_GET_ITEM(one, 3))) {
            PyErr_SetString(PyExc_TypeError, "a shard is (position, keys, named, last)");
            return -1;
        }
        out[i].position = PyLong_AsSsize_t(PyTuple_GET_ITEM(one, 0));
        out[i].keys = PyLong_AsSsize_t(PyTuple_GET_ITEM(one, 1));
        if (PyErr_Occurred()) return -1;
        out[i].named = PyTuple_GET_ITEM(one, 2), out[i].last = PyTuple_GET_ITEM(one, 3);
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

static size_t own_arguments(const outgoing *one) {
    return (size_t)(ARGUMENTS + PER_EVENT * one->many);
}

/* Write the arguments of a shard up to its events; with `to` NULL only count. Returns their
 * length. */
static size_t put_head(char *to, const outgoing *one, const publication *all) {
    char number[24], lines[5][48];
    const size_t numbers[] = {own_arguments(one), (size_t)one->keys, (size_t)one->position,
                              all->upto, (size_t)one->last_ms};
    slice written[5];
    for (int i = 0; i < 5; i++) {
        const slice digits = {number, (size_t)put_decimal(number, numbers[i])};
        written[i] = (slice){lines[i], (size_t)(put_bulk(lines[i], digits) - lines[i])};
    }
    if (!all->joined) written[0].size = written[1].size = 0;
    const slice parts[] = {written[0], written[1], all->journal, written[2], written[3],
                           written[4], bytes_slice(one->last)};
    size_t length = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (to) put_slice(to + length, parts[i]);
        length += parts[i].size;
    }
    return length;
}

static char *put_events(char *to, const publication *all, Py_ssize_t shard) {
    for (Py_ssize_t i = 0; i < all->stored->count; i++) {
        if (all->shard_of[i] != shard) continue;
        const entry *one = &all->stored->entries[i];
        to = put_bulk(to, (slice){(const char *)one->key, KEY_BYTES});
        to = put_bulk(put_bulk(to, meta_of(one)), body_of(one));
    }
    return to;
}

/* Write the beginning of a command, up to its keys. Returns how long it is. */
static size_t put_begin(char *to, const publication *all, size_t arguments, size_t keys) {
    char digits[20];
    char *at = to + decimal(to, 3 + keys + arguments, '*'); /* EVALSHA, the script, how many keys */
    at = put_slice(at, all->lead);
    at = put_bulk(at, (slice){digits, (size_t)put_decimal(digits, keys)});
    return (size_t)(at - to);
}

/* One command for the shards from `first` up to `end` that lack any events. */
static PyObject *put_command(const publication *all, const outgoing *out, Py_ssize_t first,
                             Py_ssize_t end) {
    char begin[MAX_LEAD + 64];
    size_t size = 0, keys = 0, arguments = 0;
    for (Py_ssize_t i = first; i < end; i++) {
        if (!out[i].many) continue;
        size += (size_t)PyBytes_GET_SIZE(out[i].named) + put_head(NULL, &out[i], all) + out[i].size;
        arguments += own_arguments(&out[i]) + (all->joined ? 2 : 0);
        keys += (size_t)out[i].keys;
    }
    const size_t begun = put_begin(begin, all, arguments, keys);
    PyObject *command = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(begun + size));
    if (!command) return NULL;
    char *to = put(PyBytes_AS_STRING(command), begin, begun);
    for (Py_ssize_t i = first; i < end; i++)
        if (out[i].many) to = put_slice(to, bytes_slice(out[i].named));
    for (Py_ssize_t i = first; i < end; i++)
        if (out[i].many) to = put_events(to + put_head(to, &out[i], all), all, i);
    return command;
}

/* (list[int], list[bytes]) */
static PyObject *put_commands(const publication *all, const outgoing *out, Py_ssize_t shards) {
    PyObject *which = PyList_New(0), *commands = PyList_New(0);
    int failed = !which || !commands;
    for (Py_ssize_t i = 0; i < shards && !failed; i++) {
        if (!out[i].many) continue;
        failed = append_new(which, PyLong_FromSsize_t(i))
            || (!all->joined && append_new(commands, put_command(all, out, i, i + 1)));
    }
    if (!failed && all->joined && PyList_GET_SIZE(which))
        failed = append_new(commands, put_command(all, out, 0, shards));
    if (!failed) return Py_BuildValue("(NN)", which, commands);
    Py_XDECREF(which);
    Py_XDECREF(commands);
    return NULL;
}

/* publish(stored: Stretch, shards, journal, upto, lead, joined) -> (list[int], list[bytes]) | None
 * The shards that lack any of `stored`, and a command for each, or one for all of them. None: one
 * of the events is unfit, and Python packs them. */
static PyObject *publish(PyObject *module, PyObject *args) {
    (void)module;
    stretch *stored;
    PyObject *given, *journal, *lead;
    Py_ssize_t upto;
    int joined;
    if (!PyArg_ParseTuple(args, "O!O!SnSp", stretch_type, &stored, &PyList_Type, &given, &journal,
                          &upto, &lead, &joined)) return NULL;
    if (!are_placed(stored, stored)) return NULL;
    if (PyBytes_GET_SIZE(lead) > MAX_LEAD) {
        PyErr_SetString(PyExc_ValueError, "that is no name of a script");
        return NULL;
    }
    outgoing out[MAX_SHARDS] = {0};
    const Py_ssize_t shards = read_shards(given, out);
    uint8_t *shard_of = shards < 0 ? NULL : PyMem_Malloc((size_t)stored->count + 1);
    if (!shard_of) return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    const publication all = {bytes_slice(lead), bytes_slice(journal), (size_t)upto, joined, stored,
                             shard_of};
    PyObject *made = spread(stored, shards, out, shard_of) ? put_commands(&all, out, shards)
                                                           : Py_NewRef(Py_None);
    PyMem_Free(shard_of);
    return made;
}

#endif
