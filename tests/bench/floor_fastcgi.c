/* The floor under a FastCGI gateway: the same request again and again over kept connections to the application itself.
 *
 *     floor_fastcgi SECONDS SOCKET CONNECTIONS BYTES NAME=VALUE...
 *
 * Each answer must have at least so many bytes of output, and as many as the first. Prints: how many in all, seconds passed. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fastcgi_request.h"

static unsigned char answer[1 << 20];

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Bytes of output of one answer; 0 where it is none. */
static size_t ask(int fd)
{
    size_t there = 0, at = 0, output = 0;
    if (write(fd, request, length) != (ssize_t)length)
        return 0;
    for (;;) {
        while (there - at >= 8) {
            size_t content = (size_t)answer[at + 4] << 8 | answer[at + 5], whole = 8 + content + answer[at + 6];
            if (there - at < whole)
                break;
            if (answer[at + 1] == 6)
                output += content;
            if (answer[at + 1] == 3)
                return output;
            at += whole;
        }
        memmove(answer, answer + at, there - at);
        there -= at;
        at = 0;
        ssize_t got = read(fd, answer + there, sizeof answer - there);
        if (got <= 0)
            return 0;
        there += (size_t)got;
    }
}

static unsigned long loop(const char *path, size_t bytes, double end)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    unsigned long count = 0;
    size_t first = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return 0;
    while (now() < end) {
        size_t output = ask(fd);
        if (output < bytes || (count > 0 && output != first))
            return 0;
        first = output;
        count++;
    }
    return count;
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return fputs("usage: floor_fastcgi SECONDS SOCKET CONNECTIONS BYTES NAME=VALUE...\n", stderr), 2;
    double start = now(), end = start + atof(argv[1]);
    int connections = atoi(argv[3]), ends[2];
    compose(argv + 5);
    if (pipe(ends) < 0)
        return perror("floor_fastcgi: pipe"), 1;
    for (int n = 0; n < connections; n++) {
        pid_t pid = fork();
        if (pid < 0)
            return perror("floor_fastcgi: fork"), 1;
        if (pid == 0) {
            unsigned long count = loop(argv[2], (size_t)atol(argv[4]), end);
            return write(ends[1], &count, sizeof count) == (ssize_t)sizeof count ? 0 : 1;
        }
    }
    close(ends[1]);
    unsigned long total = 0, count;
    for (int n = 0; n < connections; n++) {
        if (read(ends[0], &count, sizeof count) != (ssize_t)sizeof count || count == 0)
            return fputs("floor_fastcgi: no answer, or one of another length\n", stderr), 1;
        total += count;
    }
    while (wait(NULL) > 0)
        continue;
    printf("%lu %.6f\n", total, now() - start);
    return 0;
}
