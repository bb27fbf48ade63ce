/* The client of the bench: one epoll loop that asks, checks every response, and says how it went.
 *
 *     load [-c CONNECTIONS] [-d SECONDS] [-n CALLS] [-p DEPTH] [-b FILE] [-l FILE] [-r RATE] [-w SECONDS] [-i] [-s] PORT [PATH]
 *
 *     -c  connections at once (1)
 *     -d  how long requests are begun (1); those that are under way then are waited for
 *     -n  requests a connection, the last of which says "Connection: close" (no limit)
 *     -p  so many requests are sent at once, and the next when all are answered (1)
 *     -b  the body that every response must have, byte for byte up to 256 KiB, beyond that in length
 *     -l  a file of lines "PATH LENGTH" instead of PATH, asked in a random order that is the same in every run; the bodies are
 *         beginnings of that of -b
 *     -r  instead of -c: so many connections a second are opened, answered or not, each for -n calls; then we close, as
 *         httperf does. A reply that takes longer than -w seconds (2) is an error
 *     -i  each connection asks once and is then kept; "ready" is printed when all are, and the end of the standard input
 *         awaited. Connections that the server has closed before that are counted as errors
 *     -s  TLS, a full handshake for every connection (built with -DTLS)
 *
 * Prints name=value pairs: requests, seconds, connections, errors, kept connections that were closed instead of an answer
 * (their requests are asked again), answers before the end of -d, and the quantiles of the time from a request to the end of its
 * response in microseconds; then the first error in words. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef TLS
#include <openssl/ssl.h>
#endif

#include "requests.h"

#define COMPARED (256 * 1024)
#define BUFFER (512 * 1024)
#define PART 16384
#define MAX_DEPTH 64
#define SOURCES 8

enum stage { HEAD, BODY, CHUNK_SIZE, CHUNK, CHUNK_END, TRAILER, TO_END, CLOSING };

struct connection {
    int fd;
    enum stage stage;
    unsigned asked, answered, at_once; /* of this connection; the latter of what was sent last */
    const struct request *of[MAX_DEPTH];
    unsigned first; /* of `of`, not yet answered */
    size_t left, done; /* bytes of the body or chunk; of the body so far */
    char *part;        /* of a head or of a line */
    size_t part_length;
    double since;
    char says_close, connecting, idle;
#ifdef TLS
    SSL *tls;
#endif
};

static int port, calls, depth = 1, by_rate, keeps_idle, tls;
static double wait_for = 2, deadline;
static char *expected;
static int epoll, running;
static unsigned long answered, connections, errors, closed, in_time, idle;
static double started, last_answer;
static char first_error[512], buffer[PART + BUFFER];

#ifdef TLS
static SSL_CTX *tls_context;
#endif

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void open_one(struct connection *c);

__attribute__((format(printf, 2, 3))) static void fail(struct connection *c, const char *form, ...)
{
    va_list words;
    errors++;
    if (!first_error[0]) {
        va_start(words, form);
        vsnprintf(first_error, sizeof first_error, form, words);
        va_end(words);
    }
    c->stage = CLOSING;
}

/* Ends a connection and, while requests are begun, opens the next in its place. */
static void finish(struct connection *c)
{
#ifdef TLS
    if (c->tls)
        SSL_free(c->tls);
    c->tls = NULL;
#endif
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    running--;
    if (by_rate) {
        free(c->part);
        free(c);
        return;
    }
    /* A server that fails all the time is not asked all the time. */
    if (!keeps_idle && errors < 100 && now() < deadline)
        open_one(c);
}

static ssize_t take(struct connection *c, char *into, size_t size)
{
#ifdef TLS
    if (c->tls) {
        int got = SSL_read(c->tls, into, (int)size);
        if (got > 0)
            return got;
        switch (SSL_get_error(c->tls, got)) {
        case SSL_ERROR_WANT_READ:
        case SSL_ERROR_WANT_WRITE:
            errno = EAGAIN;
            return -1;
        case SSL_ERROR_ZERO_RETURN:
            return 0;
        default:
            return errno == 0 ? 0 : -1;
        }
    }
#endif
    return recv(c->fd, into, size, 0);
}

static ssize_t give(struct connection *c, const char *bytes, size_t length)
{
#ifdef TLS
    if (c->tls)
        return SSL_write(c->tls, bytes, (int)length);
#endif
    return send(c->fd, bytes, length, MSG_NOSIGNAL);
}

