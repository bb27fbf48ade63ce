/* The floor under CGI: posix_spawn with a pipe, read to its end, wait; as often as it goes, in so many processes at once.
 *
 *     floor_cgi SECONDS PROGRAM LOOPS
 *
 * Prints: how many in all, seconds passed, seconds of CPU time with the children's, and the median of what one takes in
 * microseconds: with one loop that of a script that is alone. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double spent(int who)
{
    struct rusage usage;
    getrusage(who, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static size_t run_once(char *program)
{
    static char *env[] = {"GATEWAY_INTERFACE=CGI/1.1", "REQUEST_METHOD=GET", "PATH=/usr/bin:/bin", NULL};
    char *argv[] = {program, NULL}, buffer[4096];
    int ends[2], status;
    size_t total = 0;
    pid_t pid;
    posix_spawn_file_actions_t actions;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return 0;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    int failed = posix_spawn(&pid, program, &actions, NULL, argv, env);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    for (ssize_t got; !failed && (got = read(ends[0], buffer, sizeof buffer)) > 0;)
        total += (size_t)got;
    close(ends[0]);
    if (!failed)
        waitpid(pid, &status, 0);
    return total;
}

#define KEPT 100000

/* How many a loop ran, 0 where one failed, and their median. */
struct ran {
    unsigned long count;
    double median;
};

static int smaller(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

static struct ran loop(char *program, double end)
{
    static double taken[KEPT];
    struct ran ran = {0, 0};
    for (double before = now(), after; before < end; before = after) {
        if (run_once(program) == 0)
            return (struct ran){0, 0};
        after = now();
        taken[ran.count++ % KEPT] = after - before;
    }
    size_t kept = ran.count < KEPT ? ran.count : KEPT;
    qsort(taken, kept, sizeof *taken, smaller);
    ran.median = taken[kept / 2] * 1e6;
    return ran;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return fputs("usage: floor_cgi SECONDS PROGRAM LOOPS\n", stderr), 2;
    double start = now(), end = start + atof(argv[1]);
    int loops = atoi(argv[3]), ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return perror("floor_cgi: pipe"), 1;
    for (int n = 0; n < loops; n++) {
        pid_t pid = fork();
        if (pid < 0)
            return perror("floor_cgi: fork"), 1;
        if (pid == 0) {
            struct ran ran = loop(argv[2], end);
            return write(ends[1], &ran, sizeof ran) == (ssize_t)sizeof ran ? 0 : 1;
        }
    }
    close(ends[1]);
    unsigned long total = 0;
    double medians = 0;
    struct ran ran;
    for (int n = 0; n < loops; n++) {
        if (read(ends[0], &ran, sizeof ran) != (ssize_t)sizeof ran || ran.count == 0)
            return fprintf(stderr, "floor_cgi: %s wrote nothing\n", argv[2]), 1;
        total += ran.count;
        medians += ran.median;
    }
    while (wait(NULL) > 0)
        continue;
    printf("%lu %.6f %.6f %.1f\n", total, now() - start, spent(RUSAGE_SELF) + spent(RUSAGE_CHILDREN), medians / loops);
    return 0;
}
