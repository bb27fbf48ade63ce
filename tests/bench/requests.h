/* What load.c asks for, and the times that it has counted. */
#include <stddef.h>

/* A request in words, as any and as the last of its connection, and how long the body of its response must be. */
struct request {
    char *plain, *closing;
    size_t plain_length, closing_length, body;
};

#define LONGEST_REQUEST 512

void add_request(const char *path, size_t body, int port);
/* All of a file of lines "PATH LENGTH". */
void add_listed(const char *name, int port);
/* The only request, or one at random: in an order that is the same in every run. */
const struct request *choose(void);

/* A file in memory, with a zero behind it. */
char *whole(const char *name, size_t *length);
void die(const char *what);

void count_latency(double seconds);
/* In microseconds: so large a share of what was counted took no longer. */
double quantile(double share);
