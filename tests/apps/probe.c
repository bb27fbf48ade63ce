/* A script that tries what a taken-over script would try, and says how far it got.
 *
 * As a CGI script it reads lines `NN name|verb|word|word` from the file `attempts` in its directory and prints a line
 * `NN name: outcome` for each: `allowed`, the name of an error number, or a fact. What it succeeds in changes nothing: it
 * opens without writing, signals with signal 0, renames back. The lines, and the files and processes that they name, are
 * made by tests/probe. Linked statically, it runs in an empty root directory.
 *
 * Called `sibling` it is another site's script instead, which waits. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* What a verb found out where it is not just allowed or refused. */
static char fact[8192];

/* 0 for a descriptor, which is closed; -1 stays. */
static long closed(int fd) { return fd < 0 ? -1 : close(fd); }

/* ---- files ---- */

static long try_read(const char *path, const char *unused) {
    char byte;
    int fd = open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK);
    (void)unused;
    if (fd < 0) return -1;
    if (read(fd, &byte, 1) < 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return close(fd);
}

static long try_write(const char *path, const char *unused) {
    (void)unused;
    return closed(open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK));
}

static long try_append(const char *path, const char *unused) {
    (void)unused;
    return closed(open(path, O_WRONLY | O_APPEND | O_NOCTTY));
}

static long try_create(const char *path, const char *unused) {
    (void)unused;
    if (closed(open(path, O_WRONLY | O_CREAT | O_EXCL, 0600)) < 0) return -1;
    return unlink(path);
}

static long try_list(const char *path, const char *unused) {
    DIR *directory = opendir(path);
    (void)unused;
    if (!directory) return -1;
    errno = 0;
    if (!readdir(directory) && errno) return -1;
    return closedir(directory);
}

static long try_rename(const char *path, const char *unused) {
    char away[4096];
    (void)unused;
    snprintf(away, sizeof away, "%s.moved", path);
    return rename(path, away) < 0 ? -1 : rename(away, path);
}

static long try_chmod(const char *path, const char *unused) {
    struct stat is;
    (void)unused;
    return stat(path, &is) < 0 ? -1 : chmod(path, is.st_mode & 07777);
}

/* Is the standard error output the log itself, to be cut short or overwritten? */
static long try_cut_stderr(const char *unused, const char *unused2) {
    struct stat is;
    (void)unused, (void)unused2;
    return fstat(2, &is) < 0 ? -1 : ftruncate(2, is.st_size);
}

static long try_file_size(const char *path, const char *megabytes) {
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    if (fd < 0) return -1;
    signal(SIGXFSZ, SIG_IGN);
    long result = ftruncate(fd, atol(megabytes) << 20);
    int saved = errno;
    close(fd);
    unlink(path);
    errno = saved;
    return result;
}

/* ---- other processes ---- */

static long try_signal(const char *pid, const char *unused) {
    (void)unused;
    return kill(atoi(pid), 0);
}

/* In a child: its end lets go of the other process. */
static long try_ptrace(const char *pid, const char *unused) {
    int status;
    pid_t child = fork();
    (void)unused;
    if (child < 0) return -1;
    if (child == 0) _exit(ptrace(PTRACE_SEIZE, atoi(pid), 0, 0) < 0 ? errno : 0);
    waitpid(child, &status, 0);
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
    return errno ? -1 : 0;
}

/* Where access is granted, the address is the fault. */
static long try_vm_read(const char *pid, const char *unused) {
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)4096, 1};
    (void)unused;
    long result = process_vm_readv(atoi(pid), &here, 1, &there, 1, 0);
    return result < 0 && errno == EFAULT ? 0 : result;
}

static long try_proc(const char *pid, const char *file) {
    char path[64], target[256];
    snprintf(path, sizeof path, "/proc/%s/%s", pid, file);
    if (!strcmp(file, "mem")) return try_write(path, 0);
    if (strcmp(file, "fd")) return try_read(path, 0);
    snprintf(path, sizeof path, "/proc/%s/fd/1", pid);
    return readlink(path, target, sizeof target);
}

