/* The journal's records, as `gateway.journal.records` has them, and the events in them.
 *
 * Read back is what is whole, checks, and has a meta as `gateway.event` writes it of a plain
 * event: at anything else it stops, and Python goes on from there.
 */
#ifndef GATEWAY_RECORDS_H
#define GATEWAY_RECORDS_H

enum { RECORD_HEADER = 24 };

/* Append what was just made; NULL is the exception that it met. */
static int append_new(PyObject *list, PyObject *item) {
    const int failed = !item || PyList_Append(list, item);
    Py_XDECREF(item);
    return failed ? -1 : 0;
}

static void put_number(char *to, uint64_t number, int bytes) {
    for (int i = 0; i < bytes; i++) to[i] = (char)(number >> (8 * i));
}

static int check_event(PyObject *event) {
    if (Py_IS_TYPE(event, event_type) && SLOT(event, META) && SLOT(event, BODY)
        && SLOT(event, KEY) && SLOT(event, UNFIT) && PyBytes_Check(SLOT(event, META))
        && PyBytes_Check(SLOT(event, BODY)) && PyBytes_Check(SLOT(event, KEY))) return 0;
    PyErr_SetString(PyExc_TypeError, "expected events");
    return -1;
}

static PyObject *make_stored(Py_ssize_t start, Py_ssize_t end, long long number, PyObject *event) {
    PyObject *stored = stored_type->tp_alloc(stored_type, 4);
    if (!stored) return NULL;
    PyTuple_SET_ITEM(stored, 0, PyLong_FromSsize_t(start));
    PyTuple_SET_ITEM(stored, 1, PyLong_FromSsize_t(end));
    PyTuple_SET_ITEM(stored, 2, PyLong_FromLongLong(number));
    PyTuple_SET_ITEM(stored, 3, Py_NewRef(event));
    for (int i = 0; i < 3; i++)
        if (!PyTuple_GET_ITEM(stored, i)) {
            Py_DECREF(stored);
            return NULL;
        }
    return plain_object(stored);
}

/* encode(events: Sequence[Event], number, start) -> (data, list[Stored]) */
static PyObject *encode(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *given;
    long long number;
    Py_ssize_t start, total = 0;
    if (!PyArg_ParseTuple(args, "OLn", &given, &number, &start)) return NULL;
    PyObject *events = PySequence_Fast(given, "expected events"), *data = NULL, *stored = NULL;
    if (!events) return NULL;
    const Py_ssize_t count = PySequence_Fast_GET_SIZE(events);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *event = PySequence_Fast_GET_ITEM(events, i);
        if (check_event(event)) goto failed;
        total += RECORD_HEADER + PyBytes_GET_SIZE(SLOT(event, META))
            + PyBytes_GET_SIZE(SLOT(event, BODY));
    }
    data = PyBytes_FromStringAndSize(NULL, total), stored = PyList_New(count);
    if (!data || !stored) goto failed;
    char *to = PyBytes_AS_STRING(data);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *event = PySequence_Fast_GET_ITEM(events, i);
        PyObject *meta = SLOT(event, META), *body = SLOT(event, BODY);
        const size_t meta_size = (size_t)PyBytes_GET_SIZE(meta);
        const size_t body_size = (size_t)PyBytes_GET_SIZE(body);
        const size_t length = RECORD_HEADER + meta_size + body_size;
        memcpy(to, "GWR1", 4);
        put_number(to + 8, (uint64_t)(number + i), 8);
        put_number(to + 16, meta_size, 4);
        put_number(to + 20, body_size, 4);
        memcpy(to + RECORD_HEADER, PyBytes_AS_STRING(meta), meta_size);
        memcpy(to + RECORD_HEADER + meta_size, PyBytes_AS_STRING(body), body_size);
        put_number(to + 4, crc32_of(0, to + 8, length - 8), 4);
        to += length;
        PyObject *one = make_stored(start, start + (Py_ssize_t)length, number + i, event);
        if (!one) goto failed;
        PyList_SET_ITEM(stored, i, one);
        start += (Py_ssize_t)length;
    }
    Py_DECREF(events);
    return Py_BuildValue("(NN)", data, stored);
failed:
    Py_DECREF(events);
    Py_XDECREF(data);
    Py_XDECREF(stored);
    return NULL;
}

/* ---- and back */

