"""A server as processes: started on its core, counted with its children, ended with all it has started."""

import os
import signal
import socket
import subprocess
import sys
import time

import applications


class Server:
    """One server: its processes, its port, and the words that started it."""

    def __init__(self, name, commands, port, kinds=("static", "cgi"), variant="full", peer=None):
        self.name, self.commands, self.port, self.kinds = name, commands, port, set(kinds)
        # Which of its configurations it has, and which program it is.
        self.variant, self.peer = variant, peer or name
        # What its files are called.
        self.label = name if variant == "full" else f"{name}-{variant}"
        # Programs behind it with their standard inputs, and sockets that must be there before it is asked.
        self.beside, self.sockets, self.started = [], [], []
        self.asked, self.closed, self.group = 0, 0, None

    def with_applications(self, directory, found):
        """The same in front of applications of its own."""
        commands, sockets = applications.beside(directory, self.label, found)
        self.beside += commands
        self.sockets += sockets
        self.kinds |= found
        return self

    def is_up(self):
        """Whether it and what is behind it can be connected to."""
        for path in self.sockets:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
        if self.port:
            socket.create_connection(("127.0.0.1", self.port), 1).close()

    def start(self, directory, cores, as_whom):
        """Starts it on these cores and waits for it; ends the bench if it does not come up."""
        self.group = Group(self.label)
        with open(f"{directory}/{self.label}.out", "ab") as out:
            for command, given in [(command, subprocess.DEVNULL) for command in self.commands] + self.beside:
                # The server ends when the bench does, however that ends.
                pinned = ["taskset", "-c", ",".join(map(str, cores))]
                words = [*self.group.enter(), "setpriv", "--pdeathsig", "TERM", *as_whom, *pinned, *command]
                self.started.append(subprocess.Popen(words, stdin=given, stdout=out, stderr=out, cwd=directory))
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            ended = [process for process in self.started if process.poll() is not None]
            if ended:
                break
            try:
                self.is_up()
                return
            except OSError:
                time.sleep(0.02)
        with open(f"{directory}/{self.label}.out", errors="replace") as out:
            sys.exit(f"tests/bench/run: {self.label} does not start:\n{out.read()[-2000:]}")

    def stop(self):
        """Ends what was started, at last by force; what it started itself ends with it."""
        below = self.everyone()
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.started:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pid, born in below:
            if birth(pid) == born:
                os.kill(pid, signal.SIGKILL)
                if self.peer == "lychgate":
                    print(f"{self.label}: process {pid} was left and is ended by force", file=sys.stderr)
        self.started = []
        if self.group:
            self.group.remove()
            self.group = None

    def everyone(self):
        """All its processes, with their birth times."""
        return [pair for process in self.started for pair in tree(process.pid)]

    def cpu_seconds(self):
        """User and system time of all its processes and of the children they have had."""
        exact = self.group and self.group.cpu_seconds()
        return exact if exact is not None else sum(cpu_seconds_of(pid) for pid, _ in self.everyone())

    def loses_children_time(self):
        """Whether the time of children is lost: there is no control group, and a process ignores SIGCHLD."""
        if self.group and self.group.path:
            return False
        for pid, _ in self.everyone():
            try:
                with open(f"/proc/{pid}/status") as status:
                    ignored = next(line.split()[1] for line in status if line.startswith("SigIgn:"))
            except (OSError, StopIteration):
                continue
            if int(ignored, 16) >> (signal.SIGCHLD - 1) & 1:
                return True
        return False

    def memory(self):
        """PSS of all its processes in KiB, or none where the kernel does not tell us."""
        total = 0
        for pid, _ in self.everyone():
            try:
                with open(f"/proc/{pid}/smaps_rollup") as file:
                    total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
            except ProcessLookupError:
                continue
            except (OSError, StopIteration):
                return None
        return total


class Group:
    """A control group for the processes of one server, which counts the time of all it has ever had. Without root, or
    without cgroup2, there is none and /proc is added up."""

    def __init__(self, label):
        self.path = None
        above = own_group()
        if above and os.access(above, os.W_OK) and os.getuid() == 0:
            self.path = f"{above}/lychgate-bench-{os.getpid()}-{label}"
            try:
                os.mkdir(self.path)
            except OSError:
                self.path = None

    def enter(self):
        """Words before a command that put it into the group."""
        return ["sh", "-c", f'echo 0 >"{self.path}/cgroup.procs"; exec "$@"', "sh"] if self.path else []

    def cpu_seconds(self):
        if not self.path:
            return None
        with open(f"{self.path}/cpu.stat") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("usage_usec")) / 1e6

    def remove(self):
        for _ in range(100):
            try:
                if self.path:
                    os.rmdir(self.path)
                return
            except OSError:
                time.sleep(0.02)


def own_group():
    """Where our own control group of cgroup2 is; none where that is not mounted."""
    with open("/proc/mounts") as file:
        mounted = next((line.split()[1] for line in file if line.split()[2] == "cgroup2"), None)
    with open("/proc/self/cgroup") as file:
        below = next((line.strip()[3:] for line in file if line.startswith("0::")), None)
    return f"{mounted}{below}".rstrip("/") if mounted and below else None


def stat(pid):
    """The fields of /proc/PID/stat from the state on; none for a process that is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None


def cpu_seconds_of(pid):
    """A process and the children it has waited for. Clock ticks are coarse, so its threads are asked for nanoseconds;
    those that have ended are in the ticks alone."""
    fields = stat(pid)
    if not fields:
        return 0
    tick = os.sysconf("SC_CLK_TCK")
    own = (int(fields[11]) + int(fields[12])) / tick
    exact = 0
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                exact += int(file.read().split()[0])
    except (OSError, IndexError):
        exact = 0
    return max(own, exact / 1e9) + (int(fields[13]) + int(fields[14])) / tick


def birth(pid):
    fields = stat(pid)
    return fields[19] if fields else None


def tree(root):
    """A process and all below it, with their birth times."""
    parents = {}
    for name in os.listdir("/proc"):
        fields = stat(name) if name.isdigit() else None
        if fields:
            parents.setdefault(int(fields[1]), []).append((int(name), fields[19]))
    found, new = [], [(root, birth(root))]
    while new:
        found += new
        new = [child for pid, _ in new for child in parents.get(pid, [])]
    return found


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
