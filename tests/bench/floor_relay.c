/* What is left between a client and a FastCGI application when there is next to no server: one epoll loop that answers every
 * packet of a client by one request over a connection of its own that is kept, and sends what comes back under a head that is
 * always the same.
 *
 *     floor_relay PORT SOCKET BYTES NAME=VALUE...
 *
 * Nothing is parsed but the records and "Connection: close". Each answer must have BYTES of body behind the head of the application. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fastcgi_request.h"

#define MAX_FDS 4096

static struct end {
    int other; /* the descriptor of the other side */
    int is_client;
    int closes; /* of an application: there is no further request */
    unsigned char *there; /* of an application: records that are not complete */
    size_t count;
    unsigned char *output; /* what it has written */
    size_t written;
} ends[MAX_FDS];
static size_t body;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll_ctl");
}

static void hang_up(int fd)
{
    int other = ends[fd].other;
    close(fd);
    close(other);
    free(ends[fd].there), free(ends[fd].output), free(ends[other].there), free(ends[other].output);
    ends[fd] = ends[other] = (struct end){0};
}

static void meet(int epoll, int accepting, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int client = accept(accepting, NULL, NULL), app = socket(AF_UNIX, SOCK_STREAM, 0), on = 1;
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    if (client < 0 || app < 0 || connect(app, (struct sockaddr *)&address, sizeof address) < 0)
        die("connect");
    if (client >= MAX_FDS || app >= MAX_FDS)
        exit(1);
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ends[client] = (struct end){.other = app, .is_client = 1};
    ends[app] = (struct end){.other = client, .there = malloc(1 << 18), .output = malloc(1 << 18)};
    watch(epoll, client);
    watch(epoll, app);
}

static void ask(int fd)
{
    char head[8192];
    ssize_t got = recv(fd, head, sizeof head, 0);
    if (got <= 0 || write(ends[fd].other, request, length) != (ssize_t)length)
        return hang_up(fd);
    ends[ends[fd].other].closes = memmem(head, (size_t)got, "Connection: close", 17) != NULL;
}

/* Sends an answer, whose head is another for each server: that of the application ends with an empty line. */
static void answer(int fd)
{
    struct end *app = &ends[fd];
    unsigned char *text = memmem(app->output, app->written, "\r\n\r\n", 4);
    size_t bytes = text ? app->written - (size_t)(text + 4 - app->output) : 0;
    char whole[body + 256];
    int head = sprintf(whole, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", bytes);
    if (!text || bytes != body)
        exit(1);
    memcpy(whole + head, text + 4, bytes);
    for (size_t sent = 0; sent < (size_t)head + bytes;) {
        ssize_t more = send(app->other, whole + sent, (size_t)head + bytes - sent, 0);
        if (more <= 0)
            return hang_up(fd);
        sent += (size_t)more;
    }
    app->written = 0;
    if (app->closes)
        hang_up(fd);
}

static void hear(int fd)
{
    struct end *app = &ends[fd];
    ssize_t got = read(fd, app->there + app->count, (1 << 18) - app->count);
    if (got <= 0)
        return hang_up(fd);
    app->count += (size_t)got;
    size_t at = 0;
    int is_over = 0;
    while (app->count - at >= 8) {
        size_t content = (size_t)app->there[at + 4] << 8 | app->there[at + 5], whole = 8 + content + app->there[at + 6];
        if (app->count - at < whole)
            break;
        if (app->there[at + 1] == 6) {
            memcpy(app->output + app->written, app->there + at + 8, content);
            app->written += content;
        }
        is_over |= app->there[at + 1] == 3;
        at += whole;
    }
    memmove(app->there, app->there + at, app->count - at);
    app->count -= at;
    if (is_over)
        answer(fd);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return fputs("usage: floor_relay PORT SOCKET BYTES NAME=VALUE...\n", stderr), 2;
    body = (size_t)atol(argv[3]);
    compose(argv + 4);
    signal(SIGPIPE, SIG_IGN);
    int accepting = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(accepting, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(accepting, (struct sockaddr *)&address, sizeof address) < 0 || listen(accepting, 512) < 0)
        die("bind");
    watch(epoll, accepting);
    struct epoll_event events[64];
    for (;;) {
        int count = epoll_wait(epoll, events, 64, -1);
        for (int at = 0; at < count; at++) {
            int fd = events[at].data.fd;
            if (fd == accepting)
                meet(epoll, accepting, argv[2]);
            else if (ends[fd].other == 0)
                continue; /* the other side has hung up in this turn */
            else if (ends[fd].is_client)
                ask(fd);
            else
                hear(fd);
        }
    }
}
