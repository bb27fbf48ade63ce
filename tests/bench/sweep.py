"""occwserv's own figure: 8 KiB, four calls a connection, so many connections a second, more and more of them until replies fall
short; and the same with many idle connections attached. A table, and a plot as SVG.

The client is load.c at a rate, or httperf(1) itself where --client says so; httperf holds no more than 1,024 connections, so it
reaches its own end before a quick server reaches its.
"""

import re
import subprocess

import measure
import memory
import rows

CALLS = 4
FIRST, GROWTH, MOST_STEPS = 1000, 1.4, 20
# Replies that are fewer than this part of what was asked for fall short; a sweep ends after two steps of that, and looks between
# the last that was enough and the first that was not.
ENOUGH, STEPS_BETWEEN = 0.97, 3
# A step is no longer than this.
SECONDS = 1
COLOURS = {"floor": "#888888", "lychgate": "#c0392b", "apache": "#8e44ad", "nginx": "#2e8b57", "lighttpd": "#2c6fbb", "h2o": "#d68910"}


class Point:
    """One step: calls a second that were to be made, replies a second in time, and errors."""

    def __init__(self, offered, replies, errors):
        self.offered, self.replies, self.errors = offered, replies, errors

    def falls_short(self):
        return self.errors > 0 or self.replies < ENOUGH * self.offered


def by_load(bench, port, row, rate):
    words = ["taskset", "-c", str(bench.client_core), f"{bench.directory}/load", f"-r{rate}", f"-n{CALLS}", f"-d{seconds(bench)}"]
    words += ["-b", row.expected(bench.directory), str(port), row.path]
    done = subprocess.run(words, capture_output=True, text=True, timeout=bench.seconds + 60, check=True)
    numbers, _ = measure.said(done.stdout)
    return Point(rate * CALLS, numbers["in_time"] / numbers["seconds"], int(numbers["errors"]))


def by_httperf(bench, port, row, rate):
    words = ["taskset", "-c", str(bench.client_core), "httperf", "--hog", "--server=127.0.0.1", f"--port={port}", f"--uri={row.path}"]
    words += [f"--rate={rate}", f"--num-conns={int(rate * seconds(bench))}", f"--num-calls={CALLS}", "--timeout=2"]
    text = subprocess.run(words, capture_output=True, text=True, timeout=bench.seconds + 60, check=True).stdout
    total = re.search(r"Total: connections (\d+) requests (\d+) replies (\d+) test-duration ([0-9.]+) s", text)
    errors = re.search(r"Errors: total (\d+)", text)
    return Point(rate * CALLS, float(total[3]) / float(total[4]), int(errors[1]))


def climb(bench, server, row, client):
    """The steps of one server, in the order of their rates."""
    found = {}

    def step(rate):
        # Twice, before a moment's disturbance is taken for the server's end.
        for _ in range(2):
            point = client(bench, server.port, row, rate)
            server.asked += int(point.replies * seconds(bench))
            if rate not in found or point.replies > found[rate].replies:
                found[rate] = point
            if not point.falls_short():
                break
        return found[rate].falls_short()

    enough, short = 0, []
    for rate in rates():
        if step(rate):
            short.append(rate)
        elif not short:
            enough = rate
        if len(short) == 2:
            break
    for _ in range(STEPS_BETWEEN if short and enough else 0):
        middle = round((enough + short[0]) / 2)
        if step(middle):
            short.insert(0, middle)
        else:
            enough = middle
    return [found[rate] for rate in sorted(found)]


def rates():
    """Connections a second."""
    return [round(FIRST * GROWTH**number) for number in range(MOST_STEPS)]


def seconds(bench):
    return min(bench.seconds, SECONDS)