static long try_getfd(const char *pid, const char *unused) {
    int pidfd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
    (void)unused;
    if (pidfd < 0) return -1;
    long result = closed((int)syscall(SYS_pidfd_getfd, pidfd, 1, 0));
    int saved = errno;
    close(pidfd);
    errno = saved;
    return result;
}

static long try_prlimit(const char *pid, const char *unused) {
    struct rlimit limit;
    (void)unused;
    return prlimit(atoi(pid), RLIMIT_NOFILE, 0, &limit);
}

static long try_renice(const char *pid, const char *unused) {
    (void)unused;
    errno = 0;
    int now = getpriority(PRIO_PROCESS, (id_t)atoi(pid));
    return errno ? -1 : setpriority(PRIO_PROCESS, (id_t)atoi(pid), now);
}

/* ---- the network ---- */

/* Nobody forbade it: the network lacks the way. */
static long unreachable(long result) {
    int way = errno == EINPROGRESS || errno == ENETUNREACH || errno == EHOSTUNREACH;
    return result < 0 && way ? 0 : result;
}

static struct sockaddr_in inet(const char *address, const char *port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
    inet_pton(AF_INET, address, &at.sin_addr);
    return at;
}

/* Closes and keeps the error. */
static long done(int fd, long result) {
    int saved = errno;
    close(fd);
    errno = saved;
    return result;
}

static long connect_inet(int kind, int protocol, const char *address, const char *port) {
    struct sockaddr_in at = inet(address, port);
    int fd = socket(AF_INET, kind, protocol);
    return fd < 0 ? -1 : done(fd, unreachable(connect(fd, (struct sockaddr *)&at, sizeof at)));
}

static long try_tcp(const char *address, const char *port) { return connect_inet(SOCK_STREAM, 0, address, port); }

static long try_mptcp(const char *address, const char *port) {
    return connect_inet(SOCK_STREAM, 262 /* IPPROTO_MPTCP */, address, port);
}

static long try_udp(const char *address, const char *port) {
    struct sockaddr_in at = inet(address, port);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0) return -1;
    if (!strncmp(address, "127.", 4)) return done(fd, sendto(fd, "x", 1, 0, (struct sockaddr *)&at, sizeof at));
    return done(fd, unreachable(connect(fd, (struct sockaddr *)&at, sizeof at)));
}

static long try_fastopen(const char *address, const char *port) {
    struct sockaddr_in at = inet(address, port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) return -1;
    return done(fd, unreachable(sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&at, sizeof at)));
}

static long bind_inet(const char *port, int option) {
    struct sockaddr_in at = inet("127.0.0.1", port);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) return -1;
    if (option) setsockopt(fd, SOL_SOCKET, option, &one, sizeof one);
    return done(fd, bind(fd, (struct sockaddr *)&at, sizeof at));
}

static long try_bind(const char *port, const char *unused) {
    (void)unused;
    return bind_inet(port, 0);
}

static long try_bind_beside(const char *port, const char *unused) {
    (void)unused;
    return bind_inet(port, SO_REUSEPORT);
}

static long connect_unix(const char *name, int abstract) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    if (length + 2 > sizeof at.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(at.sun_path + abstract, name, length);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) return -1;
    length += offsetof(struct sockaddr_un, sun_path) + 1; /* the NUL before it, or behind it */
    return done(fd, connect(fd, (struct sockaddr *)&at, (socklen_t)length));
}

static long try_unix(const char *path, const char *unused) {
    (void)unused;
    return connect_unix(path, 0);
}

static long try_abstract(const char *name, const char *unused) {
    (void)unused;
    return connect_unix(name, 1);
}

