/* The floor under a web server: one epoll loop that answers every packet with the same bytes.
 *
 *     floor_http PORT FILE
 *
 * Nothing is parsed but the end of a head and "Connection: close". What a server costs above this is its own. A long
 * body goes out by sendfile, as servers do it, in turns of 512 KiB: uncapped it is erratic. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FDS 32768
#define BY_SENDFILE 65536
#define TURN (512 * 1024)

static char *answer; /* the head and, of a short file, the body */
static size_t answer_length, total;
static int file;
static size_t left[MAX_FDS]; /* bytes that did not fit the socket */
static char closes[MAX_FDS], waits[MAX_FDS];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void send_rest(int epoll, int fd)
{
    while (left[fd] > 0) {
        size_t done = total - left[fd];
        off_t from = (off_t)(done - answer_length);
        ssize_t sent = done < answer_length
                           ? send(fd, answer + done, answer_length - done, total > answer_length ? MSG_MORE : 0)
                           : sendfile(fd, file, &from, left[fd] < TURN ? left[fd] : TURN);
        if (sent < 0 && errno == EAGAIN)
            break;
        if (sent <= 0) {
            close(fd);
            return;
        }
        left[fd] -= (size_t)sent;
    }
    if (left[fd] == 0 && closes[fd]) {
        close(fd);
    } else if ((left[fd] > 0) != waits[fd]) {
        waits[fd] = left[fd] > 0;
        struct epoll_event event = {.events = waits[fd] ? EPOLLOUT : EPOLLIN, .data.fd = fd};
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
    left[fd] = total;
    send_rest(epoll, fd);
}

static int listener(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4096) < 0)
        die("bind");
    return fd;
}

int main(int argc, char **argv)
{
    struct stat stat;
    if (argc != 3)
        return fputs("usage: floor_http PORT FILE\n", stderr), 2;
    if ((file = open(argv[2], O_RDONLY | O_CLOEXEC)) < 0 || fstat(file, &stat) < 0)
        die(argv[2]);
    size_t body = (size_t)stat.st_size;
    answer = malloc(BY_SENDFILE + 256);
    if (!answer)
        die("malloc");
    int head = sprintf(answer, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", body);
    answer_length = (size_t)head;
    total = answer_length + body;
    if (body <= BY_SENDFILE) {
        if (read(file, answer + head, body) != stat.st_size)
            die(argv[2]);
        answer_length = total;
    }
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
            waits[client] = 0;
            event = (struct epoll_event){.events = EPOLLIN, .data.fd = client};
            epoll_ctl(epoll, EPOLL_CTL_ADD, client, &event);
        }
    }
}