def sweep(bench, found, client, say):
    """All sweeps, by server and number of idle connections."""
    row = next(row for row in rows.ROWS if row.name == "static-8k")
    curves = {}
    for server in found:
        for idle in (0, memory.affordable(1200)):
            server.start(bench.directory, [bench.server_core], bench.who)
            try:
                measure.check(server, row)
                if idle:
                    with memory.Idle(bench, server, row, idle):
                        curves[server.name, idle] = climb(bench, server, row, client)
                else:
                    curves[server.name, idle] = climb(bench, server, row, client)
            except (measure.Broken, subprocess.SubprocessError) as error:
                say(f"sweep: {server.name} with {idle} idle connections FAILS: {error}")
            finally:
                server.stop()
    return curves


def most(points):
    """The highest rate at which nothing falls short, and the highest rate of replies at all."""
    good = [point.replies for point in points if not point.falls_short()]
    return max(good, default=0), max(point.replies for point in points)


def ends(curves):
    """Where each curve ends."""
    yield "| sweep | idle connections | replies/s before they fall short | most replies/s |"
    yield "|---|--:|--:|--:|"
    for (name, idle), points in curves.items():
        good, best = most(points)
        yield f"| {name} | {idle} | {good:.0f} | {best:.0f} |"


def lines(curves):
    """The ends of the curves, and the curves themselves."""
    yield from ends(curves)
    steps = sorted({point.offered for points in curves.values() for point in points})
    yield ""
    yield "| calls/s asked for | " + " | ".join(f"{name}, {idle} idle" for name, idle in curves) + " |"
    yield "|--:|" + "--:|" * len(curves)
    for step in steps:
        at = [next((point for point in points if point.offered == step), None) for points in curves.values()]
        yield f"| {step} | " + " | ".join(cell(point) for point in at) + " |"


def cell(point):
    if point is None:
        return ""
    return f"{point.replies:.0f}" + (f" ({point.errors} errors)" if point.errors else "")


WIDTH, HEIGHT, LEFT, BOTTOM, RIGHT, TOP = 860, 480, 70, 50, 190, 40


def nice(value):
    """A step of an axis: 1, 2 or 5 with zeros, so that there are five or so."""
    size = 1
    while size * 10 < value / 5:
        size *= 10
    return next(size * some for some in (1, 2, 5, 10, 20) if size * some >= value / 6)


def svg(curves):
    """The plot: replies a second over calls a second that were asked for; broken lines have the idle connections."""
    right = max(point.offered for points in curves.values() for point in points)
    top = 1.05 * max(point.replies for points in curves.values() for point in points)

    def place(offered, replies):
        across = LEFT + offered / right * (WIDTH - LEFT - RIGHT)
        return f"{across:.1f},{HEIGHT - BOTTOM - replies / top * (HEIGHT - BOTTOM - TOP):.1f}"

    def text(at, what, more=""):
        x, y = at.split(",")
        return f'<text x="{x}" y="{y}" {more}>{what}</text>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="14">Replies a second: 8 KiB, {CALLS} calls a connection, one core</text>',
        f'<path d="M{place(0, top)} L{place(0, 0)} L{place(right, 0)}" fill="none" stroke="black"/>',
        text(place(right / 2, -top * 0.1), "calls a second asked for", 'text-anchor="middle"'),
    ]
    for step in range(nice(top), int(top), nice(top)):
        parts.append(f'<path d="M{place(0, step)} L{place(right, step)}" stroke="#dddddd"/>')
        parts.append(text(place(-right * 0.01, step), f"{step:,}", 'text-anchor="end" dominant-baseline="middle"'))
    for step in range(nice(right), int(right), nice(right)):
        parts.append(text(place(step, -top * 0.045), f"{step:,}", 'text-anchor="middle"'))
    for number, ((name, idle), points) in enumerate(curves.items()):
        colour = COLOURS.get(name, "#000000")
        broken = ' stroke-dasharray="6 4"' if idle else ""
        path = " ".join(place(point.offered, point.replies) for point in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{broken}/>')
        x, y = WIDTH - RIGHT + 15, TOP + 20 * number
        parts.append(f'<path d="M{x},{y} h30" stroke="{colour}" stroke-width="2"{broken}/>')
        parts.append(f'<text x="{x + 36}" y="{y + 4}">{name}{f", {idle:,} idle" if idle else ""}</text>')
    return "\n".join([*parts, "</svg>", ""])
