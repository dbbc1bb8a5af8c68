/* The journal's records, as `gateway.journal.records` has them, and the events in them.
 *
 * Read back is what is whole, checks, and has a meta as `gateway.event` writes it of a plain
 * event: at anything else it stops, and Python goes on from there.
 */
#ifndef GATEWAY_RECORDS_H
#define GATEWAY_RECORDS_H

static stretch *written(PyObject *given) {
    PyObject *events = PySequence_Fast(given, "expected events");
    stretch *made = events ? new_stretch() : NULL;
    for (Py_ssize_t i = 0; made && i < PySequence_Fast_GET_SIZE(events); i++)
        if (add_event(made, PySequence_Fast_GET_ITEM(events, i))) Py_CLEAR(made);
    Py_XDECREF(events);
    return made;
}

/* encode(events: Sequence[Event] | Stretch, number, start) -> (data, Stretch)
 * The events as records in one piece; a Stretch that is open is placed, and is the one returned. */
static PyObject *encode(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *given;
    long long number;
    Py_ssize_t start;
    if (!PyArg_ParseTuple(args, "OLn", &given, &number, &start)) return NULL;
    stretch *made =
        Py_IS_TYPE(given, stretch_type) ? (stretch *)Py_NewRef(given) : written(given);
    if (!made) return NULL;
    if (made->held) PyErr_SetString(PyExc_ValueError, "it is placed already");
    if (made->held || stretch_place(made, number, start)) {
        Py_DECREF(made);
        return NULL;
    }
    return Py_BuildValue("(ON)", PyList_GET_ITEM(made->held, 0), made);
}

/* ---- and back */

typedef struct {
    slice meta, body;
    size_t length;
} record;

static int read_record(slice buffer, record *one) {
    if (buffer.size < RECORD_HEADER || memcmp(buffer.at, "GWR1", 4)) return 0;
    const uint64_t meta = get_number(buffer.at + 16, 4), body = get_number(buffer.at + 20, 4);
    if (meta + body > buffer.size - RECORD_HEADER) return 0;
    if (get_number(buffer.at + 8, 8) > INT64_MAX) return 0; /* more than we have room for */
    one->meta = (slice){buffer.at + RECORD_HEADER, (size_t)meta};
    one->body = (slice){one->meta.at + meta, (size_t)body};
    one->length = RECORD_HEADER + (size_t)(meta + body);
    return get_number(buffer.at + 4, 4) == crc32_of(0, buffer.at + 8, one->length - 8);
}

/* The fields of a meta, in order. */
enum { M_APP, M_TYPE, M_CID, M_ACCEPTED, M_KEY, M_WEBHOOK_ID, M_SIGNATURE, M_SOURCE, M_UNFIT, META_FIELDS };

/* Find a string of plain characters at `*at`; what lies between its quotes. */
static int meta_string(const char **at, const char *end, slice *text) {
    if (*at == end || **at != '"') return 0;
    const char *from = ++*at;
    while (*at < end && **at != '"') {
        if (**at < 32 || **at > 126 || **at == '\\') return 0;
        ++*at;
    }
    if (*at == end) return 0;
    *text = (slice){from, (size_t)(*at - from)};
    ++*at;
    return 1;
}

