"""The servers that are compared, each with a configuration of its own in the bench's directory.

lychgate and Apache read the same httpd.conf; Apache's modules are named in a file of their own that it reads before.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import applications

HTTPD = """\
ServerRoot "{dir}"
ServerName localhost
Listen 127.0.0.1:{port}
PidFile "{dir}/{name}.pid"
DocumentRoot "{dir}/htdocs"
ScriptAlias "/cgi-bin/" "{dir}/cgi-bin/"
TypesConfig "{dir}/mime.types"
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 30
ErrorLog "{dir}/{name}.error.log"
LogFormat "%h %l %u %t \\"%r\\" %>s %b \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\"" combined
CustomLog "{dir}/{name}.access.log" combined
<Directory "{dir}">
    Options FollowSymLinks
    AllowOverride None
    Require all granted
</Directory>
# Two directories in which a .htaccess file is looked for, and none is found.
<Directory "{dir}/htdocs/htaccess">
    AllowOverride All
</Directory>
"""

# Applications and another server behind it.
BEHIND = """\
ProxyPass "/fcgi/" "unix:{dir}/{name}.fcgi.sock|fcgi://localhost/"{terms}
<FilesMatch "\\.php$">
    SetHandler "proxy:unix:{dir}/{name}.php.sock|fcgi://php"
</FilesMatch>
"""

ORIGIN = """\
ProxyPass "/proxy/" "http://127.0.0.1:{origin}/"
"""

# lychgate's own: connections to PHP are kept, as they are kept to the other application by the terms above.
KEPT = """\
<Proxy "fcgi://php" enablereuse=on>
</Proxy>
"""

# lychgate's own: directories of scripts, and what their settings say besides.
PLACE = """\
ScriptAlias "/{name}/" "{dir}/{name}/"
<Directory "{dir}/{name}">
    {line}
</Directory>
"""

PLACES = {
    "basic": "ScriptSandbox basic require",
    "loopback": "ScriptSandbox basic require\n    ScriptSandboxTCP loopback",
    "tree": "CGIProcessTree kill",
}

# 64 connections at once and a few more, in one process: there is one core.
APACHE = """\
{load}
<IfModule mpm_event_module>
    StartServers 1
    ServerLimit 1
    ThreadLimit 128
    ThreadsPerChild 128
    MaxRequestWorkers 128
</IfModule>
<IfModule mpm_prefork_module>
    StartServers 64
    MinSpareServers 1
    MaxSpareServers 128
    ServerLimit 128
    MaxRequestWorkers 128
</IfModule>
<IfModule cgid_module>
    ScriptSock "{dir}/{name}.sock"
