/* The practical limit: a webhook receiver in C that does what has to be done, and nothing else.
 *
 *     reference PORT REDIS_SOCKET SECRET PATH
 *
 * One thread, epoll, SHA-256 by the processor's instructions with the secret's two hash states
 * made once. A tick reads every connection that is ready, checks each signature, and sends the
 * store all its XADDs in one write; the answers of the store, as they come, let go the 200s in the
 * same order. It neither journals nor deduplicates, knows one app, and reads one request at a
 * time on a connection. A comparison, not a server: what it does not expect ends it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../gateway/native/sha256.h"

enum { MAX_REQUEST = 64 << 10, MAX_DUE = 4096, MAX_EVENTS = 1024 };
static const char OK[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
static const char UNAUTHORIZED[] = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";

typedef struct {
    int fd;
    size_t held;
    char data[MAX_REQUEST];
} connection;

static sha256 inner, outer;
static const char *path;
static size_t path_size;
static int store;
static char out[4 << 20]; /* what this tick sends to the store */
static size_t out_size;
static connection *due[MAX_DUE]; /* who waits for the store's answers, in their order */
static size_t due_first, due_count;

static void fail(const char *why) {
    fprintf(stderr, "reference: %s (%s)\n", why, strerror(errno));
    exit(1);
}

static void key_states(const char *secret) {
    uint8_t pad[64] = {0};
    if (!sha256_is_fast() || strlen(secret) > sizeof pad) fail("no SHA instructions, or a long secret");
    memcpy(pad, secret, strlen(secret));
    for (int i = 0; i < 64; i++) pad[i] ^= 0x36;
    sha256_begin(&inner), sha256_add(&inner, pad, sizeof pad);
    for (int i = 0; i < 64; i++) pad[i] ^= 0x36 ^ 0x5c;
    sha256_begin(&outer), sha256_add(&outer, pad, sizeof pad);
}

static int is_signed(const char *body, size_t size, const char *claimed) {
    static const char hex[] = "0123456789abcdef";
    uint8_t digest[32];
    unsigned different = 0;
    sha256 hash = inner;
    sha256_add(&hash, body, size), sha256_end(&hash, digest);
    hash = outer;
    sha256_add(&hash, digest, sizeof digest), sha256_end(&hash, digest);
    for (int i = 0; i < 32; i++) {
        different |= (unsigned)(claimed[2 * i] ^ hex[digest[i] >> 4]);
        different |= (unsigned)(claimed[2 * i + 1] ^ hex[digest[i] & 15]);
    }
    return !different;
}

static void answer(connection *one, const char *text, size_t size) {
    if (send(one->fd, text, size, MSG_NOSIGNAL) != (ssize_t)size) fail("an answer did not go out whole");
}

static void queue_xadd(connection *one, const char *body, size_t size) {
    if (due_count == MAX_DUE || out_size + size + 128 > sizeof out) fail("too much at once");
    out_size += (size_t)sprintf(out + out_size,
        "*5\r\n$4\r\nXADD\r\n$6\r\nevents\r\n$1\r\n*\r\n$4\r\nbody\r\n$%zu\r\n", size);
    memcpy(out + out_size, body, size), out_size += size;
    out[out_size++] = '\r', out[out_size++] = '\n';
    due[(due_first + due_count++) % MAX_DUE] = one;
}

/* Find the two headers that matter; whether the request is whole. */
static int parse(connection *one, const char **body, size_t *size, const char **signature) {
    one->data[one->held] = 0;
    char *end = memmem(one->data, one->held, "\r\n\r\n", 4);
    if (!end) return 0;
    *size = 0, *signature = NULL, *body = end + 4;
    for (char *line = memchr(one->data, '\n', one->held) + 1; line < end;) {
        char *next = memchr(line, '\n', (size_t)(end + 2 - line));
        if (!strncasecmp(line, "content-length: ", 16)) *size = strtoul(line + 16, NULL, 10);
        if (!strncasecmp(line, "x-signature: ", 13) && next - line == 13 + 64 + 1) *signature = line + 13;
        line = next + 1;
    }
    return one->held >= (size_t)(*body - one->data) + *size;
}

static void receive(connection *one, int poll) {
    const ssize_t got = recv(one->fd, one->data + one->held, MAX_REQUEST - 1 - one->held, 0);
    if (got <= 0) {
        epoll_ctl(poll, EPOLL_CTL_DEL, one->fd, NULL);
        close(one->fd), free(one); /* none is under way: the load asks one at a time */
        return;
    }
    one->held += (size_t)got;
    const char *body, *signature;
    size_t size;
    if (!parse(one, &body, &size, &signature)) return;
    one->held = 0;
    const int ours = !strncmp(one->data, "POST ", 5) && !strncmp(one->data + 5, path, path_size)
        && one->data[5 + path_size] == ' ';
    if (ours && signature && is_signed(body, size, signature)) queue_xadd(one, body, size);
    else answer(one, UNAUTHORIZED, sizeof UNAUTHORIZED - 1);
}

static void flush_store(void) {
    for (size_t at = 0; at < out_size;) {
        const ssize_t written = send(store, out + at, out_size - at, MSG_NOSIGNAL);
        if (written <= 0) fail("the store went away");
        at += (size_t)written;
    }
    out_size = 0;
}

/* Each "$<n>\r\n<id>\r\n" is an XADD that is done. */
static void receive_store(void) {
    static char in[64 << 10];
    static size_t held;
    const ssize_t got = recv(store, in + held, sizeof in - held, 0);
    if (got <= 0) fail("the store went away");
    held += (size_t)got;
    char *at = in, *end = in + held;
    for (;;) {
        char *line = memchr(at, '\n', (size_t)(end - at));
        char *next = line ? memchr(line + 1, '\n', (size_t)(end - line - 1)) : NULL;
        if (!next) break;
        if (*at != '$') fail("the store refused");
        answer(due[due_first], OK, sizeof OK - 1);
        due_first = (due_first + 1) % MAX_DUE, due_count--;
        at = next + 1;
    }
    held = (size_t)(end - at);
    memmove(in, at, held);
}

static void take_connection(int listener, int poll) {
    connection *one = malloc(sizeof *one);
    int yes = 1;
    if (!one || (one->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0) fail("accept");
    one->held = 0;
    setsockopt(one->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = one};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, one->fd, &event)) fail("epoll_ctl");
}

int main(int count, char **argument) {
    if (count != 5) fail("PORT REDIS_SOCKET SECRET PATH");
    key_states(argument[3]);
    path = argument[4], path_size = strlen(path);

    struct sockaddr_un there = {.sun_family = AF_UNIX};
    strncpy(there.sun_path, argument[2], sizeof there.sun_path - 1);
    store = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(store, (struct sockaddr *)&there, sizeof there)) fail("connect to the store");
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argument[1])),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int listener = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0);
    int yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 1024)) fail("listen");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &store}, events[MAX_EVENTS];
    epoll_ctl(poll, EPOLL_CTL_ADD, store, &event);
    event.data.ptr = &path;
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);

    for (;;) {
        const int ready = epoll_wait(poll, events, MAX_EVENTS, -1);
        if (ready < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < ready; i++) {
            if (events[i].data.ptr == &store) receive_store();
            else if (events[i].data.ptr == &path) take_connection(listener, poll);
            else receive(events[i].data.ptr, poll);
        }
        flush_store();
    }
}
