/* What load.c asks for: requests made beforehand, and the times that it has counted. */
#define _GNU_SOURCE
#include "requests.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct request *requests;
static size_t request_count;
static uint64_t order = 88172645463325252ull;

void die(const char *what)
{
    perror(what);
    exit(1);
}

char *whole(const char *name, size_t *length)
{
    FILE *file = fopen(name, "rb");
    char *bytes;
    if (!file || fseek(file, 0, SEEK_END) < 0)
        die(name);
    *length = (size_t)ftell(file);
    rewind(file);
    if (!(bytes = malloc(*length + 1)) || fread(bytes, 1, *length, file) != *length)
        die(name);
    bytes[*length] = 0;
    fclose(file);
    return bytes;
}

void add_request(const char *path, size_t body, int port)
{
    static const char form[] = "GET %s HTTP/1.1\r\nHost: localhost:%d\r\nUser-Agent: load\r\n%s\r\n";
    if (request_count % 1024 == 0 && !(requests = realloc(requests, (request_count + 1024) * sizeof *requests)))
        die("realloc");
    struct request *made = &requests[request_count++];
    int plain = asprintf(&made->plain, form, path, port, "");
    int closing = asprintf(&made->closing, form, path, port, "Connection: close\r\n");
    if (plain < 0 || closing < 0 || closing > LONGEST_REQUEST)
        exit(fprintf(stderr, "load: too long a path\n"));
    made->plain_length = (size_t)plain;
    made->closing_length = (size_t)closing;
    made->body = body;
}

void add_listed(const char *name, int port)
{
    size_t length, size;
    char *text = whole(name, &length), path[256];
    for (char *line = text; *line; line = strchr(line, '\n') + 1) {
        if (sscanf(line, "%255s %zu", path, &size) != 2 || !strchr(line, '\n'))
            exit(fprintf(stderr, "load: %s: a line without a path and a length\n", name));
        add_request(path, size, port);
    }
    free(text);
}

const struct request *choose(void)
{
    if (request_count == 1)
        return requests;
    order ^= order << 13;
    order ^= order >> 7;
    order ^= order << 17;
    return &requests[order % request_count];
}

/* Buckets of 1.6 % each. */
static unsigned long histogram[64 * 64];

void count_latency(double seconds)
{
    uint64_t nanos = (uint64_t)(seconds * 1e9) | 64;
    int top = 63 - __builtin_clzll(nanos);
    histogram[top * 64 + (int)(nanos >> (top - 6) & 63)]++;
}

double quantile(double share)
{
    unsigned long total = 0, wanted, seen = 0;
    for (int at = 0; at < 64 * 64; at++)
        total += histogram[at];
    wanted = (unsigned long)((double)total * share);
    for (int at = 0; at < 64 * 64; at++) {
        seen += histogram[at];
        if (seen > wanted)
            return (double)((uint64_t)(64 + at % 64) << (at / 64 - 6)) / 1e3;
    }
    return 0;
}
