"""What runs behind the servers: FastCGI applications, php-fpm, an origin server. Each server has its own of the first two."""

import glob
import os
import socket
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))

# So many processes of each application.
PROCESSES = 4

PHP = """\
[global]
error_log = {dir}/{name}.php.log
daemonize = no
[www]
listen = {dir}/{name}.php.sock
listen.mode = 0666
pm = static
pm.max_children = {processes}
"""

# For each kind of row what it takes besides: a file that shows that it is there, and Debian's package.
NEEDED = {
    "fastcgi": ("/usr/include/fcgiapp.h", "libfcgi-dev"),
    "php": ("/usr/sbin/php-fpm*", "php-fpm"),
}


def kinds():
    """The kinds of rows for which everything is there; says what could be installed besides."""
    there = {kind for kind, (path, _) in NEEDED.items() if glob.glob(path)}
    missing = [package for kind, (_, package) in NEEDED.items() if kind not in there]
    if missing:
        print("rows left out, not installed: apt-get install --no-install-recommends " + " ".join(missing))
    return there


def lay_out(directory, found):
    """Programs and pages."""
    flags = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o"]
    if "fastcgi" in found:
        subprocess.run([*flags, f"{directory}/hello_fcgi", f"{HERE}/hello_fcgi.c", "-lfcgi"], check=True)
    for tool in ("floor_fastcgi", "floor_relay"):
        subprocess.run([*flags, f"{directory}/{tool}", f"{HERE}/{tool}.c"], check=True)
    with open(f"{directory}/htdocs/hello.php", "w") as page:
        page.write("<?php header('Content-Type: text/plain'); echo \"hello, world\\n\";\n")


def listener(path):
    """A socket that somebody else is to accept at, as a descriptor."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path)
        os.chmod(path, 0o777)
        made.listen(511)
        return os.dup(made.fileno())


def beside(directory, name, found):
    """The applications of one server, as commands with what they have as standard input; and the sockets to wait for."""
    commands, sockets = [], []
    if "fastcgi" in found:
        given = listener(f"{directory}/{name}.fcgi.sock")
        commands += [([f"{directory}/hello_fcgi"], given)] * PROCESSES
    if "php" in found:
        program = sorted(glob.glob(NEEDED["php"][0]))[-1]
        conf = f"{directory}/{name}.php.conf"
        with open(conf, "w") as file:
            file.write(PHP.format(dir=directory, name=name, processes=PROCESSES))
        commands.append(([program, "-n", "-F", "-y", conf], subprocess.DEVNULL))
        sockets.append(f"{directory}/{name}.php.sock")
    return commands, sockets


def socket_of(directory, name, row):
    """Where the application of a server listens that a row asks for."""
    return f"{directory}/{name}.{'php' if row.kind == 'php' else 'fcgi'}.sock"


def variables(directory, row):
    """What an application must be told (RFC 3875 section 4.1), and what most ask for."""
    told = ["GATEWAY_INTERFACE=CGI/1.1", "QUERY_STRING=", "REMOTE_ADDR=127.0.0.1", "REQUEST_METHOD=GET"]
    told += [f"SCRIPT_NAME={row.path}", "SERVER_NAME=localhost", "SERVER_PORT=80", "SERVER_PROTOCOL=HTTP/1.1"]
    told += ["SERVER_SOFTWARE=floor", f"REQUEST_URI={row.path}", "HTTP_HOST=localhost"]
    if row.kind == "php":
        told += [f"DOCUMENT_ROOT={directory}/htdocs", f"SCRIPT_FILENAME={directory}/htdocs{row.path}"]
    return told


def asked_directly(directory, row, socket_path, seconds, core):
    """What the application does without any server between: requests and seconds."""
    command = [f"{directory}/floor_fastcgi", str(seconds), socket_path, str(row.connections), str(len(row.body))]
    done = subprocess.run(
        ["taskset", "-c", str(core), *command, *variables(directory, row)], capture_output=True, text=True, timeout=seconds + 30, check=True
    )
    count, passed = done.stdout.split()
    return int(count), float(passed)
