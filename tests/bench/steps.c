/* Counts what a server executes between two moments, instruction by instruction: a figure that no load of the machine changes.
 *
 *     steps i|s PID...
 *
 * Takes hold of all threads of these processes, prints "ready", and runs them until the standard input has its next byte;
 * prints the count then, and goes on until the input ends. `i` counts instructions in user mode (a repeated string instruction
 * once), by single steps; `s` counts system calls. Valgrind of Debian 12 does not know openat2 and pidfd_open, and virtual machines
 * often have no counters. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 4096

struct thread {
    pid_t id;
    unsigned long last;
    int inside; /* a system call */
};

static struct thread threads[MOST];
static int thread_count;
static unsigned long count;

static volatile sig_atomic_t looks;

static void interrupted(int signal)
{
    (void)signal;
    looks = 1;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static struct thread *thread_of(pid_t id)
{
    for (int at = 0; at < thread_count; at++)
        if (threads[at].id == id)
            return &threads[at];
    return NULL;
}

/* Two switches a step: nobody else may come between, or a busy machine makes it a matter of minutes. Root alone may. */
static void hurry(pid_t id, int how)
{
    struct sched_param priority = {.sched_priority = how == SCHED_FIFO};
    sched_setscheduler(id, how, &priority);
}

static void seize(const char *pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/task", pid);
    DIR *directory = opendir(path);
    if (!directory)
        die(path);
    for (struct dirent *entry; (entry = readdir(directory));) {
        pid_t id = atoi(entry->d_name);
        if (id <= 0 || thread_count == MOST)
            continue;
        if (ptrace(PTRACE_SEIZE, id, 0, PTRACE_O_TRACESYSGOOD) < 0 || ptrace(PTRACE_INTERRUPT, id, 0, 0) < 0)
            die("ptrace");
        threads[thread_count++].id = id;
        hurry(id, SCHED_FIFO);
    }
    closedir(directory);
}

/* What one stop tells; the signal that the thread is to have when it goes on. */
static int stopped(struct thread *thread, int status, int by_calls)
{
    int signal = WSTOPSIG(status);
    if (status >> 16)
        return 0; /* an event of ptrace itself */
    if (by_calls && signal == (SIGTRAP | 0x80)) {
        count += !thread->inside;
        thread->inside = !thread->inside;
        return 0;
    }
    if (signal != SIGTRAP)
        return signal;
    unsigned long at = (unsigned long)ptrace(PTRACE_PEEKUSER, thread->id, offsetof(struct user_regs_struct, rip), 0);
    count += at != thread->last;
    thread->last = at;
    return 0;
}

/* Lets a stopped thread run on by itself, with a signal if one has stopped it. */
static void release(pid_t id, int how, int status)
{
    int signal = WSTOPSIG(status);
    ptrace(how, id, 0, status >> 16 || (signal & 0x7f) == SIGTRAP ? 0 : signal);
}

static int is_stopped(pid_t id, int *status, int how)
{
    return waitpid(id, status, __WALL | how) == id && WIFSTOPPED(*status);
}

static void let_go(void)
{
    struct itimerval never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &never, NULL);
    for (int at = 0, status; at < thread_count; at++) {
        pid_t id = threads[at].id;
        hurry(id, SCHED_OTHER);
        /* The trap of a last step may be left, and would end the process when we are gone: it has a moment to come. */
        if (ptrace(PTRACE_INTERRUPT, id, 0, 0) < 0 || !is_stopped(id, &status, 0))
            continue;
        release(id, PTRACE_CONT, status);
        usleep(20000);
        while (is_stopped(id, &status, WNOHANG))
            release(id, PTRACE_CONT, status);
        ptrace(PTRACE_INTERRUPT, id, 0, 0);
        if (is_stopped(id, &status, 0))
            release(id, PTRACE_DETACH, status);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return fputs("usage: steps i|s PID...\n", stderr), 2;
    int by_calls = argv[1][0] == 's';
    for (int at = 2; at < argc; at++)
        seize(argv[at]);
    hurry(0, SCHED_FIFO);
    /* The input is looked at whenever the wait is interrupted. */
    struct sigaction action = {.sa_handler = interrupted};
    struct itimerval often = {{0, 10000}, {0, 10000}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    fcntl(0, F_SETFL, O_NONBLOCK);
    printf("ready\n");
    fflush(stdout);
    for (int ends = 0; !ends;) {
        int status;
        pid_t id = waitpid(-1, &status, __WALL);
        if (id < 0 && errno == ECHILD)
            return 0;
        if (looks) {
            char byte;
            looks = 0;
            ssize_t got = read(0, &byte, 1);
            ends = got == 0; /* when the stop at hand is dealt with */
            if (got == 1) {
                printf("%lu\n", count);
                fflush(stdout);
            }
        }
        struct thread *thread = id > 0 ? thread_of(id) : NULL;
        if (thread && WIFSTOPPED(status)) {
            int signal = stopped(thread, status, by_calls);
            ptrace(by_calls ? PTRACE_SYSCALL : PTRACE_SINGLESTEP, id, 0, signal);
        }
    }
    let_go();
    return 0;
}