static void ask(struct connection *c)
{
    static char batch[MAX_DEPTH * LONGEST_REQUEST];
    const char *bytes = batch;
    size_t length = 0;
    c->at_once = 0;
    c->first = 0;
    while (c->at_once < (unsigned)depth && (calls == 0 || c->asked < (unsigned)calls)) {
        const struct request *request = choose();
        int last = !by_rate && calls && c->asked + 1 == (unsigned)calls;
        const char *text = last ? request->closing : request->plain;
        size_t more = last ? request->closing_length : request->plain_length;
        if (depth == 1) {
            bytes = text;
        } else {
            memcpy(batch + length, text, more);
        }
        length += more;
        c->of[c->at_once++] = request;
        c->asked++;
    }
    c->stage = HEAD;
    c->since = now();
    if (give(c, bytes, length) != (ssize_t)length)
        fail(c, "a request was not taken: %s", strerror(errno));
}

static void open_one(struct connection *c)
{
    static unsigned turn;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)}, own = {.sin_family = AF_INET};
    int on = 1;
    char *part = c->part;
    memset(c, 0, sizeof *c);
    c->part = part;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    running++;
    connections++;
    if (c->fd < 0) {
        fail(c, "socket: %s", strerror(errno));
        finish(c);
        return;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (by_rate) {
        /* We close first, and the port rests for a minute: one address has too few of them. */
        own.sin_addr.s_addr = htonl(INADDR_LOOPBACK + turn++ % SOURCES);
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        bind(c->fd, (struct sockaddr *)&own, sizeof own);
    }
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->connecting = 1;
    c->since = now();
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS) {
        fail(c, "connect: %s", strerror(errno));
        finish(c);
        return;
    }
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
}

/* The events that are waited for once the connection stands. */
static void await_input(struct connection *c)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    c->connecting = 0;
    epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
}

/* The connection stands, or a handshake goes on. */
static void connected(struct connection *c)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        fail(c, "connect: %s", strerror(error));
        finish(c);
        return;
    }
#ifdef TLS
    if (tls && !c->tls) {
        c->tls = SSL_new(tls_context);
        SSL_set_fd(c->tls, c->fd);
        SSL_set_connect_state(c->tls);
    }
    if (c->tls && !SSL_is_init_finished(c->tls)) {
        int done = SSL_do_handshake(c->tls);
        if (done != 1) {
            int why = SSL_get_error(c->tls, done);
            struct epoll_event event = {.events = why == SSL_ERROR_WANT_WRITE ? EPOLLOUT : EPOLLIN, .data.ptr = c};
            if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
                epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
                return;
            }
            fail(c, "the handshake failed");
            finish(c);
            return;
        }
    }
#endif
    double since = c->since;
    await_input(c);
    ask(c);
    /* What is asked once a connection takes as long as the connection. */
    if (calls == 1)
        c->since = since;
    if (c->stage == CLOSING)
        finish(c);
}

/* The value of a field, or none. Heads of our servers are short, and few fields are looked for. */
static const char *field(const char *head, const char *end, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = head; line && line + length < end; line = memchr(line, '\n', (size_t)(end - line))) {
        line += *line == '\n';
        if (line + length < end && (line[0] | 32) == name[0] && strncasecmp(line, name, length) == 0)
            return line + length + strspn(line + length, " ");
    }
    return NULL;
}

static void begin_body(struct connection *c, const char *head, const char *end)
{
    const struct request *request = c->of[c->first];
    const char *value;
    if (end - head < 13 || memcmp(head, "HTTP/1.", 7) != 0 || memcmp(head + 8, " 200", 4) != 0) {
        fail(c, "%.*s", (int)(end - head > 40 ? 40 : end - head), head);
        return;
    }
    c->done = 0;
    value = field(head, end, "connection:");
    c->says_close = value && strncasecmp(value, "close", 5) == 0;
    if ((value = field(head, end, "content-length:"))) {
        c->stage = BODY;
        c->left = strtoul(value, NULL, 10);
        if (c->left != request->body)
            fail(c, "Content-Length is %zu and should be %zu", c->left, request->body);
    } else if ((value = field(head, end, "transfer-encoding:"))) {
        c->stage = CHUNK_SIZE;
    } else {
        c->stage = TO_END;
    }
}

static void compare(struct connection *c, const char *bytes, size_t length)
{
    const struct request *request = c->of[c->first];
    if (expected && request->body <= COMPARED &&
        (c->done + length > request->body || memcmp(bytes, expected + c->done, length) != 0))
        fail(c, "a body that differs from what it should be");
    c->done += length;
}

