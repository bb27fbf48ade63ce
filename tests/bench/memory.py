"""What a server needs by itself: the time from its start to its first answer, its memory when idle, and its memory with many
idle connections, all of it PSS of all its processes."""

import os
import resource
import socket
import subprocess
import time

import measure
import report
import rows

CONNECTIONS = 10_000

HEADING = ["| server | start to first answer, ms | memory idle, MiB |", "|---|--:|--:|"]
IDLE_HEADING = ["| server | idle connections | KiB more for each | KiB of the whole server for each |", "|---|--:|--:|--:|"]


def preparation(bench):
    """What the child does before it becomes the server: a core and a user of its own, and the clock."""
    reads, writes = os.pipe()

    def prepare():
        os.sched_setaffinity(0, {bench.server_core})
        if bench.who:
            os.setgroups([])
            os.setresgid(*[65534] * 3)
            os.setresuid(*[65534] * 3)
        os.write(writes, str(time.monotonic()).encode())

    return reads, writes, prepare


def first_answer(bench, server, row):
    """Starts a server with nothing between, and asks until it answers; milliseconds from its exec to the whole response."""
    reads, writes, prepare = preparation(bench)
    os.sched_setaffinity(0, {bench.client_core})
    request = f"GET {row.path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    with open(f"{bench.directory}/{server.label}.out", "ab") as out:
        process = subprocess.Popen(
            server.commands[0], preexec_fn=prepare, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=bench.directory
        )
    server.started = [process]
    began = float(os.read(reads, 64))
    os.close(reads)
    os.close(writes)
    while time.monotonic() < began + 10:
        try:
            connection = socket.create_connection(("127.0.0.1", server.port), 10)
        except OSError:
            continue
        with connection:
            connection.sendall(request)
            text = b""
            while part := connection.recv(1 << 16):
                text += part
        passed = time.monotonic() - began
        server.asked += 1
        if not text.endswith(row.body):
            raise measure.Broken(f"answers with {text[:100]}")
        return passed * 1000
    raise measure.Broken("does not start")


def start_lines(bench, found, rounds, singles):
    """Time to start, and memory thereafter; each server alone."""
    row = next(row for row in rows.ROWS if row.name == "static-8k")
    allowed = os.sched_getaffinity(0)
    times, memories = {}, {}
    broken = []
    try:
        for _ in range(max(rounds, 1)):
            for server in found:
                try:
                    times.setdefault(server.name, []).append(first_answer(bench, server, row))
                    time.sleep(0.5)
                    memories.setdefault(server.name, []).append(server.memory())
                except (measure.Broken, OSError) as error:
                    broken.append(f"{server.name} FAILS: {error}")
                finally:
                    server.stop()
    finally:
        os.sched_setaffinity(0, allowed)
    yield from HEADING
    for name, some in times.items():
        memory = report.median(memories.get(name, []))
        memory = memory and memory / 1024
        singles["start", name], singles["memory", name] = report.median(some), memory
        yield f"| {name} | {report.median(some):.1f} | {report.shown(memory, '.1f')} |"
    yield from broken


def affordable(others):
    """So many idle connections, beside so many others: lighttpd holds no more connections than half its files."""
    return min(CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 - others)


def idle_lines(bench, found, singles):
    """Memory with idle connections."""
    row = next(row for row in rows.ROWS if row.name == "static-8k")
    most = affordable(100)
    yield from IDLE_HEADING
    for server in found:
        server.start(bench.directory, [bench.server_core], bench.who)
        try:
            # So that what comes with the first requests is not the connections'.
            measure.load(bench, server, row)
            before = server.memory()
            with Idle(bench, server, row, most):
                # Until they are idle, and not just silent.
                time.sleep(2)
                during = server.memory()
                measure.check(server, row)
            if before is None or during is None:
                yield f"| {server.name} | {most} | ? | ? |"
                continue
            more, whole = (during - before) / most, during / most
            singles["idle", server.name], singles["idle-all", server.name] = more, whole
            yield f"| {server.name} | {most} | {more:.2f} | {whole:.2f} |"
        except measure.Broken as error:
            yield f"| {server.name} | {most} | fails: {error} | |"
        finally:
            server.stop()


class Idle:
    """Connections that have asked once and are kept, while this is entered."""

    def __init__(self, bench, server, row, count):
        words = ["taskset", "-c", str(bench.client_core), f"{bench.directory}/load", "-i", f"-c{count}", "-d60", "-b"]
        words += [row.expected(bench.directory), str(server.port), row.path]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.server, self.count = server, count

    def __enter__(self):
        told = self.process.stdout.readline().split()
        if told != ["ready", str(self.count)]:
            self.process.stdin.close()
            raise measure.Broken(f"holds {' '.join(told)} of {self.count} idle connections: {' '.join(self.process.stdout.read().split())}")
        self.server.asked += self.count
        return self

    def __exit__(self, kind, *_):
        text, _ = self.process.communicate(timeout=60)
        numbers, error = measure.said(text)
        if numbers["errors"] and kind is None:
            raise measure.Broken(f"closed {numbers['errors']:.0f} of {self.count} idle connections: {error}")