static long try_socket(const char *family, const char *unused) {
    (void)unused;
    if (!strcmp(family, "packet")) return closed(socket(AF_PACKET, SOCK_RAW, 0));
    if (!strcmp(family, "raw")) return closed(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    if (!strcmp(family, "raw6")) return closed(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
    return closed(socket(AF_NETLINK, SOCK_RAW, 0));
}

/* ---- privileges ---- */

/* Runs a program; its exit status is the result. */
static long run(char *const words[]) {
    int status;
    pid_t child = fork();
    if (child < 0) return -1;
    if (child == 0) {
        execv(words[0], words);
        _exit(errno == ENOENT ? 126 : errno);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static long try_execute(const char *path, const char *unused) {
    char *const words[] = {(char *)path, "-c", ":", 0};
    (void)unused;
    long result = run(words);
    errno = result == 126 ? ENOENT : (int)result;
    return result ? -1 : 0;
}

static long try_setuid_program(const char *path, const char *unused) {
    char *const words[] = {(char *)path, "euid", 0};
    (void)unused;
    long result = run(words);
    if (result < 0) return -1;
    if (result > 1) {
        errno = result == 126 ? ENOENT : (int)result;
        return -1;
    }
    snprintf(fact, sizeof fact, result ? "euid changed" : "euid unchanged");
    return 0;
}

static long try_become(const char *what, const char *unused) {
    gid_t none[1] = {0};
    (void)unused;
    if (!strcmp(what, "root")) return setresuid(0, 0, 0);
    if (!strcmp(what, "root-group")) return setresgid(0, 0, 0);
    return setgroups(1, none);
}

static long try_unshare(const char *what, const char *unused) {
    int status, flag = !strcmp(what, "user") ? CLONE_NEWUSER : CLONE_NEWNS;
    pid_t child = fork();
    (void)unused;
    if (child < 0) return -1;
    if (child == 0) _exit(unshare(flag) < 0 ? errno : 0);
    waitpid(child, &status, 0);
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
    return errno ? -1 : 0;
}

static long try_mount(const char *on, const char *unused) {
    (void)unused;
    return mount("none", on, "tmpfs", MS_RDONLY, 0) < 0 ? -1 : umount(on);
}

static long try_chroot(const char *to, const char *unused) {
    int status;
    pid_t child = fork();
    (void)unused;
    if (child < 0) return -1;
    if (child == 0) _exit(chroot(to) < 0 ? errno : 0);
    waitpid(child, &status, 0);
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
    return errno ? -1 : 0;
}

static long try_device(const char *path, const char *unused) {
    (void)unused;
    return mknod(path, S_IFCHR | 0600, makedev(1, 1)) < 0 ? -1 : unlink(path);
}

/* Calls that have had more holes than most. */
static long try_call(const char *what, const char *unused) {
    (void)unused;
    if (!strcmp(what, "keyctl")) return syscall(SYS_keyctl, 0 /* KEYCTL_GET_KEYRING_ID */, -2, 1);
    long result = syscall(SYS_io_uring_setup, 1, 0);
    return result < 0 && errno == EFAULT ? 0 : result;
}

static long say_identity(const char *what, const char *unused) {
    (void)unused;
    if (!strcmp(what, "user")) {
        uid_t r, e, s;
        getresuid(&r, &e, &s);
        snprintf(fact, sizeof fact, "%u %u %u", r, e, s);
    } else if (!strcmp(what, "group")) {
        gid_t r, e, s;
        getresgid(&r, &e, &s);
        snprintf(fact, sizeof fact, "%u %u %u", r, e, s);
    } else {
        gid_t groups[256];
        int count = getgroups(256, groups);
        if (count <= 0) strcpy(fact, "none");
        for (int i = 0; i < count; i++)
            snprintf(fact + strlen(fact), sizeof fact - strlen(fact), "%s%u", i ? " " : "", groups[i]);
    }
    return 0;
}

static long say_capabilities(const char *unused, const char *unused2) {
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2];
    (void)unused, (void)unused2;
    if (syscall(SYS_capget, &head, sets) < 0) return -1;
    unsigned any = sets[0].effective | sets[0].permitted | sets[0].inheritable | sets[1].effective | sets[1].permitted |
                   sets[1].inheritable;
    for (int cap = 0; cap < 64; cap++) any |= prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1;
    snprintf(fact, sizeof fact, any ? "some" : "none");
    return 0;
}

static long say_state(const char *what, const char *unused) {
    (void)unused;
    if (!strcmp(what, "no_new_privs")) {
        snprintf(fact, sizeof fact, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? "set" : "not set");
    } else if (!strcmp(what, "seccomp")) {
        snprintf(fact, sizeof fact, prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2 ? "a filter" : "none");
    } else if (!strcmp(what, "umask")) {
        mode_t mask = umask(0);
        umask(mask);
        snprintf(fact, sizeof fact, "%03o", mask);
    } else {
        snprintf(fact, sizeof fact, "%d", getpriority(PRIO_PROCESS, 0));
    }
    return 0;
}

/* ---- inherited things, and too many things ---- */

static long say_descriptors(const char *unused, const char *unused2) {
    (void)unused, (void)unused2;
    for (int fd = 0; fd < 4096; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            snprintf(fact + strlen(fact), sizeof fact - strlen(fact), "%s%d", *fact ? " " : "", fd);
    return 0;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* The names of all variables, sorted. */
static long say_environment(const char *unused, const char *unused2) {
    size_t count = 0;
    (void)unused, (void)unused2;
    while (environ[count]) count++;
    qsort(environ, count, sizeof *environ, by_name);
    for (size_t i = 0; i < count; i++)
        snprintf(fact + strlen(fact), sizeof fact - strlen(fact), "%s%.*s", i ? " " : "",
                 (int)strcspn(environ[i], "="), environ[i]);
    return 0;
}

static int resource(const char *name) {
    static const struct { const char *name; int number; } known[] = {
        {"cpu", RLIMIT_CPU}, {"as", RLIMIT_AS}, {"nproc", RLIMIT_NPROC},
        {"nofile", RLIMIT_NOFILE}, {"fsize", RLIMIT_FSIZE}, {"core", RLIMIT_CORE}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i].name, name)) return known[i].number;
    return -1;
}

static long say_limit(const char *name, const char *unused) {
    struct rlimit limit;
    (void)unused;
    if (getrlimit((unsigned)resource(name), &limit) < 0) return -1;
    snprintf(fact, sizeof fact, "%lld %lld", (long long)limit.rlim_cur, (long long)limit.rlim_max);
    return 0;
}

static long try_raise_limit(const char *name, const char *unused) {
    struct rlimit limit, more;
    (void)unused;
    if (getrlimit((unsigned)resource(name), &limit) < 0) return -1;
    if (limit.rlim_max == RLIM_INFINITY) {
        snprintf(fact, sizeof fact, "unlimited");
        return 0;
    }
    more = limit;
    more.rlim_max += 1;
    return setrlimit((unsigned)resource(name), &more);
}

static long try_memory(const char *megabytes, const char *unused) {
    size_t size = (size_t)atol(megabytes) << 20;
    void *at = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    (void)unused;
    return at == MAP_FAILED ? -1 : munmap(at, size);
}

static long try_open_many(const char *count, const char *unused) {
    int first = -1, last = -1, wanted = atoi(count);
    (void)unused;
    for (int i = 0; i < wanted; i++) {
        int fd = dup(1);
        if (fd < 0) break;
        if (first < 0) first = fd;
        last = fd;
    }
    int saved = errno, opened = first < 0 ? 0 : last - first + 1;
    if (first >= 0) close_range((unsigned)first, (unsigned)last, 0);
    errno = saved;
    return opened < wanted ? -1 : 0;
}

static long try_fork_many(const char *count, const char *unused) {
    pid_t children[512];
    int made = 0, wanted = atoi(count);
    (void)unused;
    for (; made < wanted; made++) {
        children[made] = fork();
        if (children[made] < 0) break;
        if (children[made] == 0) {
            pause();
            _exit(0);
        }
    }
    int saved = errno;
    for (int i = 0; i < made; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], 0, 0);
    }
    errno = saved;
    return made < wanted ? -1 : 0;
}

/* Leaves a process behind: a session of its own, no parent, no descriptors. It gives up by itself after a while. */
static long try_daemon(const char *name, const char *unused) {
    int ends[2];
    pid_t daemon = 0, child;
    (void)unused;
    if (pipe(ends) < 0 || (child = fork()) < 0) return -1;
    if (child == 0) {
        setsid();
        daemon = fork();
        if (daemon == 0) {
            prctl(PR_SET_NAME, name);
            close_range(0, 4095, 0);
            alarm(60);
            for (;;) pause();
        }
        if (write(ends[1], &daemon, sizeof daemon) < 0) _exit(1);
        _exit(0);
    }
    waitpid(child, 0, 0);
    if (read(ends[0], &daemon, sizeof daemon) < (long)sizeof daemon) daemon = -1;
    close(ends[0]);
    close(ends[1]);
    if (daemon < 0) {
        errno = EAGAIN;
        return -1;
    }
    return 0;
}

/* Lines for the error log that claim to be another's. */
static long try_forge(const char *line, const char *unused) {
    char text[1024];
    (void)unused;
    int length = snprintf(text, sizeof text, "x\n%s\n\r%s\n", line, line);
    return write(2, text, (size_t)length);
}

static const struct { const char *name; long (*run)(const char *, const char *); } verbs[] = {
    {"read", try_read}, {"write", try_write}, {"append", try_append}, {"create", try_create}, {"list", try_list},
    {"rename", try_rename}, {"chmod", try_chmod}, {"cut-stderr", try_cut_stderr}, {"file-size", try_file_size},
    {"signal", try_signal}, {"ptrace", try_ptrace}, {"vm-read", try_vm_read}, {"proc", try_proc},
    {"getfd", try_getfd}, {"prlimit", try_prlimit}, {"renice", try_renice}, {"tcp", try_tcp}, {"udp", try_udp},
    {"fastopen", try_fastopen}, {"mptcp", try_mptcp}, {"call", try_call}, {"bind", try_bind}, {"bind-beside", try_bind_beside}, {"unix", try_unix},
    {"abstract", try_abstract}, {"socket", try_socket}, {"execute", try_execute},
    {"setuid-program", try_setuid_program}, {"become", try_become}, {"unshare", try_unshare}, {"mount", try_mount},
    {"chroot", try_chroot}, {"device", try_device}, {"identity", say_identity}, {"capabilities", say_capabilities},
    {"state", say_state}, {"descriptors", say_descriptors}, {"environment", say_environment}, {"limit", say_limit},
    {"raise-limit", try_raise_limit}, {"memory", try_memory}, {"open-many", try_open_many},
    {"fork-many", try_fork_many}, {"daemon", try_daemon}, {"forge", try_forge},
};

static void attempt(char *line) {
    char *words[4] = {line, "", "", ""};
    for (int i = 1; i < 4; i++) {
        char *bar = strchr(words[i - 1], '|');
        if (!bar) break;
        *bar = 0;
        words[i] = bar + 1;
    }
    *fact = 0;
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verbs[i].name, words[1])) continue;
        long result = verbs[i].run(words[2], words[3]);
        const char *said = result < 0 ? strerrorname_np(errno) : *fact ? fact : "allowed";
        printf("%s: %s\n", words[0], said ? said : "an unknown error");
        fflush(stdout);
        return;
    }
    printf("%s: there is no verb `%s`\n", words[0], words[1]);
}

int main(int argc, char **argv) {
    const char *slash = strrchr(argv[0], '/');
    const char *name = slash ? slash + 1 : argv[0];
    if (argc > 1 && !strcmp(argv[1], "euid")) return geteuid() != getuid();
    if (!strcmp(name, "sibling")) {
        printf("Content-Type: text/plain\n\nsibling runs\n");
        fflush(stdout);
        alarm(120);
        for (;;) pause();
    }
    /* Before the descriptor of the list is there to be seen. */
    say_descriptors(0, 0);
    printf("Content-Type: text/plain\n\n06 inherited descriptors: %s\n", fact);
    FILE *list = fopen("attempts", "re");
    if (!list) {
        printf("attempts: %s\n", strerrorname_np(errno));
        return 0;
    }
    char *line = 0;
    size_t space = 0;
    fflush(stdout);
    for (ssize_t length; (length = getline(&line, &space, list)) > 0;) {
        if (line[length - 1] == '\n') line[length - 1] = 0;
        attempt(line);
    }
    return 0;
}
