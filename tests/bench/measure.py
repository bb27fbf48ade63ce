"""One measurement: requests for some seconds, every response checked, and the CPU time that they took."""

import re
import socket
import ssl
import statistics
import subprocess
import time

import applications
import rows
from processes import Server, free_port


class Broken(Exception):
    """A server that does not answer as it must."""


class Result:
    """What one measurement found: a rate, CPU time in ms per 1,000 requests (or none), quantiles in ms (or none)."""

    def __init__(self, rate, cpu, p50=None, p99=None):
        self.rate, self.cpu, self.p50, self.p99 = rate, cpu, p50, p99


class Bench:
    """What all measurements share: where, how long, on which cores, as whom."""

    def __init__(self, directory, seconds, cores, who):
        self.directory, self.seconds, self.who = directory, seconds, who
        self.server_core, self.client_core = cores[0], cores[1]
        # Of a server that may use two cores, and of its client.
        self.server_cores = [cores[0], cores[2]] if len(cores) > 3 else list(cores[:2])
        self.roomy = len(cores) > 3
        self.client_cores = [cores[1], cores[3]] if self.roomy else [cores[1]]


def fetch(port, path, tls=False):
    """Status and body of one response, by a socket and nothing else; the connection is closed behind it."""
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        connection = plain
        if tls:
            terms = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            terms.check_hostname, terms.verify_mode = False, ssl.CERT_NONE
            connection = terms.wrap_socket(plain)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        parts = []
        while part := connection.recv(1 << 16):
            parts.append(part)
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    if re.search(rb"\r\ntransfer-encoding: *chunked", head, re.I):
        body = unchunked(body)
    return int(head.split(b" ", 2)[1]), body


def unchunked(rest):
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return body
        body, rest = body + rest[:length], rest[length + 2 :]
    raise ValueError("a chunked body without its end")


def check(server, row):
    try:
        status, body = fetch(server.port, row.path, row.tls)
    except (OSError, ValueError, IndexError) as error:
        raise Broken(f"{row.path}: {error}") from error
    server.asked += 1
    if status != 200 or body != row.body:
        raise Broken(f"answers {row.path} with {status} and {len(body)} bytes: {body[:200]}")


def words_for(bench, row, port):
    """The client's words for a row."""
    words = [f"{bench.directory}/load", f"-c{row.connections}", f"-d{bench.seconds}", f"-n{row.calls}", f"-p{row.depth}"]
    words += ["-s"] if row.tls else []
    if row.listed:
        return [*words, "-b", f"{bench.directory}/random.body", "-l", f"{bench.directory}/random.list", str(port)]
    return [*words, "-b", row.expected(bench.directory), str(port), row.path]


def said(text):
    """The numbers that a client has printed, and the first error."""
    numbers, _, error = text.partition("\n")
    return {name: float(value) for name, value in (word.split("=") for word in numbers.split())}, error.strip()


def run_clients(bench, row, port):
    """The client, or one on each of its cores; what they found, added up."""
    cores = bench.client_cores if row.variant in ("one", "two") else [bench.client_core]
    words = words_for(bench, row, port)
    some = [
        subprocess.Popen(["taskset", "-c", str(core), *words], stdout=subprocess.PIPE, text=True) for core in cores
    ]
    found = []
    for client in some:
        text, _ = client.communicate(timeout=bench.seconds + 60)
        if client.returncode != 0:
            raise Broken(f"the client ends with {client.returncode}")
        numbers, error = said(text)
        if numbers["errors"] or not numbers["requests"]:
            raise Broken(f"{numbers['errors']:.0f} errors and {numbers['requests']:.0f} responses; the first: {error}")
        found.append(numbers)
    return found


def load(bench, server, row):
    """One measurement, its findings checked."""
    check(server, row)
    before = server.cpu_seconds()
    found = run_clients(bench, row, server.port)
    cpu = server.cpu_seconds() - before
    count = sum(numbers["requests"] for numbers in found)
    check(server, row)
    server.asked += int(count)
    server.closed += int(sum(numbers["closed"] for numbers in found))
    lost = row.script and server.loses_children_time()
    rate = sum(numbers["requests"] / numbers["seconds"] for numbers in found)
    p50, p99 = (statistics.mean(numbers[name] for numbers in found) / 1000 for name in ("p50", "p99"))
    return Result(rate, None if lost else cpu / count * 1e6, p50, p99)


