/* A crowd: holds many WebSockets that watch, publishes by HTTP, and checks what every watcher gets.
 *
 *     crowd PORT BODY_BYTES HANDSHAKES STALLED MESSAGES GREETS
 *
 * HANDSHAKES and MESSAGES are files: for each request its length and its call, for a message then how
 * many watchers are to get it (32 bits each, little-endian), and the request's bytes. The last
 * BODY_BYTES of a message are its body; it has `"number":"` and 12 digits: which message it is.
 * The last STALLED watchers never read. With GREETS 1 a watcher is open once a first frame comes.
 * Once all are open, orders come on stdin, one a line, and each takes the next COUNT messages:
 *
 *     loop IN_FLIGHT COUNT    the next goes out when one has been answered and has reached all
 *     pace RATE COUNT         at a steady rate; times count from when a message was due
 *
 * A report, one line of JSON, means that every message has come to every watcher that was to get
 * it, once, with the body byte for byte in it. Anything else ends the run. `reordered` counts
 * those that came to a watcher in another order than to the first one of its call.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 20, AT_ONCE = 64, BUCKETS = 1 << 20, BUCKET_US = 10, DIGITS = 12, ANSWER = 4096, PATIENCE = 30 };
enum kind { OPENING, WATCHING, PUBLISHING };

typedef struct {
    int fd;
    enum kind kind;
    char *kept; /* the beginning of a frame that is not whole, or of an answer */
    size_t kept_size;
    uint32_t call;
    size_t came;      /* messages, and which of them */
    uint8_t *has;
    size_t message;   /* of a publisher: which one it has sent */
    int answered;
} connection;

typedef struct {
    const char *request;
    uint32_t size, call, missing;
    double since;
    connection *by;
} message;

/* In which order the messages of a call came to whoever got them first. */
typedef struct {
    uint32_t *numbers;
    size_t count;
} order;

static order *orders;
static connection *watchers, publishers[AT_ONCE], *idle[AT_ONCE];
static message *messages;
static int greets; /* a watcher has come in with the first frame, not with the 101 */
static size_t watcher_count, message_count, body_size, dialled, idle_count, opened, stalled;
static size_t sent, finished, delivered, reordered; /* sent and finished: over all phases */
static uint32_t *buckets;
static char buffer[BUFFER];
static int poller;
static struct sockaddr_in address;

static void fail(const char *why) {
    fprintf(stderr, "crowd: %s (%s)\n", why, errno ? strerror(errno) : "-");
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static const char *mapped(const char *path, size_t *size) {
    struct stat found;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &found)) fail(path);
    *size = (size_t)found.st_size;
    const char *at = mmap(NULL, *size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (at == MAP_FAILED) fail("mmap");
    return at;
}

static uint32_t number_at(const char *at) {
    uint32_t number;
    memcpy(&number, at, 4);
    return number;
}

static void load_messages(const char *path) {
    size_t size;
    const char *at = mapped(path, &size), *end = at + size;
    uint32_t calls = 0;
    for (const char *p = at; p < end; p += 12 + number_at(p), message_count++)
        if (number_at(p + 4) >= calls) calls = number_at(p + 4) + 1;
    messages = calloc(message_count, sizeof *messages);
    buckets = calloc(BUCKETS, sizeof *buckets);
    orders = calloc(calls, sizeof *orders);
    if (!messages || !buckets || !orders) fail("memory");
    for (message *one = messages; at < end; at += 12 + one->size, one++) {
        *one = (message){.size = number_at(at), .call = number_at(at + 4), .missing = number_at(at + 8), .request = at + 12};
        orders[one->call].count++;
    }
    for (uint32_t i = 0; i < calls; i++) {
        if (!(orders[i].numbers = malloc(orders[i].count * sizeof(uint32_t) + 1))) fail("memory");
        orders[i].count = 0;
    }
}

static void dial(connection *one, enum kind kind) {
    const int yes = 1;
    one->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (one->fd < 0 || connect(one->fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
    setsockopt(one->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    one->kind = kind;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = one};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, one->fd, &event)) fail("epoll_ctl");
}

static void keep(connection *one, const char *from, size_t size) {
    if (size && !(one->kept = realloc(one->kept, size))) fail("memory");
    memmove(one->kept, from, size); /* it may lie in what is kept */
    one->kept_size = size;
}

/* ---- what comes */

static void count(double took) {
    const double at = took * 1e6 / BUCKET_US;
    buckets[at < BUCKETS ? (size_t)at : BUCKETS - 1]++;
    delivered++;
}

static void publisher_is_free(connection *one) {
    idle[idle_count++] = one;
    finished++;
}

