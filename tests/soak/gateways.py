"""Trials of tests/soak/run with programs and servers behind: each starts a server of its own."""

import multiprocessing
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import time

IN_FLIGHT = 1000
# What the plan promises of a service that is killed: seconds until all are answered, and until the next one answers.
ALL_ANSWERED = 2
SUCCESSOR = 0.2
# A service that is stopped is ended within its watchdog's time and a second.
WATCHDOG = 1
# What the others may lose meanwhile. Other programs disturb a measurement: the best of so many rounds counts.
OTHERS = 1.10
ROUNDS = 5
# What a look ahead may cost a file that is served in front of another server.
FIRST = 1.5
TICK = os.sysconf("SC_CLK_TCK")

CONF = """\
ServerName localhost
Listen 127.0.0.1:0
ServerRoot "{dir}"
PidFile "{dir}/pid"
DocumentRoot "{dir}/htdocs"
ErrorLog "{dir}/error.log"
CustomLog "{dir}/access.log" combined
MaxConnections 12000
MaxKeepAliveRequests 0
<Directory "{dir}">
    Require all granted
</Directory>
"""

APACHE = """\
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule mime_module /usr/lib/apache2/modules/mod_mime.so
ServerName localhost
Listen 127.0.0.1:{port}
PidFile "{dir}/apache.pid"
DocumentRoot "{dir}/htdocs"
ErrorLog "{dir}/apache.log"
TypesConfig /etc/mime.types
MaxKeepAliveRequests 0
"""


class Failed(Exception):
    """A trial that shows a fault of the server."""


class Behind:
    """A server with such lines in a directory of its own; it ends with the block."""

    def __init__(self, binary, directory, name, lines):
        self.directory = f"{directory}/{name}"
        os.makedirs(f"{self.directory}/htdocs")
        with open(f"{self.directory}/htdocs/8k.txt", "wb") as file:
            file.write(b"x" * 8192)
        conf = f"{self.directory}/httpd.conf"
        with open(conf, "w") as file:
            file.write(CONF.format(dir=self.directory) + lines)
        self.said = open(f"{self.directory}/said", "w+b")
        command = ["setpriv", "--pdeathsig", "TERM", binary, "-f", conf, "-D", "FOREGROUND"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.said, stderr=self.said)

    def __enter__(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            said = os.pread(self.said.fileno(), 1 << 16, 0).decode(errors="replace")
            if found := re.search(r"listening on http://127\.0\.0\.1:(\d+)/", said):
                self.port = int(found[1])
                return self
            time.sleep(0.05)
        self.process.kill()
        self.process.wait()
        raise Failed(f"the server does not start: {said}")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failed("it does not stop within 15 s") from None

    def log(self):
        with open(f"{self.directory}/error.log", errors="replace") as file:
            return file.read()


def services(binary, names, lines):
    """Sections of the test program, one a name, and the paths below which they are asked."""
    program = os.path.join(os.path.dirname(binary), "examples/testapp")
    if not os.path.exists(program):
        raise Failed(f"{program} is missing: cargo build --release --example testapp")
    section = "<Service {0}>\n    Command {1} --service\n    {2}\n</Service>\nProxyPass /{0}/ \"service:{0}|fcgi://localhost/\"\n"
    return "".join(section.format(name, program, lines) for name in names)


def ask(port, path, timeout=60):
    """One request on a connection of its own: status and body."""
    with socket.create_connection(("127.0.0.1", port), timeout) as client:
        client.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        answer = b""
        while part := client.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.split(b" ")[1:2], body


def pid(port, name):
    status, body = ask(port, f"/{name}/x?pid")
    if status != [b"200"]:
        raise Failed(f"{name}: {status}")
    return int(body)


def many(port, path, count):
    """So many requests, each on a connection of its own, not waited for."""
    clients = []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", port), 30)
        client.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        client.setblocking(False)
        clients.append(client)
    return clients


def statuses(clients, seconds):
    """How many of each status came, and when the last; cut answers count as `cut`."""
    answers, found, last = {client: b"" for client in clients}, {}, time.monotonic()
    deadline = last + seconds
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client, selectors.EVENT_READ)
        left = len(clients)
        while left and time.monotonic() < deadline:
            for key, _ in selector.select(0.1):
                try:
                    part = key.fileobj.recv(65536)
                except OSError:
                    part = b""
                if part:
                    answers[key.fileobj] += part
                    continue
                head, _, body = answers[key.fileobj].partition(b"\r\n\r\n")
                status = head.split(b" ")[1:2]
                name = status[0].decode() if status and body else "cut"
                found[name] = found.get(name, 0) + 1
                last = time.monotonic()
                selector.unregister(key.fileobj)
                key.fileobj.close()
                left -= 1
    if left:
        raise Failed(f"{left} requests hang; {found}")
    return found, last