/* A whole response has come. */
static void complete(struct connection *c)
{
    double time = now();
    if (c->done != c->of[c->first]->body) {
        fail(c, "a body of %zu bytes that should have %zu", c->done, c->of[c->first]->body);
        return;
    }
    answered++;
    c->answered++;
    if (time < deadline)
        in_time++;
    last_answer = time;
    count_latency(time - c->since);
    if (by_rate && time - c->since > wait_for)
        fail(c, "a reply took longer than %g s", wait_for);
    c->stage = HEAD;
    if (c->says_close) {
        /* What was sent behind it is not answered. */
        c->stage = CLOSING;
        return;
    }
    if (++c->first < c->at_once)
        return;
    if (keeps_idle) {
        c->idle = 1;
        idle++;
    } else if (calls && c->answered >= (unsigned)calls) {
        if (by_rate)
            c->stage = CLOSING;
    } else if (!by_rate && time >= deadline) {
        c->stage = CLOSING;
    } else {
        ask(c);
    }
}

/* Takes what it can of these bytes; says how many. */
static size_t step(struct connection *c, const char *at, size_t length)
{
    const char *end;
    size_t some;
    switch (c->stage) {
    case HEAD:
        if (c->first >= c->at_once) {
            fail(c, "bytes behind the last response");
            return 0;
        }
        if (!(end = memmem(at, length, "\r\n\r\n", 4)))
            return 0;
        begin_body(c, at, end + 2);
        if (c->stage == BODY && c->left == 0)
            complete(c);
        return (size_t)(end + 4 - at);
    case BODY:
    case CHUNK:
        some = length < c->left ? length : c->left;
        compare(c, at, some);
        c->left -= some;
        if (c->left == 0 && c->stage == CHUNK)
            c->stage = CHUNK_END;
        else if (c->left == 0 && c->stage == BODY)
            complete(c);
        return some;
    case CHUNK_SIZE:
        if (!(end = memchr(at, '\n', length)))
            return 0;
        c->left = strtoul(at, NULL, 16);
        c->stage = c->left ? CHUNK : TRAILER;
        return (size_t)(end + 1 - at);
    case CHUNK_END:
    case TRAILER:
        if (!(end = memchr(at, '\n', length)))
            return 0;
        if (c->stage == CHUNK_END)
            c->stage = CHUNK_SIZE;
        else if (end - at <= 1)
            complete(c);
        return (size_t)(end + 1 - at);
    case TO_END:
        compare(c, at, length);
        return length;
    default:
        return length;
    }
}

/* Whether there may be more. */
static int readable(struct connection *c)
{
    size_t there = c->part_length;
    memcpy(buffer, c->part, there);
    ssize_t got = take(c, buffer + there, BUFFER);
    c->part_length = 0;
    if (got > 0) {
        size_t from = 0, used;
        there += (size_t)got;
        while (from < there && (used = step(c, buffer + from, there - from)) > 0)
            from += used;
        if (c->stage != CLOSING && there - from > PART)
            fail(c, "a head that is too long");
        if (c->stage != CLOSING && from < there) {
            if (!c->part && !(c->part = malloc(PART)))
                die("malloc");
            c->part_length = there - from;
            memcpy(c->part, buffer + from, c->part_length);
        }
    }
    if (got < 0 && errno == EAGAIN) {
        c->part_length = there;
        return 0;
    }
    if (got > 0) {
        /* The server closes first, but for errors and where we are in the role of httperf. */
        if (c->stage == CLOSING && (by_rate || errors || now() >= deadline)) {
            finish(c);
            return 0;
        }
        return 1;
    }
    if (got == 0 && c->stage == TO_END) {
        c->says_close = 1;
        complete(c);
    } else if (c->stage == HEAD && c->answered > 0 && c->first == 0 && there == 0 && !by_rate && !c->idle) {
        /* A server may close a kept connection at any time; the request is asked again over another. */
        closed++;
    } else if (c->stage != CLOSING && (c->first < c->at_once || c->idle)) {
        fail(c, got == 0 ? "the server closes with %u of %u answered" : "the server resets with %u of %u answered", c->answered,
             c->asked);
    }
    finish(c);
    return 0;
}

static void handle(struct connection *c)
{
    if (c->connecting) {
        connected(c);
        return;
    }
    while (readable(c)) {
#ifdef TLS
        /* What the library has read ahead wakes nobody. */
        if (c->tls && SSL_has_pending(c->tls))
            continue;
#endif
        break;
    }
}

