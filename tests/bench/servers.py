"""The servers that are compared, each with configurations of its own in the bench's directory.

lychgate and Apache read the same httpd.conf; Apache's modules are named in a file of their own that it reads before.
Configurations are: full, with everything behind it; nolog, without an access log; plain, with nothing behind it, for what
a server needs by itself; tls; one and two, cores that is.
"""

import os
import resource
import shutil
import subprocess

import applications
from processes import Server, free_port

HTTPD = """\
ServerRoot "{dir}"
ServerName localhost
Listen 127.0.0.1:{port}
PidFile "{dir}/{label}.pid"
DocumentRoot "{dir}/htdocs"
ScriptAlias "/cgi-bin/" "{dir}/cgi-bin/"
TypesConfig "{dir}/mime.types"
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 300
ErrorLog "{dir}/{label}.error.log"
LogFormat "%h %l %u %t \\"%r\\" %>s %b \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\"" combined
# As every distribution has it: without it, .htaccess files are looked for from the root on.
<Directory "/">
    AllowOverride None
    Require all denied
</Directory>
<Directory "{dir}">
    Options FollowSymLinks
    AllowOverride None
    Require all granted
</Directory>
# A directory in which .htaccess files are looked for, and none is found.
<Directory "{dir}/htdocs/htaccess">
    AllowOverride All
</Directory>
# One with WordPress' own.
<Directory "{dir}/htdocs/wp">
    AllowOverride All
</Directory>
"""

HTTPD_LOG = """\
CustomLog "{dir}/{label}.access.log" combined
"""

HTTPD_TLS = """\
SSLEngine on
SSLCertificateFile "{dir}/certificate.pem"
SSLCertificateKeyFile "{dir}/key.pem"
"""

# Applications and another server behind it.
BEHIND = """\
ProxyPass "/fcgi/" "unix:{dir}/{label}.fcgi.sock|fcgi://localhost/"{terms}
<FilesMatch "\\.php$">
    SetHandler "proxy:unix:{dir}/{label}.php.sock|fcgi://php"
</FilesMatch>
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

# One process: there is one core. Idle connections wait in its listener, so many for each thread.
APACHE = """\
{load}
<IfModule mpm_event_module>
    StartServers 1
    ServerLimit 1
    ThreadLimit 128
    ThreadsPerChild 128
    MaxRequestWorkers 128
    AsyncRequestWorkerFactor 100
</IfModule>
<IfModule mpm_prefork_module>
    StartServers 16
    MinSpareServers 1
    MaxSpareServers 128
    ServerLimit 128
    MaxRequestWorkers 128
</IfModule>
<IfModule cgid_module>
    ScriptSock "{dir}/{label}.sock"