</IfModule>
"""

NGINX = """\
daemon off;
worker_processes 1;
pid {dir}/{name}.pid;
error_log {dir}/{name}.error.log;
events {{ worker_connections 1024; }}
http {{
    types {{ text/html html; text/plain txt; }}
    default_type application/octet-stream;
    access_log {dir}/{name}.access.log combined;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    client_body_temp_path {dir}/{name}-1;
    proxy_temp_path {dir}/{name}-2;
    fastcgi_temp_path {dir}/{name}-3;
    uwsgi_temp_path {dir}/{name}-4;
    scgi_temp_path {dir}/{name}-5;
    upstream php {{ server unix:{dir}/{name}.php.sock; keepalive 4; }}
    upstream origin {{ server 127.0.0.1:{origin}; keepalive 64; }}
    fastcgi_param QUERY_STRING $query_string;
    fastcgi_param REQUEST_METHOD $request_method;
    fastcgi_param CONTENT_TYPE $content_type;
    fastcgi_param CONTENT_LENGTH $content_length;
    fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
    fastcgi_param SCRIPT_NAME $fastcgi_script_name;
    fastcgi_param REQUEST_URI $request_uri;
    fastcgi_param DOCUMENT_ROOT $document_root;
    fastcgi_param SERVER_PROTOCOL $server_protocol;
    fastcgi_param GATEWAY_INTERFACE CGI/1.1;
    fastcgi_param SERVER_SOFTWARE nginx/$nginx_version;
    fastcgi_param REMOTE_ADDR $remote_addr;
    fastcgi_param REMOTE_PORT $remote_port;
    fastcgi_param SERVER_ADDR $server_addr;
    fastcgi_param SERVER_PORT $server_port;
    fastcgi_param SERVER_NAME $server_name;
    server {{
        listen 127.0.0.1:{port} backlog=511;
        root {dir}/htdocs;
        location /cgi-bin/ {{
            root {dir};
            fastcgi_pass unix:{dir}/{name}.wrap.sock;
        }}
        location /fcgi/ {{ fastcgi_pass unix:{dir}/{name}.fcgi.sock; }}
        location /proxy/ {{
            proxy_pass http://origin/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
        location ~ \\.php$ {{
            fastcgi_pass php;
            fastcgi_keep_conn on;
        }}
    }}
}}
"""

LIGHTTPD = """\
server.modules = ( "mod_accesslog", "mod_alias", "mod_cgi", "mod_fastcgi", "mod_proxy" )
server.bind = "127.0.0.1"
server.port = {port}
server.document-root = "{dir}/htdocs"
server.errorlog = "{dir}/lighttpd.error.log"
server.max-keep-alive-requests = 65535
server.max-fds = 4096
server.upload-dirs = ( "{dir}" )
accesslog.filename = "{dir}/lighttpd.access.log"
mimetype.assign = ( ".html" => "text/html", ".txt" => "text/plain" )
alias.url = ( "/cgi-bin/" => "{dir}/cgi-bin/" )
$HTTP["url"] =~ "^/cgi-bin/" {{ cgi.assign = ( "" => "" ) }}
fastcgi.server = (
    "/fcgi/" => (( "socket" => "{dir}/{name}.fcgi.sock", "check-local" => "disable" )),
    ".php" => (( "socket" => "{dir}/{name}.php.sock" ))
)
$HTTP["url"] =~ "^/proxy/" {{ proxy.server = ( "" => (( "host" => "127.0.0.1", "port" => {origin} )) ) }}
"""

MODULE_PLACES = ["/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/lib/httpd/modules"]

# What each peer is called in Debian, and where its program may be.
PEERS = {
    "nginx": ("nginx-light fcgiwrap", ["nginx"]),
    "apache": ("apache2-bin", ["apache2", "httpd"]),
    "lighttpd": ("lighttpd", ["lighttpd"]),
}


def program(names):
    """The first of these programs that is installed."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/sbin"
    return next(filter(None, (shutil.which(name, path=path) for name in names)), None)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """One server: its processes, its port, and the words that started it."""

    def __init__(self, name, commands, port, kinds=("static", "cgi")):
        self.name, self.commands, self.port, self.kinds = name, commands, port, set(kinds)
        # Programs behind it with their standard inputs, and sockets that must be there before it is asked.
        self.beside, self.sockets, self.started = [], [], []
        self.asked = 0

    def with_applications(self, directory, found):
        """The same in front of applications of its own."""
        commands, sockets = applications.beside(directory, self.name, found)
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

    def start(self, directory, core, as_whom):
        with open(f"{directory}/{self.name}.out", "wb") as out:
            for command, given in [(command, subprocess.DEVNULL) for command in self.commands] + self.beside:
                # The server ends when the bench does, however that ends.
                words = ["setpriv", "--pdeathsig", "TERM", *as_whom, "taskset", "-c", str(core), *command]
                self.started.append(subprocess.Popen(words, stdin=given, stdout=out, stderr=out, cwd=directory))
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            ended = [process for process in self.started if process.poll() is not None]
            if ended:
                break
            try:
                self.is_up()
                return
            except OSError:
                time.sleep(0.05)
        with open(f"{directory}/{self.name}.out", errors="replace") as out:
            sys.exit(f"tests/bench/run: {self.name} does not start:\n{out.read()[-2000:]}")

    def stop(self):
        """Ends what was started, at last by force; what it started itself ends with it."""
        below = [pid for process in self.started for pid in tree(process.pid)]
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
                print(f"{self.name}: process {pid} was left and is ended by force", file=sys.stderr)

    def cpu_seconds(self):
        """User and system time of all its processes and of the children they have waited for."""
        pids = [pid for process in self.started for pid, _ in tree(process.pid)]
        return sum(map(cpu_seconds_of, pids))

    def loses_children_time(self):
        """Whether a process ignores SIGCHLD: the kernel then drops the time of its children."""
        for process in self.started:
            for pid, _ in tree(process.pid):
                try:
                    with open(f"/proc/{pid}/status") as status:
                        ignored = next(line.split()[1] for line in status if line.startswith("SigIgn:"))
                except (OSError, StopIteration):
                    continue
                if int(ignored, 16) >> (signal.SIGCHLD - 1) & 1:
                    return True
        return False


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


def write(path, text):
    with open(path, "w") as file:
        file.write(text)
    return path


def apache(binary, place, mpm, cgi, name):
    """Apache with one of its process models and one of its CGI modules; none if a module is missing."""
    modules = next(filter(os.path.isdir, MODULE_PLACES), "")
    wanted = [mpm, "authz_core", "unixd", "mime", "alias", "log_config", cgi, "proxy", "proxy_fcgi", "proxy_http"]
    load = ""
    for module in wanted:
        file = f"{modules}/mod_{module}.so"
        if os.path.exists(file):
            load += f"LoadModule {module}_module {file}\n"
        elif module in (mpm, cgi):
            return None
    directory, port = place.directory, free_port()
    before = write(f"{directory}/{name}.load", APACHE.format(load=load, dir=directory, name=name))
    text = HTTPD.format(dir=directory, name=name, port=port)
    proxies = mpm == "mpm_event" and "mod_proxy_fcgi.so" in load
    if proxies:
        text += BEHIND.format(dir=directory, name=name, terms="") + ORIGIN.format(origin=place.origin)
    conf = write(f"{directory}/{name}.conf", text)
    server = Server(name, [[binary, "-C", f"Include {before}", "-f", conf, "-D", "FOREGROUND"]], port)
    if not proxies:
        return server
    server.kinds.add("proxy")
    return server.with_applications(directory, place.found)


def nginx(binary, place, name):
    directory, port = place.directory, free_port()
    conf = write(f"{directory}/{name}.conf", NGINX.format(dir=directory, name=name, port=port, origin=place.origin))
    return Server(name, [[binary, "-c", conf, "-p", directory, "-e", f"{directory}/{name}.error.log"]], port, {"static", "proxy"})


def nginx_with_fcgiwrap(binary, place):
    server = nginx(binary, place, "nginx").with_applications(place.directory, place.found)
    fcgiwrap = program(["fcgiwrap"])
    if fcgiwrap:
        # As `fcgiwrap -c 8` does it, but all of them our own children.
        given = applications.listener(f"{place.directory}/nginx.wrap.sock")
        server.beside += [([fcgiwrap], given)] * 8
        server.kinds |= {"cgi", "wrapped"}
    return server


def nginx_with_lychgate(binary, place, lychgate_binary):
    """The same with `lychgate fcgiwrap`, for rows of their own."""
    server = nginx(binary, place, "nginx+lychgate")
    directory = place.directory
    given = applications.listener(f"{directory}/{server.name}.wrap.sock")
    server.beside = [([lychgate_binary, "fcgiwrap", "-c", "8", "-p", f"{directory}/cgi-bin"], given)]
    server.kinds = {"wrapped"}
    return server


def lighttpd(binary, place):
    directory, port = place.directory, free_port()
    text = LIGHTTPD.format(dir=directory, name="lighttpd", port=port, origin=place.origin)
    conf = write(f"{directory}/lighttpd.conf", text)
    server = Server("lighttpd", [[binary, "-D", "-f", conf]], port, {"static", "cgi", "proxy"})
    return server.with_applications(directory, place.found)


def lychgate(binary, place):
    directory, port = place.directory, free_port()
    text = HTTPD.format(dir=directory, name="lychgate", port=port)
    text += "".join(PLACE.format(dir=directory, name=name, line=line) for name, line in PLACES.items())
    text += BEHIND.format(dir=directory, name="lychgate", terms=" enablereuse=on") + KEPT
    conf, kinds = write(f"{directory}/lychgate.conf", text), {"static", "cgi"}
    # A version that speaks no HTTP to others says so.
    with_origin = write(f"{directory}/lychgate-proxy.conf", text + ORIGIN.format(origin=place.origin))
    if subprocess.run([binary, "-t", "-f", with_origin], capture_output=True).returncode == 0:
        conf = with_origin
        kinds.add("proxy")
    server = Server("lychgate", [[binary, "-f", conf, "-D", "FOREGROUND"]], port, kinds)
    return server.with_applications(directory, place.found)


class Place:
    """Where the servers are laid out, the port of the origin server, and which applications there are."""

    def __init__(self, directory, origin, found):
        self.directory, self.origin, self.found = directory, origin, found


def all_servers(place, lychgate_binary, alone):
    """lychgate and, unless it is alone, every peer that is installed; says what could be installed besides."""
    found = [lychgate(lychgate_binary, place)]
    if alone:
        return found
    missing = []
    for name, (package, programs) in PEERS.items():
        binary = program(programs)
        if not binary:
            missing.append(package)
        elif name == "nginx":
            found += [nginx_with_fcgiwrap(binary, place), nginx_with_lychgate(binary, place, lychgate_binary)]
            missing += [] if "cgi" in found[-2].kinds else ["fcgiwrap"]
        elif name == "lighttpd":
            found.append(lighttpd(binary, place))
        else:
            found += filter(
                None,
                [
                    apache(binary, place, "mpm_event", "cgid", "apache"),
                    apache(binary, place, "mpm_prefork", "cgi", "apache-prefork"),
                ],
            )
    if missing:
        print("not measured, not installed: apt-get install --no-install-recommends " + " ".join(missing))
    return found