def floor_of_static(bench, row):
    port = free_port()
    floor = Server(f"floor-{time.monotonic_ns()}", [[f"{bench.directory}/floor_http", str(port), row.expected(bench.directory)]], port)
    try:
        floor.start(bench.directory, [bench.server_core], [])
        return load(bench, floor, row)
    finally:
        floor.stop()


def floor_of_script(bench, row):
    cores = bench.server_cores if row.variant == "two" else [bench.server_core]
    command = ["taskset", "-c", ",".join(map(str, cores)), f"{bench.directory}/floor_cgi", str(bench.seconds)]
    done = subprocess.run(
        [*command, f"{bench.directory}/cgi-bin/{row.script}", str(row.connections)],
        capture_output=True,
        text=True,
        timeout=bench.seconds + 30,
        check=True,
    )
    count, passed, cpu, median = map(float, done.stdout.split())
    return Result(count / passed, cpu / count * 1e6, median / 1000 if row.connections == 1 else None)


def floor_of_application(bench, row):
    """The application itself, asked over connections that are kept: no more of them than it has processes, for each serves one."""
    floor = Server(f"floor-{row.name}-{time.monotonic_ns()}", [], None)
    floor.with_applications(bench.directory, {row.kind})
    path = applications.socket_of(bench.directory, floor.label, row)
    few = rows.Row(row.name, row.path, row.body, min(row.connections, applications.PROCESSES), kind=row.kind)
    try:
        floor.start(bench.directory, [bench.server_core], bench.who)
        before = floor.cpu_seconds()
        count, passed = applications.asked_directly(bench.directory, few, path, bench.seconds, bench.client_core)
        return Result(count / passed, (floor.cpu_seconds() - before) / count * 1e6)
    finally:
        floor.stop()


def relays(row):
    """Whether there is a relay for a row: it has a connection to the application for each of its clients."""
    return row.kind in applications.NEEDED and row.connections <= applications.PROCESSES


def relay_of(bench, row):
    """What the same client gets of the application through next to no server."""
    port = free_port()
    relay = Server(f"relay-{row.name}-{time.monotonic_ns()}", [], port)
    relay.with_applications(bench.directory, {row.kind})
    path = applications.socket_of(bench.directory, relay.label, row)
    variables = applications.variables(bench.directory, row)
    relay.commands.append([f"{bench.directory}/floor_relay", str(port), path, str(len(row.body)), *variables])
    try:
        relay.start(bench.directory, [bench.server_core], bench.who)
        return load(bench, relay, row)
    finally:
        relay.stop()


def floor_of(bench, row):
    if row.script:
        return floor_of_script(bench, row)
    if row.kind in applications.NEEDED:
        return floor_of_application(bench, row)
    return floor_of_static(bench, row)


def read_all(bench):
    """Has the files of a list in memory, whatever the system has dropped since they were written: who is asked first would wait
    for the disk, and all others find what that one has read."""
    for number in range(rows.FILES):
        with open(f"{bench.directory}/htdocs{rows.listed_path(number)}", "rb") as file:
            file.read()


def rounds_of(bench, group, servers, rounds, say):
    """All rounds of the rows of a group: who is asked first changes from round to round. For each row by name the results of
    each server by name, the floor's among them; a server that fails once is told and left out of its row."""
    results = {row.name: {} for row in group}
    broken = set()
    if any(row.listed for row in group):
        read_all(bench)
    for number in range(rounds):
        for row in group:
            if row.floor:
                results[row.name].setdefault("floor", []).append(floor_of(bench, row))
            if relays(row):
                results[row.name].setdefault("relay", []).append(relay_of(bench, row))
        turn = number % len(servers) if servers else 0
        for server in servers[turn:] + servers[:turn]:
            for row in group:
                if not takes(server, row) or (server.name, row.name) in broken:
                    continue
                try:
                    results[row.name].setdefault(server.name, []).append(load(bench, server, row))
                except Broken as error:
                    broken.add((server.name, row.name))
                    results[row.name].pop(server.name, None)
                    say(f"{row.name}: {server.name} FAILS: {error}")
    for server in servers:
        if server.closed:
            say(f"{server.name} closed {server.closed} kept connections instead of an answer; asked again")
            server.closed = 0
    # In the order of the servers, whoever was asked first.
    order = ["floor", "relay", *dict.fromkeys(server.name for server in servers)]
    return {name: {who: some[who] for who in order if who in some} for name, some in results.items()}, broken


def takes(server, row):
    """Whether a server has a part in a row."""
    return server.variant == row.variant and row.kind in server.kinds and (not row.ours or server.peer == "lychgate")
