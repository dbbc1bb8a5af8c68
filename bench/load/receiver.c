/* The cheapest receiver of webhooks: notes what arrives and when, and answers 200.
 *
 *     receiver PORT FILE
 *
 * FILE is memory that the bench reads meanwhile: the number of requests and the bytes used (64 bits
 * each), then for each request its time (CLOCK_MONOTONIC, seconds, a double), the length of its
 * body (32 bits) and the body. Whoever sends something else than Content-Length ends the run.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 17, MAX_FD = 8192 };
static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";

typedef struct {
    size_t held;
    char buffer[BUFFER];
} connection;

static connection *connections[MAX_FD];
static char *notes;
static size_t notes_size;

static void fail(const char *why) {
    fprintf(stderr, "receiver: %s (%s)\n", why, errno ? strerror(errno) : "-");
    exit(1);
}

static void note(const char *body, uint32_t length) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    double now = (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
    uint64_t *count = (uint64_t *)notes, *used = count + 1;
    if (*used + 12 + length > notes_size) fail("more arrived than was meant to");
    char *at = notes + *used;
    memcpy(at, &now, 8);
    memcpy(at + 8, &length, 4);
    memcpy(at + 12, body, length);
    *used += 12 + length;
    __atomic_store_n(count, *count + 1, __ATOMIC_RELEASE);
}

/* Take all whole requests; return how many. */
static int take(connection *one) {
    size_t start = 0;
    int taken = 0;
    for (;;) {
        char *from = one->buffer + start;
        char *end = memmem(from, one->held - start, "\r\n\r\n", 4);
        if (!end) break;
        *end = 0; /* strcasestr wants an end; put back below */
        char *field = strcasestr(from, "\r\ncontent-length:");
        if (!field) fail("no Content-Length");
        size_t length = strtoul(field + 17, NULL, 10);
        *end = '\r';
        size_t whole = (size_t)(end + 4 - from) + length;
        if (whole > BUFFER) fail("a request is too large");
        if (one->held - start < whole) break;
        note(end + 4, (uint32_t)length);
        start += whole;
        taken++;
    }
    memmove(one->buffer, one->buffer + start, one->held - start);
    one->held -= start;
    return taken;
}

static void on_readable(int fd) {
    connection *one = connections[fd];
    ssize_t got = recv(fd, one->buffer + one->held, BUFFER - one->held, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        close(fd);
        free(one);
        connections[fd] = NULL;
        return;
    }
    one->held += (size_t)got;
    for (int left = take(one); left > 0; left--) {
        if (send(fd, ANSWER, sizeof ANSWER - 1, MSG_NOSIGNAL) != sizeof ANSWER - 1 && errno != EPIPE && errno != ECONNRESET)
            fail("an answer did not fit");
    }
}

static void on_connection(int listener, int poll) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    if (fd >= MAX_FD) fail("too many connections");
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!(connections[fd] = malloc(sizeof(connection)))) fail("no memory");
    connections[fd]->held = 0;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event)) fail("epoll_ctl");
}

int main(int count, char **words) {
    if (count != 3) fail("usage: receiver PORT FILE");
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    int file = open(words[2], O_RDWR), on = 1;
    struct stat facts;
    if (file < 0 || fstat(file, &facts)) fail(words[2]);
    notes_size = (size_t)facts.st_size;
    notes = mmap(NULL, notes_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
    if (notes == MAP_FAILED) fail("mmap");
    ((uint64_t *)notes)[1] = 16;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[1]))};
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&where, sizeof where) || listen(listener, 1024)) fail("listen");
    int poll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(poll, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == listener) on_connection(listener, poll);
            else on_readable(events[i].data.fd);
        }
    }
}