static void print(double seconds)
{
    printf("requests=%lu seconds=%.6f connections=%lu errors=%lu closed=%lu in_time=%lu p50=%.1f p90=%.1f p99=%.1f max=%.1f\n", answered,
           seconds, connections, errors, closed, in_time, quantile(0.5), quantile(0.9), quantile(0.99), quantile(0.9999999));
    if (first_error[0])
        printf("%s\n", first_error);
    fflush(stdout);
}

/* Opens what is due, and says in how many milliseconds to look again. */
static int open_due(double rate, unsigned long *opened)
{
    double time = now();
    unsigned long due = (unsigned long)(((time < deadline ? time : deadline) - started) * rate);
    /* No more than a few at a time, so that answers are read too. */
    for (int some = 0; *opened < due && some < 64; some++, (*opened)++) {
        struct connection *c = calloc(1, sizeof *c);
        if (!c)
            die("calloc");
        open_one(c);
    }
    return *opened < due ? 0 : 1;
}

int main(int argc, char **argv)
{
    int option, at_once = 1;
    double seconds = 1, rate = 0;
    size_t body = 0;
    const char *list = NULL;
    while ((option = getopt(argc, argv, "c:d:n:p:b:l:r:w:is")) != -1) {
        switch (option) {
        case 'c': at_once = atoi(optarg); break;
        case 'd': seconds = atof(optarg); break;
        case 'n': calls = atoi(optarg); break;
        case 'p': depth = atoi(optarg); break;
        case 'b': expected = whole(optarg, &body); break;
        case 'l': list = optarg; break;
        case 'r': rate = atof(optarg); break;
        case 'w': wait_for = atof(optarg); break;
        case 'i': keeps_idle = 1; break;
        case 's': tls = 1; break;
        default: return 2;
        }
    }
    if (argc - optind < 1 || at_once < 1 || depth < 1 || depth > MAX_DEPTH || (!list && argc - optind != 2))
        return fputs("usage: load [-c N] [-d SECONDS] [-n N] [-p N] [-b FILE] [-l FILE] [-r RATE] [-w SECONDS] [-i] [-s] PORT [PATH]\n",
                     stderr), 2;
    port = atoi(argv[optind]);
    by_rate = rate > 0;
    signal(SIGPIPE, SIG_IGN);
#ifdef TLS
    if (!(tls_context = SSL_CTX_new(TLS_client_method())))
        return fputs("load: OpenSSL does not start\n", stderr), 1;
    SSL_CTX_set_mode(tls_context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(tls_context, SSL_OP_NO_TICKET | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_read_ahead(tls_context, 1);
#else
    if (tls)
        return fputs("load: built without TLS\n", stderr), 2;
#endif
    if (list)
        add_listed(list, port);
    else
        add_request(argv[optind + 1], body, port);
    if ((epoll = epoll_create1(0)) < 0)
        die("epoll_create1");
    started = now();
    deadline = started + seconds;
    struct connection *all = calloc((size_t)at_once, sizeof *all);
    if (!all)
        die("calloc");
    unsigned long opened = 0;
    int wakes = 1000;
    /* Idle connections are made 64 at a time: a listener's queue is not long. */
    if (!by_rate)
        for (; opened < (unsigned long)at_once && (!keeps_idle || opened < 64); opened++)
            open_one(&all[opened]);
    while (running > 0 || (by_rate && now() < deadline)) {
        struct epoll_event events[256];
        if (by_rate)
            wakes = open_due(rate, &opened);
        int count = epoll_wait(epoll, events, 256, wakes);
        for (int at = 0; at < count; at++)
            handle(events[at].data.ptr);
        if (keeps_idle) {
            while (opened < (unsigned long)at_once && opened < idle + errors + 64)
                open_one(&all[opened++]);
            if (idle + errors >= (unsigned long)at_once)
                break;
        }
        if (now() > deadline + (by_rate ? wait_for : 20)) {
            errors += (unsigned long)running;
            if (!first_error[0])
                snprintf(first_error, sizeof first_error, "%d connections wait for an answer", running);
            break;
        }
    }
    double passed = by_rate ? seconds : answered ? last_answer - started : 0;
    if (keeps_idle) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
        printf("ready %lu\n", idle);
        fflush(stdout);
        epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &event);
        for (int ends = 0; !ends;) {
            int count = epoll_wait(epoll, events, 256, -1);
            for (int at = 0; at < count; at++) {
                if (events[at].data.ptr)
                    handle(events[at].data.ptr);
                else
                    ends = 1;
            }
        }
    }
    print(passed);
    return 0;
}
