/* The load generator: sends prepared requests over keep-alive connections, each with one under way.
 *
 *     fire HOST PORT CONNECTIONS RATE FILE
 *
 * FILE holds, for each request, its length (32 bits, little-endian) and its bytes. RATE 0 is a
 * closed loop: a connection sends the next request as soon as its answer is there. Any other RATE
 * is an open loop: requests are due at random moments (Poisson, that many per second, the same
 * ones in every run), and their time counts from when they were due, sent or not. There it goes
 * before the store where it is allowed to, so that a request goes out when it is due, and not in a
 * burst with all others that became due while the store had the core.
 *
 * It shares a core with the store, so it does as little as can be: whole requests go out from
 * where they lie, and an answer equal to the last one is not parsed again. An answer that is not
 * understood, or a connection that closes, fails the run instead of shortening it. The report is
 * one line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MAX_ANSWER = 4096, MAX_STATUS = 600 };

typedef struct {
    int fd;
    double since; /* when the request under way was sent, or due */
    size_t held;
    char answer[MAX_ANSWER];
} connection;

static const char *requests, *requests_end;
static double *latencies, *due_at;
static size_t total, sent, answered, idle_count;
static connection *connections, **idle;
static long statuses[MAX_STATUS];
static char known[MAX_ANSWER];
static size_t known_size;
static int known_status;

static void fail(const char *why) {
    fprintf(stderr, "fire: %s (%s)\n", why, errno ? strerror(errno) : "-");
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint32_t length_at(const char *at) {
    const uint8_t *b = (const uint8_t *)at;
    return b[0] | b[1] << 8 | b[2] << 16 | (uint32_t)b[3] << 24;
}

static void load_requests(const char *path) {
    struct stat found;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &found)) fail(path);
    requests = mmap(NULL, (size_t)found.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (requests == MAP_FAILED) fail("mmap");
    requests_end = requests + found.st_size;
    for (const char *at = requests; at < requests_end; at += 4 + length_at(at)) total++;
    latencies = malloc(total * sizeof *latencies);
    due_at = malloc(total * sizeof *due_at);
    if (!latencies || !due_at) fail("memory");
}

static void send_next(connection *one, double since) {
    const size_t length = length_at(requests);
    const ssize_t written = send(one->fd, requests + 4, length, MSG_NOSIGNAL);
    if (written != (ssize_t)length) fail("a request did not go out whole");
    requests += 4 + length;
    one->since = since;
    sent++;
}

/* The status of the whole answer that a connection holds; 0: it is not whole yet. */
static int status_of(connection *one) {
    if (one->held == known_size && !memcmp(one->answer, known, known_size)) return known_status;
    one->answer[one->held] = 0;
    const char *end = strstr(one->answer, "\r\n\r\n");
    if (!end) return 0;
    const char *length = strcasestr(one->answer, "\r\ncontent-length:");
    if (!length || length > end) fail("an answer without a length");
    const size_t whole = (size_t)(end + 4 - one->answer) + strtoul(length + 17, NULL, 10);
    if (one->held < whole) return 0;
    if (one->held > whole) fail("more was answered than was asked for");
    memcpy(known, one->answer, whole);
    known_size = whole, known_status = atoi(one->answer + 9);
    if (known_status < 100 || known_status >= MAX_STATUS) fail("an answer without a status");
    return known_status;
}

/* Read what came; whether the request under way is answered. */
static int receive(connection *one) {
    ssize_t got = recv(one->fd, one->answer + one->held, MAX_ANSWER - 1 - one->held, 0);
    if (got <= 0) fail("the server closed a connection");
    one->held += (size_t)got;
    const int status = status_of(one);
    if (!status) return 0;
    one->held = 0;
    statuses[status]++;
    latencies[answered++] = now() - one->since;
    return 1;
}

static void open_all(const char *host, int port, int count, int poll) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) fail("not an address");
    for (int i = 0; i < count; i++) {
        connection *one = &connections[i];
        one->fd = socket(AF_INET, SOCK_STREAM, 0);
        int yes = 1;
        if (one->fd < 0 || connect(one->fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
        setsockopt(one->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = one};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, one->fd, &event)) fail("epoll_ctl");
        idle[idle_count++] = one;
    }
}

/* Send what is due, as far as connections are idle; how long until the next is due, or -1. */
static double send_due(double from, double rate) {
    while (idle_count && sent < total) {
        const double moment = now(), due = rate ? from + due_at[sent] : moment;
        if (due > moment) return due - moment;
        send_next(idle[--idle_count], due);
    }
    return -1;
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double at_share(double share) {
    const size_t at = (size_t)(share * (double)total);
    return latencies[at < total ? at : total - 1] * 1e6;
}

static void report(double seconds) {
    qsort(latencies, total, sizeof *latencies, ascending);
    printf("{\"seconds\":%.6f,\"statuses\":{", seconds);
    const char *comma = "";
    for (int i = 0; i < MAX_STATUS; i++)
        if (statuses[i]) printf("%s\"%d\":%ld", comma, i, statuses[i]), comma = ",";
    printf("},\"latency_us\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f}}\n",
           at_share(0.5), at_share(0.9), at_share(0.99), at_share(0.999), at_share(1));
}

int main(int count, char **argument) {
    if (count != 6) fail("HOST PORT CONNECTIONS RATE FILE");
    const int many = atoi(argument[3]), poll = epoll_create1(0);
    const double rate = atof(argument[4]);
    const struct sched_param first = {.sched_priority = 1};
    if (rate) (void)sched_setscheduler(0, SCHED_RR, &first);
    connections = calloc((size_t)many, sizeof *connections);
    idle = calloc((size_t)many, sizeof *idle);
    struct epoll_event *events = calloc((size_t)many, sizeof *events);
    if (!connections || !idle || !events || poll < 0) fail("memory");
    load_requests(argument[5]);
    double moment = 0;
    srand48(1);
    for (size_t i = 0; rate && i < total; i++) due_at[i] = (moment -= log(1 - drand48()) / rate);
    open_all(argument[1], atoi(argument[2]), many, poll);
    prctl(PR_SET_TIMERSLACK, 1);
    errno = 0;

    const double from = now();
    while (answered < total) {
        const double rest = send_due(from, rate);
        struct timespec wait = {(time_t)rest, (long)((rest - (double)(time_t)rest) * 1e9)};
        const int ready = epoll_pwait2(poll, events, many, rest < 0 ? NULL : &wait, NULL);
        if (ready < 0) fail("epoll_pwait2");
        for (int i = 0; i < ready; i++) {
            connection *one = events[i].data.ptr;
            if (!receive(one)) continue;
            if (!rate && sent < total) send_next(one, now());
            else idle[idle_count++] = one;
        }
    }
    report(now() - from);
    return 0;
}
