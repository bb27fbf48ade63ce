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
pid {dir}/nginx.pid;
error_log {dir}/nginx.error.log;
events {{ worker_connections 1024; }}
http {{
    types {{ text/html html; text/plain txt; }}
    default_type application/octet-stream;
    access_log {dir}/nginx.access.log combined;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    client_body_temp_path {dir}/nginx-1;
    proxy_temp_path {dir}/nginx-2;
    fastcgi_temp_path {dir}/nginx-3;
    uwsgi_temp_path {dir}/nginx-4;
    scgi_temp_path {dir}/nginx-5;
    server {{
        listen 127.0.0.1:{port} backlog=511;
        root {dir}/htdocs;
        location /cgi-bin/ {{
            root {dir};
            fastcgi_pass unix:{dir}/fcgiwrap.sock;
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
        }}
    }}
}}
"""

LIGHTTPD = """\
server.modules = ( "mod_accesslog", "mod_alias", "mod_cgi" )
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

    def __init__(self, name, commands, port, scripts=True):
        self.name, self.commands, self.port, self.scripts = name, commands, port, scripts
        self.beside, self.started = [], []
        self.asked = 0

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
                socket.create_connection(("127.0.0.1", self.port), 1).close()
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


def apache(binary, directory, mpm, cgi, name):
    """Apache with one of its process models and one of its CGI modules; none if a module is missing."""
    modules = next(filter(os.path.isdir, MODULE_PLACES), "")
    wanted = [mpm, "authz_core", "unixd", "mime", "alias", "log_config", cgi]
    load = ""
    for module in wanted:
        file = f"{modules}/mod_{module}.so"
        if os.path.exists(file):
            load += f"LoadModule {module}_module {file}\n"
        elif module in (mpm, cgi):
            return None
    port = free_port()
    before = write(f"{directory}/{name}.load", APACHE.format(load=load, dir=directory, name=name))
    conf = write(f"{directory}/{name}.conf", HTTPD.format(dir=directory, name=name, port=port))
    return Server(name, [[binary, "-C", f"Include {before}", "-f", conf, "-D", "FOREGROUND"]], port)


def nginx(binary, directory):
    port = free_port()
    conf = write(f"{directory}/nginx.conf", NGINX.format(dir=directory, port=port))
    command = [binary, "-c", conf, "-p", directory, "-e", f"{directory}/nginx.error.log"]
    fcgiwrap = program(["fcgiwrap"])
    if not fcgiwrap:
        return Server("nginx", [command], port, scripts=False)
    # As `fcgiwrap -c 8` does it, but all of them our own children.
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{directory}/fcgiwrap.sock")
        os.chmod(f"{directory}/fcgiwrap.sock", 0o777)
        listener.listen(511)
        server = Server("nginx", [command], port)
        server.beside = [([fcgiwrap], os.dup(listener.fileno())) for _ in range(8)]
    return server


def lighttpd(binary, directory):
    port = free_port()
    conf = write(f"{directory}/lighttpd.conf", LIGHTTPD.format(dir=directory, port=port))
    return Server("lighttpd", [[binary, "-D", "-f", conf]], port)


def lychgate(binary, directory):
    port = free_port()
    text = HTTPD.format(dir=directory, name="lychgate", port=port)
    text += "".join(PLACE.format(dir=directory, name=name, line=line) for name, line in PLACES.items())
    conf = write(f"{directory}/lychgate.conf", text)
    return Server("lychgate", [[binary, "-f", conf, "-D", "FOREGROUND"]], port)


def all_servers(directory, lychgate_binary, alone):
    """lychgate and, unless it is alone, every peer that is installed; says what could be installed besides."""
    found = [lychgate(lychgate_binary, directory)]
    if alone:
        return found
    missing = []
    for name, (package, programs) in PEERS.items():
        binary = program(programs)
        if not binary:
            missing.append(package)
        elif name == "nginx":
            found.append(nginx(binary, directory))
            missing += [] if found[-1].scripts else ["fcgiwrap"]
        elif name == "lighttpd":
            found.append(lighttpd(binary, directory))
        else:
            found += filter(
                None,
                [
                    apache(binary, directory, "mpm_event", "cgid", "apache"),
                    apache(binary, directory, "mpm_prefork", "cgi", "apache-prefork"),
                ],
            )
    if missing:
        print("not measured, not installed: apt-get install --no-install-recommends " + " ".join(missing))
    return found
