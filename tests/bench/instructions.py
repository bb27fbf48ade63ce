"""What a static hit executes: instructions in user mode and system calls, by steps.c: counted before and after each of some
requests over one connection, and the median taken, so that neither the connection nor what the server does now and then is
in it, and no load of the machine changes it. What one request alone takes is taken off what several in a row do: a server under
single steps is so slow that a connection has come to rest before each count, and waking it is no part of a hit."""

import os
import platform
import socket
import statistics
import subprocess
import time

import measure
import rows

HERE = os.path.dirname(os.path.abspath(__file__))
ROUNDS = 7
IN_A_ROW = 4

HEADING = [
    "| a hit | server | instructions a request, one connection | system calls a request, one connection | with 64 |",
    "|---|---|--:|--:|--:|",
]


class Steps:
    """A server under the eyes of steps.c."""

    def __init__(self, bench, server, what):
        pids = [str(pid) for pid, _ in server.everyone()]
        words = ["taskset", "-c", str(bench.server_core), f"{bench.directory}/steps", what, *pids]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if not self.process.stdout.readline():
            raise measure.Broken("cannot be watched")

    def count(self):
        """What has been executed when the server has come to rest."""
        last, now = None, self.look()
        while now != last:
            time.sleep(0.1)
            last, now = now, self.look()
        return now

    def look(self):
        self.process.stdin.write("n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def ask(connection, row, times):
    """So many requests one after the other, over a connection that is kept."""
    for _ in range(times):
        connection.sendall(f"GET {row.path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: steps\r\n\r\n".encode())
        text = b""
        while b"\r\n\r\n" not in text or len(text.partition(b"\r\n\r\n")[2]) < len(row.body):
            part = connection.recv(1 << 16)
            if not part:
                raise measure.Broken("the connection was closed")
            text += part
        if not text.startswith(b"HTTP/1.1 200") or text.partition(b"\r\n\r\n")[2] != row.body:
            raise measure.Broken(f"answers with {text[:60]}")


def each(bench, server, row, what):
    """What one request takes, of one connection."""
    with socket.create_connection(("127.0.0.1", server.port), 60) as connection:
        ask(connection, row, 4)
        pids = {pid for pid, _ in server.everyone()}
        with Steps(bench, server, what) as steps:
            marks = [steps.count()]
            for _ in range(ROUNDS):
                for times in (1, 1 + IN_A_ROW):
                    ask(connection, row, times)
                    marks.append(steps.count())
    if {pid for pid, _ in server.everyone()} != pids:
        raise measure.Broken("processes were replaced while they were watched")
    taken = [after - before for before, after in zip(marks, marks[1:])]
    return statistics.median((several - one) / IN_A_ROW for one, several in zip(taken[::2], taken[1::2]))


def instructions_of(bench, server, row):
    return each(bench, server, row, "i")


def calls_of(bench, server, row):
    return each(bench, server, row, "s")


def calls_of_many(bench, server, row):
    """System calls a request where there are many connections."""
    with Steps(bench, server, "s") as steps:
        before = steps.look()
        found = measure.run_clients(bench, row, server.port)
        return (steps.look() - before) / found[0]["requests"]


def lines(bench, found):
    """The table; each server is started for it, and stopped."""
    if platform.machine() != "x86_64":
        yield "instructions are counted on x86-64 alone"
        return
    if os.getuid() != 0:
        yield "instructions are counted as root alone"
        return
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", f"{bench.directory}/steps", f"{HERE}/steps.c"], check=True)
    yield from HEADING
    for row in [row for row in rows.ROWS if row.name == "static-8k"]:
        for server in found:
            told = []
            for count, form in ((instructions_of, ".0f"), (calls_of, ".2f"), (calls_of_many, ".2f")):
                # A fresh one each time: one that was made slow may have been given up by its own watchers.
                server.start(bench.directory, [bench.server_core], bench.who)
                try:
                    # All its processes are there.
                    measure.check(server, row)
                    time.sleep(0.5)
                    told.append(format(count(bench, server, row), form))
                except (measure.Broken, OSError) as error:
                    told.append(f"fails: {error}")
                finally:
                    server.stop()
            yield f"| {row.name} | {server.name} | {' | '.join(told)} |"
