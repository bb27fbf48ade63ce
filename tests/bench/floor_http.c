/* The floor under a web server: one epoll loop that answers every packet with the same bytes.
 *
 *     floor_http PORT BODY_BYTES
 *
 * Nothing is parsed but the end of a head and "Connection: close". What a server costs above this is its own. A long
 * answer goes out by sendfile, as servers do it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_FDS 4096
#define BY_SENDFILE 65536

static char *answer;
static size_t answer_length;
static int answer_file; /* the same bytes */
static size_t left[MAX_FDS]; /* bytes of the answer that did not fit the socket */
static char closes[MAX_FDS];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void send_rest(int epoll, int fd)
{
    off_t from = (off_t)(answer_length - left[fd]);
    ssize_t sent = answer_length > BY_SENDFILE ? sendfile(fd, answer_file, &from, left[fd])
                                               : send(fd, answer + from, left[fd], MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        close(fd);
        return;
    }
    size_t before = left[fd];
    left[fd] -= sent > 0 ? (size_t)sent : 0;
    if (left[fd] == 0 && closes[fd]) {
        close(fd);
    } else if (left[fd] > 0 || before < answer_length) {
        struct epoll_event event = {.events = left[fd] > 0 ? EPOLLOUT : EPOLLIN, .data.fd = fd};
        epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
    }
}

static void answer_one(int epoll, int fd)
{
    char head[8192];
    ssize_t got = recv(fd, head, sizeof head, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            close(fd);
        return;
    }
    if (!memmem(head, (size_t)got, "\r\n\r\n", 4))
        return; /* our clients send a head in one packet */
    closes[fd] = memmem(head, (size_t)got, "Connection: close", 17) != NULL;
    left[fd] = answer_length;
    send_rest(epoll, fd);
}

static int listener(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 511) < 0)
        die("bind");
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return fputs("usage: floor_http PORT BODY_BYTES\n", stderr), 2;
    size_t body = strtoul(argv[2], NULL, 10);
    answer = malloc(body + 256);
    if (!answer)
        die("malloc");
    int head = sprintf(answer, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", body);
    memset(answer + head, 'x', body);
    answer_length = (size_t)head + body;
    answer_file = memfd_create("answer", MFD_CLOEXEC);
    if (answer_file < 0 || write(answer_file, answer, answer_length) != (ssize_t)answer_length)
        die("memfd");
    signal(SIGPIPE, SIG_IGN);

    int accepting = listener(atoi(argv[1])), epoll = epoll_create1(0), on = 1;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = accepting}, events[64];
    epoll_ctl(epoll, EPOLL_CTL_ADD, accepting, &event);
    for (;;) {
        int count = epoll_wait(epoll, events, 64, -1);
        for (int at = 0; at < count; at++) {
            int fd = events[at].data.fd;
            if (fd != accepting) {
                if (events[at].events & EPOLLOUT)
                    send_rest(epoll, fd);
                else
                    answer_one(epoll, fd);
                continue;
            }
            int client = accept4(accepting, NULL, NULL, SOCK_NONBLOCK);
            if (client < 0)
                continue;
            if (client >= MAX_FDS) {
                close(client);
                continue;
            }
            setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            event = (struct epoll_event){.events = EPOLLIN, .data.fd = client};
            epoll_ctl(epoll, EPOLL_CTL_ADD, client, &event);
        }
    }
}
