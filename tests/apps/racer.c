/* A script that cheats: while one thread connects, others change what the connection is judged by. Its ports come as the
 * query string: one that may be connected to, one that may not (for it is asked at 0.0.0.0, which is no loopback address), and
 * one where connections hang. It prints how many connections were made of each round. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ROUNDS = 1500, SWAPPED = 100 };

static volatile int done;
static union {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_un un;
} address;
static struct sockaddr_in good, bad, slow;
static int tcp_socket, unix_socket;

static struct sockaddr_in at(uint32_t host, int port)
{
    struct sockaddr_in made = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(host) } };
    return made;
}

/* What was written is there for others to see. */
#define SEEN __asm__ volatile("" ::: "memory")

static void *changes_the_address(void *nothing)
{
    while (!done) {
        memcpy(&address, &good, sizeof good);
        SEEN;
        memcpy(&address, &bad, sizeof bad);
        SEEN;
    }
    return nothing;
}

static void *swaps_the_socket(void *nothing)
{
    while (!done) {
        dup2(unix_socket, SWAPPED);
        address.any.sa_family = AF_UNIX;
        SEEN;
        dup2(tcp_socket, SWAPPED);
        memcpy(&address, &bad, sizeof bad);
        SEEN;
    }
    return nothing;
}

static void *makes_it_block(void *nothing)
{
    while (!done)
        fcntl(SWAPPED, F_SETFL, 0);
    return nothing;
}

static int race(const char *name, void *(*cheat)(void *), int rounds, int (*attempt)(void))
{
    pthread_t other;
    int made = 0;
    done = 0;
    if (pthread_create(&other, NULL, cheat, NULL))
        return 1;
    for (int round = 0; round < rounds; round++)
        made += attempt() == 0;
    done = 1;
    pthread_join(other, NULL);
    printf("%s: %d\n", name, made);
    return 0;
}

static int connect_anew(void)
{
    int made = socket(AF_INET, SOCK_STREAM, 0);
    int result = connect(made, &address.any, sizeof(struct sockaddr_in));
    close(made);
    return result;
}

static int connect_swapped(void)
{
    return connect(SWAPPED, &address.any, sizeof(struct sockaddr_in));
}

static int connect_hanging(void)
{
    int made = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    dup2(made, SWAPPED);
    close(made);
    return connect(SWAPPED, (struct sockaddr *)&slow, sizeof slow);
}

int main(void)
{
    int allowed, refused, hanging;
    const char *query = getenv("QUERY_STRING");
    if (!query || sscanf(query, "%d+%d+%d", &allowed, &refused, &hanging) != 3)
        return 1;
    good = at(INADDR_LOOPBACK, allowed);
    bad = at(INADDR_ANY, refused);
    slow = at(INADDR_LOOPBACK, hanging);
    tcp_socket = socket(AF_INET, SOCK_STREAM, 0);
    unix_socket = socket(AF_UNIX, SOCK_STREAM, 0);
    printf("Content-Type: text/plain\n\n");
    int failed = race("address", changes_the_address, ROUNDS, connect_anew)
        || race("socket", swaps_the_socket, ROUNDS, connect_swapped);
    fflush(stdout);
    if (hanging) {
        /* Connections that were made to block are waited for, so all but the first attempts are somebody else's. */
        alarm(2);
        failed = failed || race("blocking", makes_it_block, 20, connect_hanging);
    }
    return failed;
}