</IfModule>
"""

NGINX = """\
daemon off;
worker_processes 1;
pid {dir}/{label}.pid;
error_log {dir}/{label}.error.log;
events {{ worker_connections {connections}; }}
http {{
    types {{ text/html html; text/plain txt; }}
    default_type application/octet-stream;
    access_log {log};
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    keepalive_timeout 300;
    client_body_temp_path {dir}/{label}-1;
    proxy_temp_path {dir}/{label}-2;
    fastcgi_temp_path {dir}/{label}-3;
    uwsgi_temp_path {dir}/{label}-4;
    scgi_temp_path {dir}/{label}-5;
    upstream php {{ server unix:{dir}/{label}.php.sock; keepalive 4; }}
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
        listen 127.0.0.1:{port} backlog=4096{tls};
        root {dir}/htdocs;
        location /cgi-bin/ {{
            root {dir};
            fastcgi_pass unix:{dir}/{label}.wrap.sock;
        }}
        location /fcgi/ {{ fastcgi_pass unix:{dir}/{label}.fcgi.sock; }}
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

NGINX_TLS = " ssl; ssl_certificate {dir}/certificate.pem; ssl_certificate_key {dir}/key.pem"

LIGHTTPD = """\
server.modules = ( "mod_accesslog", "mod_alias", "mod_cgi", "mod_fastcgi", "mod_proxy"{modules} )
server.bind = "127.0.0.1"
server.port = {port}
server.document-root = "{dir}/htdocs"
server.errorlog = "{dir}/{label}.error.log"
server.max-keep-alive-requests = 65535
server.max-keep-alive-idle = 300
server.max-fds = {files}
server.max-connections = 12288
server.listen-backlog = 4096
server.upload-dirs = ( "{dir}" )
mimetype.assign = ( ".html" => "text/html", ".txt" => "text/plain" )
alias.url = ( "/cgi-bin/" => "{dir}/cgi-bin/" )
$HTTP["url"] =~ "^/cgi-bin/" {{ cgi.assign = ( "" => "" ) }}
fastcgi.server = (
    "/fcgi/" => (( "socket" => "{dir}/{label}.fcgi.sock", "check-local" => "disable" )),
    ".php" => (( "socket" => "{dir}/{label}.php.sock" ))
)
$HTTP["url"] =~ "^/proxy/" {{ proxy.server = ( "" => (( "host" => "127.0.0.1", "port" => {origin} )) ) }}
"""

LIGHTTPD_LOG = """\
accesslog.filename = "{dir}/{label}.access.log"
"""

LIGHTTPD_TLS = """\
ssl.engine = "enable"
ssl.pemfile = "{dir}/certificate.pem"
ssl.privkey = "{dir}/key.pem"
"""

# It speaks to scripts by a program of its own.
H2O = """\
num-threads: 1
max-connections: 12288
pid-file: {dir}/{label}.pid
error-log: {dir}/{label}.error.log
http1-request-timeout: 300
{log}
listen:
  host: 127.0.0.1
  port: {port}
{tls}
file.mime.settypes:
  text/html: .html
  text/plain: .txt
hosts:
  default:
    paths:
      /:
        file.dir: {dir}/htdocs
"""

H2O_BEHIND = """\
      /cgi-bin:
        file.dir: {dir}/cgi-bin
        file.custom-handler:
          extension: .cgi
          fastcgi.spawn: "exec {cgi}"
      /fcgi:
        fastcgi.connect:
          type: unix
          port: {dir}/{label}.fcgi.sock
      /proxy:
        proxy.reverse.url: http://127.0.0.1:{origin}/
file.custom-handler:
  extension: .php
  fastcgi.connect:
    type: unix
    port: {dir}/{label}.php.sock
"""

H2O_TLS = """\
  ssl:
    certificate-file: {dir}/certificate.pem
    key-file: {dir}/key.pem
    minimum-version: TLSv1.2
"""

MODULE_PLACES = ["/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/lib/httpd/modules"]

# What each peer is called in Debian, and where its program may be.
PEERS = {
    "nginx": ("nginx-light fcgiwrap", ["nginx"]),
    "apache": ("apache2-bin", ["apache2", "httpd"]),
    "lighttpd": ("lighttpd lighttpd-mod-openssl", ["lighttpd"]),
    "h2o": ("h2o", ["h2o"]),
}


def program(names):
    """The first of these programs that is installed."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/sbin"
    return next(filter(None, (shutil.which(name, path=path) for name in names)), None)


def write(path, text):
    with open(path, "w") as file:
        file.write(text)
    return path


class Place:
    """Where the servers are laid out, the port of the origin server, which applications there are, and lychgate."""

    def __init__(self, directory, origin, found, lychgate_binary):
        self.directory, self.origin, self.found, self.lychgate = directory, origin, found, lychgate_binary

    def finish(self, server, text, **more):
        """Writes a server's configuration; what is behind it is there in its full configuration alone."""
        if server.variant == "full" and more.pop("behind", True):
            server.with_applications(self.directory, self.found)
        values = {"dir": self.directory, "label": server.label, "port": server.port, "origin": self.origin} | more
        return write(f"{self.directory}/{server.label}.conf", text.format(**values))


def lychgate(place, variant):
    server = Server("lychgate", [], free_port(), {"static", "cgi", "htaccess"}, variant)
    text = HTTPD + ("" if variant == "nolog" else HTTPD_LOG)
    if variant == "full":
        values = {"dir": "{dir}"}
        text += "".join(PLACE.format(name=name, line=line, **values) for name, line in PLACES.items())
        text += BEHIND + KEPT
        server.kinds.add("proxy")
    if variant == "tls":
        text += HTTPD_TLS
    conf = place.finish(server, text, terms=" enablereuse=on")
    server.commands = [[place.lychgate, "-f", conf, "-D", "FOREGROUND"]]
    told = subprocess.run([place.lychgate, "-t", "-f", conf], capture_output=True, text=True)
    if told.returncode != 0:
        print(f"lychgate has no part in the rows of `{variant}`: {told.stderr.strip().splitlines()[:1]}")
        return []
    return [server]


def apache(binary, place, variant, mpm="mpm_event", cgi="cgid", name="apache"):
    """Apache with one of its process models and one of its CGI modules; none if a module is missing."""
    modules = next(filter(os.path.isdir, MODULE_PLACES), "")
    wanted = [mpm, "authz_core", "unixd", "mime", "alias", "log_config", "rewrite", cgi, "proxy", "proxy_fcgi", "proxy_http"]
    wanted += ["ssl"] if variant == "tls" else []
    files = {module: f"{modules}/mod_{module}.so" for module in wanted}
    # Some are part of the program.
    files = {module: file for module, file in files.items() if os.path.exists(file)}
    if mpm not in files or cgi not in files:
        return []
    load = "".join(f"LoadModule {module}_module {file}\n" for module, file in files.items())
    server = Server(name, [], free_port(), {"static", "cgi", "htaccess", "proxy"}, variant, "apache")
    if mpm != "mpm_event":
        server.kinds = {"cgi"}
    before = write(
        f"{place.directory}/{server.label}.load", APACHE.format(load=load, dir=place.directory, label=server.label)
    )
    text = HTTPD + ("" if variant == "nolog" else HTTPD_LOG)
    behind = variant == "full" and mpm == "mpm_event"
    text += BEHIND if behind else ""
    text += HTTPD_TLS if variant == "tls" else ""
    conf = place.finish(server, text, terms="", behind=behind)
    server.commands = [[binary, "-C", f"Include {before}", "-f", conf, "-D", "FOREGROUND"]]
    return [server]


def apaches(binary, place, variant):
    found = apache(binary, place, variant)
    return found + (apache(binary, place, variant, "mpm_prefork", "cgi", "apache-prefork") if variant == "full" else [])


def nginx(binary, place, variant, name="nginx"):
    server = Server(name, [], free_port(), {"static", "proxy"}, variant, "nginx")
    log = "off" if variant == "nolog" else f"{place.directory}/{server.label}.access.log combined"
    tls = NGINX_TLS.format(dir=place.directory) if variant == "tls" else ""
    conf = place.finish(server, NGINX, log=log, tls=tls, connections=12288 if variant == "plain" else 4096)
    server.commands = [[binary, "-c", conf, "-p", place.directory, "-e", f"{place.directory}/{server.label}.error.log"]]
    return server


def nginxes(binary, place, variant):
    """nginx with fcgiwrap where there is one; and with `lychgate fcgiwrap`, for rows of its own."""
    directory, first = place.directory, nginx(binary, place, variant)
    if variant != "full":
        return [first]
    fcgiwrap = program(["fcgiwrap"])
    if fcgiwrap:
        # As `fcgiwrap -c 8` does it, but all of them our own children.
        given = applications.listener(f"{directory}/nginx.wrap.sock")
        first.beside += [([fcgiwrap], given)] * 8
        first.kinds |= {"cgi", "wrapped"}
    second = nginx(binary, Place(directory, place.origin, set(), None), variant, "nginx+lychgate")
    given = applications.listener(f"{directory}/{second.label}.wrap.sock")
    second.beside = [([place.lychgate, "fcgiwrap", "-c", "8", "-p", f"{directory}/cgi-bin"], given)]
    second.kinds = {"wrapped"}
    return [first, second]


def lighttpd(binary, place, variant):
    server = Server("lighttpd", [], free_port(), {"static", "cgi", "proxy"}, variant)
    text = LIGHTTPD + ("" if variant == "nolog" else LIGHTTPD_LOG) + (LIGHTTPD_TLS if variant == "tls" else "")
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    conf = place.finish(server, text, files=min(files, 32768), modules=', "mod_openssl"' if variant == "tls" else "")
    server.commands = [[binary, "-D", "-f", conf]]
    return [server] if answers(binary, "-tt", "-f", conf) else []


def h2o(binary, place, variant):
    server = Server("h2o", [], free_port(), {"static", "cgi", "proxy"}, variant)
    values = {"dir": place.directory, "label": server.label}
    log = "" if variant == "nolog" else "access-log: {dir}/{label}.access.log".format(**values)
    tls = H2O_TLS.format(**values) if variant == "tls" else ""
    cgi = os.path.join(os.path.dirname(os.path.dirname(binary)), "share/h2o/fastcgi-cgi")
    conf = place.finish(server, H2O + (H2O_BEHIND if variant == "full" else ""), log=log, tls=tls, cgi=cgi)
    server.commands = [[binary, "-c", conf]]
    return [server]


def answers(*command):
    return subprocess.run(command, capture_output=True).returncode == 0


MAKERS = {"nginx": nginxes, "apache": apaches, "lighttpd": lighttpd, "h2o": h2o}


def missing():
    """Debian's names of what could be measured besides."""
    found = [package for package, programs in PEERS.values() if not program(programs)]
    return found + ([] if program(["fcgiwrap"]) else ["fcgiwrap"])


def all_servers(place, variant, alone):
    """lychgate and, unless it is alone, every peer that is installed, in this configuration."""
    found = lychgate(place, variant)
    if not alone and variant not in ("one", "two"):
        for name, (_, programs) in PEERS.items():
            binary = program(programs)
            found += MAKERS[name](binary, place, variant) if binary else []
    return found