static uint64_t get_number(const char *from, int bytes) {
    uint64_t number = 0;
    for (int i = 0; i < bytes; i++) number |= (uint64_t)(uint8_t)from[i] << (8 * i);
    return number;
}

typedef struct {
    slice meta, body;
    uint64_t number;
    size_t length;
} record;

static int read_record(slice buffer, record *one) {
    if (buffer.size < RECORD_HEADER || memcmp(buffer.at, "GWR1", 4)) return 0;
    const uint64_t meta = get_number(buffer.at + 16, 4), body = get_number(buffer.at + 20, 4);
    if (meta + body > buffer.size - RECORD_HEADER) return 0;
    one->number = get_number(buffer.at + 8, 8);
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

static int read_meta(slice meta, slice fields[META_FIELDS]) {
    const char *at = meta.at, *end = meta.at + meta.size;
    for (int i = 0; i < META_FIELDS; i++) {
        if (at == end || *at++ != (i ? ',' : '[')) return 0;
        if (i == M_CID && end - at >= 4 && !memcmp(at, "null", 4)) {
            fields[i] = (slice){NULL, 0};
            at += 4;
        } else if (!(i == M_ACCEPTED ? meta_number : meta_string)(&at, end, &fields[i])) {
            return 0;
        }
    }
    return end - at == 1 && *at == ']' && !fields[M_UNFIT].size;
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

static PyObject *text_of(slice text) {
    return PyUnicode_DecodeASCII(text.at, (Py_ssize_t)text.size, NULL);
}

static PyObject *bytes_of(slice data) {
    return PyBytes_FromStringAndSize(data.at, (Py_ssize_t)data.size);
}

/* The event as `Event.restored` makes it; NULL without an exception: Python reads it. */
static PyObject *restore_event(const record *one) {
    slice fields[META_FIELDS];
    uint8_t key[KEY_BYTES];
    if (!read_meta(one->meta, fields) || !read_key(fields[M_KEY], key)) return NULL;
    long long accepted_ms = 0;
    for (size_t i = 0; i < fields[M_ACCEPTED].size; i++)
        accepted_ms = 10 * accepted_ms + (fields[M_ACCEPTED].at[i] - '0');
    const slice cid = fields[M_CID];
    PyObject *event = event_type->tp_alloc(event_type, 0);
    if (!event) return NULL;
    SLOT(event, ACCEPTED_MS) = PyLong_FromLongLong(accepted_ms);
    SLOT(event, APP) = text_of(fields[M_APP]);
    SLOT(event, BODY) = bytes_of(one->body);
    SLOT(event, CALL_CID) = cid.at ? text_of(cid) : Py_NewRef(Py_None);
    SLOT(event, KEY) = PyBytes_FromStringAndSize((const char *)key, KEY_BYTES);
    SLOT(event, META) = bytes_of(one->meta);
    SLOT(event, ORDER_HASH) = PyLong_FromUnsignedLong(hash_order(fields[M_APP], cid, key));
    SLOT(event, TYPE) = text_of(fields[M_TYPE]);
    SLOT(event, UNFIT) = Py_NewRef(empty_text);
    for (int i = 0; i < SLOTS; i++)
        if (!SLOT(event, i)) {
            Py_DECREF(event);
            return NULL;
        }
    return plain_object(event);
}

/* decode(buffer: bytes, offset, position) -> list[Stored]
 * The events from `offset` on, `position` being that of the buffer's start in the journal. */
static PyObject *decode(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *given;
    Py_ssize_t offset, position;
    if (!PyArg_ParseTuple(args, "Snn", &given, &offset, &position)) return NULL;
    PyObject *found = PyList_New(0);
    record one;
    while (found && offset >= 0 && offset <= PyBytes_GET_SIZE(given)) {
        const slice rest = {PyBytes_AS_STRING(given) + offset,
                            (size_t)(PyBytes_GET_SIZE(given) - offset)};
        PyObject *event = read_record(rest, &one) ? restore_event(&one) : NULL;
        if (!event) break;
        const Py_ssize_t start = position + offset, end = start + (Py_ssize_t)one.length;
        if (append_new(found, make_stored(start, end, (long long)one.number, event)))
            Py_CLEAR(found);
        Py_DECREF(event);
        offset += (Py_ssize_t)one.length;
    }
    if (PyErr_Occurred()) Py_CLEAR(found);
    return found;
}

#endif