def clock(port, path, seconds, told):
    """In a process of its own: how long each of the requests took that fit into so many seconds, one after the other on a
    connection that is kept; None where one failed."""
    times, end = [], time.monotonic() + seconds
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    try:
        with socket.create_connection(("127.0.0.1", port), 30) as client:
            while time.monotonic() < end:
                start = time.monotonic()
                client.sendall(request)
                answer = b""
                while not answer.endswith(b"0\r\n\r\n"):
                    part = client.recv(65536)
                    if not part:
                        raise OSError("closed")
                    answer += part
                if not answer.startswith(b"HTTP/1.1 200 "):
                    raise OSError("not 200")
                times.append(time.monotonic() - start)
    except OSError:
        told.send(None)
        return
    told.send(times)


class Clocks:
    """Clients of these paths for so many seconds, a process each."""

    def __init__(self, port, paths, seconds):
        self.running = []
        for path in paths:
            ours, theirs = multiprocessing.Pipe()
            process = multiprocessing.Process(target=clock, args=(port, path, seconds, theirs), daemon=True)
            process.start()
            theirs.close()
            self.running.append((process, ours))

    def p99(self):
        """In milliseconds, of all requests together."""
        times = []
        for process, ours in self.running:
            told = ours.recv()
            process.join()
            if told is None:
                raise Failed("a request to another service failed")
            times += told
        return sorted(times)[len(times) * 99 // 100] * 1000


def killed(server):
    """a service is killed with 1,000 requests in flight (OK-2)"""
    binary = os.path.abspath(server.process.args[3])
    said, best = [], None
    for number in range(ROUNDS):
        lines = services(binary, ["app", "other"], "Queue 2000")
        with Behind(binary, server.directory, f"killed-{number}", lines) as behind:
            old, other = pid(behind.port, "app"), pid(behind.port, "other")
            clients = many(behind.port, "/app/x?sleep/400", IN_FLIGHT)
            others = Clocks(behind.port, ["/other/x?pid"], 1)
            time.sleep(0.1)
            start = time.monotonic()
            os.kill(old, signal.SIGKILL)
            new = pid(behind.port, "app")
            back = time.monotonic() - start
            found, last = statuses(clients, 60)
            others.p99()
            if new == old or pid(behind.port, "other") != other:
                raise Failed("the dead one answers, or the other one was replaced")
            if set(found) != {"200"}:
                raise Failed(f"answers: {found}")
            lines = [line for line in behind.log().splitlines() if "signal 9" in line]
            if len(lines) != 1:
                raise Failed(f"the log names signal 9 {len(lines)} times")
        took = last - start
        said.append(f"all {IN_FLIGHT} answered after {took:.2f} s, the successor after {back * 1000:.0f} ms")
        best = min(best or (took, back), (took, back))
        if took < ALL_ANSWERED and back < SUCCESSOR:
            return said[-1]
    raise Failed("; ".join(said))


def stopped(server):
    """one of five services under load is stopped (OK-6)"""
    binary = os.path.abspath(server.process.args[3])
    names, said, good = ["a", "b", "c", "d", "e"], [], False
    paths = [f"/{name}/x?pid" for name in names if name != "c"]
    for number in range(ROUNDS):
        lines = services(binary, names, f"Watchdog {WATCHDOG}\n    Queue 40")
        with Behind(binary, server.directory, f"stopped-{number}", lines) as behind:
            old = pid(behind.port, "c")
            # Whoever is too young cannot have been silent for its time.
            time.sleep(WATCHDOG + 0.1)
            alone = Clocks(behind.port, paths, 3).p99()
            os.kill(old, signal.SIGSTOP)
            start = time.monotonic()
            clients = many(behind.port, "/c/x?pid", 100)
            others = Clocks(behind.port, paths, 3)
            found, last = statuses(clients, 60)
            beside = others.p99()
            if set(found) != {"200", "503"}:
                raise Failed(f"answers of the stopped one: {found}")
            if pid(behind.port, "c") == old:
                raise Failed("the stopped one was not replaced")
        took, ratio = last - start, beside / alone
        said.append(
            f"p99 of the others {alone:.2f} ms before and {beside:.2f} ms beside it ({ratio:.2f}), "
            f"its clients got {found} within {took:.2f} s"
        )
        good = took < WATCHDOG + 1 and ratio <= OTHERS
        if good:
            break
    if not good:
        raise Failed("; ".join(said))
    return said[-1]


def descendants(pid):
    """The process and all below it."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(name))
            except OSError:
                continue
    found, todo = [], [pid]
    while todo:
        found.append(todo[-1])
        todo += children.get(todo.pop(), [])
    return found


def cpu(pid):
    """Seconds of CPU time that the process and those below it have had."""
    total = 0
    for one in descendants(pid):
        try:
            with open(f"/proc/{one}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        except OSError:
            continue
    return total / TICK


def cost(port, pid, seconds, path="/8k.txt"):
    """Milliseconds of CPU time for 1,000 requests, of 8 KiB where nothing else is said."""
    before = cpu(pid)
    command = ["wrk", "-t1", "-c8", f"-d{seconds}s", f"http://127.0.0.1:{port}{path}"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"(\d+) requests in", said)
    if not found or "Non-2xx" in said or "Socket errors" in said:
        raise Failed(f"wrk: {said}")
    return (cpu(pid) - before) / int(found[1]) * 1_000_000


def static_first(server):
    """a file in front of Apache and alone: CPU time for 1,000 requests (KH-5)"""
    for program in ("wrk", "apache2"):
        if not shutil.which(program):
            raise Failed(f"{program} is missing")
    binary = os.path.abspath(server.process.args[3])
    directory = f"{server.directory}/first"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Behind(binary, server.directory, "alone", "TypesConfig /etc/mime.types\n") as alone:
        lines = f"TypesConfig /etc/mime.types\nStaticFirst http://127.0.0.1:{port}\n"
        with Behind(binary, server.directory, "first", lines) as first:
            with open(f"{directory}/apache.conf", "w") as file:
                file.write(APACHE.format(dir=directory, port=port))
            command = ["setpriv", "--pdeathsig", "TERM", "apache2", "-f", f"{directory}/apache.conf", "-D", "FOREGROUND"]
            apache = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                wait_for(port)
                return compare(alone, first, port, apache.pid)
            finally:
                apache.terminate()
                apache.wait()


def compare(alone, first, port, apache):
    """Rounds that take turns; the best ratio counts."""
    if ask(first.port, "/8k.txt")[1] != b"x" * 8192:
        raise Failed("the file is not served")
    if b"Apache" not in ask_head(first.port, "/missing"):
        raise Failed("what is missing is not asked of Apache")
    rounds = []
    for _ in range(ROUNDS):
        rounds.append((cost(alone.port, alone.process.pid, 3), cost(first.port, first.process.pid, 3)))
    direct = cost(port, apache, 3)
    best = min(rounds, key=lambda pair: pair[1] / pair[0])
    ratio = best[1] / best[0]
    said = f"{best[0]:.1f} ms alone, {best[1]:.1f} ms in front of Apache ({ratio:.2f}), {direct:.1f} ms by Apache itself"
    if ratio > FIRST:
        raise Failed(said)
    return said


def handed_over(server):
    """connections given to a service, and FastCGI: CPU time of the front end for 1,000 requests (OK-4)"""
    if not shutil.which("wrk"):
        raise Failed("wrk is missing")
    binary = os.path.abspath(server.process.args[3])
    program = os.path.join(os.path.dirname(binary), "examples/testapp")
    directory = f"{server.directory}/handoff"
    lines = (
        f'ProxyPass /own/ "unix:{directory}/own.sock|handoff:/own/"\n'
        f'ProxyPass /kept/ "unix:{directory}/fcgi.sock|fcgi://kept/" enablereuse=on\n'
        f'ProxyPass /fcgi/ "unix:{directory}/fcgi.sock|fcgi://localhost/"\n'
    )
    with Behind(binary, server.directory, "handoff", lines) as front:
        programs = []
        try:
            for flag, name in (("--handoff", "own"), ("--fastcgi", "fcgi")):
                command = ["setpriv", "--pdeathsig", "TERM", program, flag, f"{directory}/{name}.sock"]
                programs.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))
            for path in ("/own/leave", "/fcgi/x?ok"):
                while ask(front.port, path)[0] != [b"200"]:
                    time.sleep(0.05)
            front_end = front.process.pid
            said = {name: cost(front.port, front_end, 10, path) for name, path in GIVEN.items()}
        finally:
            for process in programs:
                process.terminate()
                process.wait()
    return ", ".join(f"{ms:.2f} ms {name}" for name, ms in said.items())


# What is asked for, by what it is called.
GIVEN = {
    "by a service that has the connection": "/own/stay",
    "by one that ends it behind each": "/own/leave",
    "by one that gives it back behind each": "/own/once",
    "by FastCGI, a connection each": "/fcgi/x?ok",
    "by FastCGI, kept connections": "/kept/x?ok",
}


def ask_head(port, path):
    with socket.create_connection(("127.0.0.1", port), 30) as client:
        client.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        return client.recv(65536).partition(b"\r\n\r\n")[0]


def wait_for(port):
    deadline = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 5).close()
        except OSError:
            if time.monotonic() > deadline:
                raise Failed("Apache does not start") from None
            time.sleep(0.05)


TRIALS = {"killed": killed, "stopped": stopped, "first": static_first, "handoff": handed_over}