static int meta_number(const char **at, const char *end, slice *digits) {
    const char *from = *at;
    while (*at < end && **at >= '0' && **at <= '9') ++*at;
    *digits = (slice){from, (size_t)(*at - from)};
    return digits->size >= 1 && digits->size <= 18 && (digits->size == 1 || *from != '0');
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int read_key(slice hex, uint8_t key[KEY_BYTES]) {
    if (hex.size != 2 * KEY_BYTES) return 0;
    for (int i = 0; i < KEY_BYTES; i++) {
        const int high = hex_digit(hex.at[2 * i]), low = hex_digit(hex.at[2 * i + 1]);
        if (high < 0 || low < 0) return 0;
        key[i] = (uint8_t)(high << 4 | low);
    }
    return 1;
}

typedef struct {
    slice fields[META_FIELDS];
    uint8_t key[KEY_BYTES];
    long long accepted_ms;
} plain_meta;

/* Read the meta of a plain event; 0: Python reads it. */
static int read_meta(slice meta, plain_meta *found) {
    const char *at = meta.at, *end = meta.at + meta.size;
    for (int i = 0; i < META_FIELDS; i++) {
        slice *field = &found->fields[i];
        if (at == end || *at++ != (i ? ',' : '[')) return 0;
        if (i == M_CID && end - at >= 4 && !memcmp(at, "null", 4)) {
            *field = (slice){NULL, 0};
            at += 4;
        } else if (!(i == M_ACCEPTED ? meta_number : meta_string)(&at, end, field)) {
            return 0;
        }
    }
    if (end - at != 1 || *at != ']' || found->fields[M_UNFIT].size) return 0;
    found->accepted_ms = 0;
    for (size_t i = 0; i < found->fields[M_ACCEPTED].size; i++)
        found->accepted_ms = 10 * found->accepted_ms + (found->fields[M_ACCEPTED].at[i] - '0');
    return read_key(found->fields[M_KEY], found->key);
}

static PyObject *text_of(slice text) {
    return PyUnicode_DecodeASCII(text.at, (Py_ssize_t)text.size, NULL);
}

static PyObject *bytes_of(slice data) {
    return PyBytes_FromStringAndSize(data.at, (Py_ssize_t)data.size);
}

static uint32_t meta_order_hash(const plain_meta *found) {
    return hash_order(found->fields[M_APP], found->fields[M_CID], found->key);
}

/* The event as `Event.restored` makes it; NULL without an exception: Python reads it. */
static PyObject *restore_event(slice meta, slice body) {
    plain_meta found;
    if (!read_meta(meta, &found)) return NULL;
    const slice cid = found.fields[M_CID];
    PyObject *event = event_type->tp_alloc(event_type, 0);
    if (!event) return NULL;
    SLOT(event, ACCEPTED_MS) = PyLong_FromLongLong(found.accepted_ms);
    SLOT(event, APP) = text_of(found.fields[M_APP]);
    SLOT(event, BODY) = bytes_of(body);
    SLOT(event, CALL_CID) = cid.at ? text_of(cid) : Py_NewRef(Py_None);
    SLOT(event, KEY) = PyBytes_FromStringAndSize((const char *)found.key, KEY_BYTES);
    SLOT(event, META) = bytes_of(meta);
    SLOT(event, ORDER_HASH) = PyLong_FromUnsignedLong(meta_order_hash(&found));
    SLOT(event, TYPE) = text_of(found.fields[M_TYPE]);
    SLOT(event, UNFIT) = Py_NewRef(empty_text);
    return whole_event(event);
}

/* Add the record at `at` of the journal; 1, 0: Python reads it, -1: an exception. */
static int add_record(stretch *to, slice rest, Py_ssize_t at, size_t *length) {
    record one;
    plain_meta found;
    if (!read_record(rest, &one) || !read_meta(one.meta, &found)) return 0;
    entry *made = new_entry(to);
    if (!made) return -1;
    *made = (entry){.at = rest.at, .start = at, .length = one.length,
                    .accepted_ms = found.accepted_ms, .order_hash = meta_order_hash(&found)};
    memcpy(made->key, found.key, KEY_BYTES);
    to->count++;
    *length = one.length;
    return 1;
}

/* decode(buffer: bytes, offset, position) -> Stretch
 * The events from `offset` on, `position` being that of the buffer's start in the journal. */
static PyObject *decode(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *given;
    Py_ssize_t offset, position;
    if (!PyArg_ParseTuple(args, "Snn", &given, &offset, &position)) return NULL;
    stretch *found = new_stretch();
    if (!found || !(found->held = PyList_New(0)) || PyList_Append(found->held, given)) {
        Py_XDECREF(found);
        return NULL;
    }
    int added = 1;
    while (added > 0 && offset >= 0 && offset <= PyBytes_GET_SIZE(given)) {
        const slice rest = {PyBytes_AS_STRING(given) + offset,
                            (size_t)(PyBytes_GET_SIZE(given) - offset)};
        size_t length = 0;
        added = add_record(found, rest, position + offset, &length);
        offset += (Py_ssize_t)length;
    }
    if (added < 0) Py_CLEAR(found);
    return (PyObject *)found;
}

#endif