static void note_order(connection *one, uint32_t number) {
    order *call = &orders[one->call];
    if (one->has[number / 8] & 1 << number % 8) fail("a message came twice");
    one->has[number / 8] |= (uint8_t)(1 << number % 8);
    if (one->came == call->count) call->numbers[call->count++] = number;
    else if (call->numbers[one->came] != number) reordered++;
    one->came++;
}

static void take_event(connection *one, const char *payload, size_t size) {
    const char *mark = memmem(payload, size, "\"number\":\"", 10);
    if (!mark) return; /* an answer, a ping */
    if (mark + 10 + DIGITS > payload + size) fail("a number was cut");
    int64_t number = 0;
    for (int i = 0; i < DIGITS; i++) number = number * 10 + (mark[10 + i] - '0');
    if (number < 0 || (size_t)number >= sent) fail("a message came that was not sent");
    message *what = &messages[number];
    const char *body = what->request + what->size - body_size;
    const char *own = memmem(body, body_size, "\"number\":\"", 10);
    const char *start = mark - (own - body);
    if (start < payload || start + body_size > payload + size || memcmp(start, body, body_size))
        fail("a body was changed");
    if (!what->missing) fail("a message came to more than were to get it");
    if (what->call != one->call) fail("a message came to watchers of another call");
    note_order(one, (uint32_t)number);
    count(now() - what->since);
    if (!--what->missing && what->by->answered) publisher_is_free(what->by);
}

static void pong(connection *one, const char *payload, size_t size) {
    char frame[6 + 125] = {(char)0x8A, (char)(0x80 | size)}; /* masked by zeros */
    memcpy(frame + 6, payload, size);
    if (send(one->fd, frame, 6 + size, MSG_NOSIGNAL) != (ssize_t)(6 + size)) fail("a pong");
}

static void take_frames(connection *one, const char *at, size_t size) {
    while (size >= 2) {
        const uint8_t *b = (const uint8_t *)at;
        size_t length = b[1] & 0x7F, head = 2;
        if (length == 126) head = 4;
        if (length == 127) head = 10;
        if (size < head) break;
        if (head > 2) {
            length = 0;
            for (size_t i = 2; i < head; i++) length = length << 8 | b[i];
        }
        if (size < head + length) break;
        if ((b[0] & 0x0F) == 1) take_event(one, at + head, length);
        else if ((b[0] & 0x0F) == 9) pong(one, at + head, length);
        else fail("the server closed a watcher, or sent what is no text");
        at += head + length;
        size -= head + length;
    }
    keep(one, at, size);
}

/* The end of the head of an HTTP answer, checked; NULL: it is not whole yet. */
static const char *head_end(const char *at, size_t size) {
    const char *end = memmem(at, size, "\r\n\r\n", 4);
    if (end && memcmp(at, "HTTP/1.1 101", 12) && memcmp(at, "HTTP/1.1 2", 10)) {
        fprintf(stderr, "%.*s\n", (int)size, at);
        fail("a request was refused");
    }
    return end ? end + 4 : NULL;
}

static void take_answer(connection *one, const char *at, size_t size) {
    const char *body = head_end(at, size);
    if (body) {
        const char *field = memmem(at, (size_t)(body - at), "ontent-", 7);
        size_t length = 0;
        for (; field; field = memmem(field + 1, (size_t)(body - field - 1), "ontent-", 7))
            if (!strncasecmp(field + 7, "length:", 7)) length = strtoul(field + 14, NULL, 10);
        if (size >= (size_t)(body - at) + length) {
            one->answered = 1;
            one->kept_size = 0;
            if (!messages[one->message].missing) publisher_is_free(one);
            return;
        }
    }
    if (size >= ANSWER) fail("an answer without an end");
    keep(one, at, size);
}

static void take(connection *one) {
    char *at = buffer;
    const size_t before = one->kept_size;
    if (before) memcpy(at, one->kept, before);
    const ssize_t got = recv(one->fd, at + before, BUFFER - before, 0);
    if (got <= 0) fail("the server closed a connection");
    const size_t size = before + (size_t)got;
    if (one->kind == PUBLISHING) {
        take_answer(one, at, size);
    } else if (one->kind == WATCHING) {
        take_frames(one, at, size);
    } else {
        const char *frames = head_end(at, size);
        if (!frames || (greets && frames == at + size)) {
            keep(one, at, size);
            return;
        }
        one->kind = WATCHING;
        opened++;
        one->kept_size = 0;
        take_frames(one, frames, size - (size_t)(frames - at));
    }
}

static void wait_and_take(double longest) {
    static struct epoll_event events[1024];
    struct timespec wait = {(time_t)longest, (long)((longest - (double)(time_t)longest) * 1e9)};
    const int ready = epoll_pwait2(poller, events, 1024, longest < 0 ? NULL : &wait, NULL);
    if (ready < 0) fail("epoll_pwait2");
    if (!ready && longest >= PATIENCE) fail("nothing has come for 30 s");
    errno = 0;
    for (int i = 0; i < ready; i++) take(events[i].data.ptr);
}

/* ---- what goes */

static void open_all(const char *path) {
    size_t size;
    const char *at = mapped(path, &size), *end = at + size;
    for (const char *p = at; p < end; p += 8 + number_at(p)) watcher_count++;
    if (!(watchers = calloc(watcher_count, sizeof *watchers))) fail("memory");
    for (size_t i = 0; i < watcher_count; i++, at += 8 + number_at(at)) {
        dial(&watchers[i], OPENING);
        watchers[i].call = number_at(at + 4);
        if (!(watchers[i].has = calloc(message_count / 8 + 1, 1))) fail("memory");
        if (send(watchers[i].fd, at + 8, number_at(at), MSG_NOSIGNAL) != (ssize_t)number_at(at)) fail("a handshake");
        while (opened + AT_ONCE <= i) wait_and_take(PATIENCE);
    }
    while (opened < watcher_count) wait_and_take(PATIENCE);
    for (size_t i = watcher_count - stalled; i < watcher_count; i++)
        if (epoll_ctl(poller, EPOLL_CTL_DEL, watchers[i].fd, NULL)) fail("epoll_ctl");
}

static void publish(double since) {
    if (!idle_count) { /* only now: a connection that says nothing is not kept */
        dial(&publishers[dialled], PUBLISHING);
        idle[idle_count++] = &publishers[dialled++];
    }
    connection *by = idle[--idle_count];
    message *one = &messages[sent];
    by->message = sent++;
    by->answered = 0;
    one->by = by;
    one->since = since;
    if (send(by->fd, one->request, one->size, MSG_NOSIGNAL) != (ssize_t)one->size) fail("a message did not go out whole");
}

static double share(double wanted) {
    size_t seen = 0, until = (size_t)(wanted * (double)delivered);
    for (size_t i = 0; i < BUCKETS; i++)
        if ((seen += buckets[i]) > until || seen == delivered) return (double)(i + 1) * BUCKET_US;
    return 0;
}

static void run_phase(size_t in_flight, double rate, size_t count) {
    if (sent + count > message_count) fail("there are no such many messages");
    const size_t first = sent, last = sent + count;
    memset(buckets, 0, BUCKETS * sizeof *buckets);
    delivered = reordered = 0;
    const double from = now();
    double came = from; /* the last time that anything did: pings go on where a message is missing */
    for (size_t had = 0; finished < last; had = delivered + finished) {
        if (delivered + finished != had || sent == finished) came = now();
        else if (now() - came > PATIENCE) fail("a message has not come to everybody for 30 s");
        double rest = PATIENCE;
        while (sent < last && sent - finished < in_flight) {
            const double moment = now(), due = rate ? from + (double)(sent - first) / rate : moment;
            if (due > moment) {
                rest = due - moment;
                break;
            }
            publish(due);
        }
        wait_and_take(rest);
    }
    printf("{\"seconds\":%.6f,\"messages\":%zu,\"deliveries\":%zu,\"reordered\":%zu,\"latency_us\":"
           "{\"p50\":%.0f,\"p99\":%.0f,\"max\":%.0f}}\n",
           now() - from, count, delivered, reordered, share(0.5), share(0.99), share(1));
    fflush(stdout);
}

int main(int count, char **word) {
    if (count != 7) fail("PORT BODY_BYTES HANDSHAKES STALLED MESSAGES GREETS");
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_TIMERSLACK, 1);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(word[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    body_size = strtoul(word[2], NULL, 10);
    stalled = strtoul(word[4], NULL, 10);
    greets = atoi(word[6]);
    poller = epoll_create1(EPOLL_CLOEXEC);
    load_messages(word[5]);
    errno = 0;
    open_all(word[3]);
    printf("{\"open\":%zu}\n", opened);
    fflush(stdout);
    char said[128];
    while (fgets(said, sizeof said, stdin)) {
        size_t many;
        double number;
        if (sscanf(said, "loop %lf %zu", &number, &many) == 2) run_phase((size_t)number, 0, many);
        else if (sscanf(said, "pace %lf %zu", &number, &many) == 2) run_phase(AT_ONCE, number, many);
        else fail("an order is not understood");
    }
    return 0;
}
