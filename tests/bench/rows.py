"""What is measured: one row of the table each. Rows of one group take turns within a round, so that they can be compared."""

import os
import random

HELLO = b"hello, world\n"
FILES = 20_000


class Row:
    """Requests of one sort: what is asked for, over how many connections, and what must come."""

    def __init__(self, name, path, body, connections, **more):
        self.name, self.path, self.body, self.connections = name, path, body, connections
        # Requests a connection (0: no limit), and how many are sent at once.
        self.calls, self.depth = more.get("calls", 0), more.get("depth", 1)
        self.script, self.tls = more.get("script"), more.get("tls", False)
        # What a server must have for it, and in which of its configurations it is asked.
        self.kind = more.get("kind") or ("cgi" if self.script else "static")
        self.variant = more.get("variant") or ("tls" if self.tls else "full")
        # Whether only lychgate has it; whether there is a floor; a list of files that are asked for instead of one.
        self.ours, self.floor, self.listed = more.get("ours", False), more.get("floor", True), more.get("listed", False)
        self.group = more.get("group", name)
        # Long bodies are told in CPU seconds per GiB, too.
        self.per_gib = len(body) >= 1 << 20

    def expected(self, directory):
        """The file with the body that must come."""
        return f"{directory}/htdocs{self.path}" if self.kind in ("static", "htaccess") else f"{directory}/{self.name}.body"

    def length(self):
        """Bytes of a body, on an average."""
        return len(self.body) if not self.listed else sum(lengths()) // FILES


def letters(length):
    return (b"All work and no play makes Jack a dull boy.\n" * (length // 44 + 1))[:length]


def lengths():
    """The lengths of the files that are asked for at random: the same in every run."""
    numbers = random.Random(20)
    return [numbers.randint(1 << 10, 16 << 10) for _ in range(FILES)]


def listed_path(number):
    return f"/random/{number % 200}/{number}.txt"


def script(name, connections, place="cgi-bin", **more):
    """A row of a script of the same name."""
    file = f"hello-{more.pop('language', 'c')}.cgi"
    return Row(name, f"/{place}/{file}", HELLO, connections, script=file, **more)


K8 = letters(8192)

ROWS = [
    Row("static-8k", "/8k.txt", K8, 64, group="8k"),
    Row("static-8k-nolog", "/8k.txt", K8, 64, variant="nolog", floor=False, group="8k"),
    Row("static-8k-htaccess", "/htaccess/8k.txt", K8, 64, kind="htaccess", floor=False, group="8k"),
    Row("static-8k-wordpress", "/wp/wp-content/uploads/8k.txt", K8, 64, kind="htaccess", floor=False, group="8k"),
    Row("static-8k-1", "/8k.txt", K8, 1),
    Row("static-8k-16", "/8k.txt", K8, 16),
    Row("static-8k-256", "/8k.txt", K8, 256),
    Row("static-8k-1024", "/8k.txt", K8, 1024),
    Row("static-8k-calls4", "/8k.txt", K8, 64, calls=4),
    Row("static-8k-close", "/8k.txt", K8, 64, calls=1),
    Row("static-random", listed_path(0), letters(lengths()[0]), 64, listed=True, floor=False),
    Row("static-100", "/100.txt", letters(100), 64, group="100"),
    Row("static-100-deep", "/deep/er/100.txt", letters(100), 64, group="100", floor=False, kind="htaccess"),
    Row("static-100-htaccess", "/htaccess/es/100.txt", letters(100), 64, group="100", floor=False, kind="htaccess"),
    Row("pipelined-16", "/100.txt", letters(100), 64, depth=16, group="100", floor=False),
    Row("static-1m", "/1m.txt", letters(1 << 20), 16),
    Row("static-100m", "/100m.txt", letters(100 << 20), 4),
    script("cgi-c", 8, group="cgi"),
    script("cgi-c-basic", 8, "basic", ours=True, group="cgi", floor=False),
    script("cgi-c-loopback", 8, "loopback", ours=True, group="cgi", floor=False),
    script("cgi-c-tree", 8, "tree", ours=True, group="cgi", floor=False),
    script("cgi-c-1", 1, group="cgi-1"),
    script("cgi-c-1-basic", 1, "basic", ours=True, group="cgi-1", floor=False),
    script("cgi-sh", 8, language="sh"),
    script("cgi-perl", 8, language="perl"),
    Row("fastcgi-c", "/fcgi/hello", HELLO, 4, kind="fastcgi"),
    Row("fastcgi-c-1", "/fcgi/hello", HELLO, 1, kind="fastcgi"),
    Row("fastcgi-c-64", "/fcgi/hello", HELLO, 64, kind="fastcgi"),
    Row("fastcgi-64k", "/fcgi/64k", letters(65536), 4, kind="fastcgi"),
    Row("php-fpm", "/hello.php", HELLO, 4, kind="php"),
    Row("proxy-8k", "/proxy/8k.txt", K8, 64, kind="proxy", floor=False),
    # Scripts behind nginx: fcgiwrap(1), and `lychgate fcgiwrap`.
    script("wrapped-c", 8, kind="wrapped"),
    script("wrapped-sh", 8, language="sh", kind="wrapped"),
    Row("tls-8k", "/8k.txt", K8, 64, tls=True, floor=False),
    Row("tls-handshake", "/100.txt", letters(100), 16, calls=1, tls=True, floor=False),
    # One core and two; with two cores in all, the client has a share of one of them, so it must have little to do.
    script("cores-cgi-1", 8, ours=True, group="cores-cgi", variant="one"),
    script("cores-cgi-2", 8, ours=True, group="cores-cgi", variant="two"),
    Row("cores-8k-1", "/8k.txt", K8, 64, ours=True, floor=False, group="cores-8k", variant="one"),
    Row("cores-8k-2", "/8k.txt", K8, 64, ours=True, floor=False, group="cores-8k", variant="two"),
]

# Rows that are no loads: see memory.py, instructions.py and sweep.py.
OTHERS = ["start", "memory", "idle", "instructions", "sweep"]

# WordPress' own rules, behind those that its guides to security and multisite add: twenty in all.
WORDPRESS = """\
RewriteEngine On
RewriteBase /wp/
RewriteRule (^|/)\\.(git|svn|hg|env) - [F,L]
RewriteRule ^(readme\\.html|license\\.txt|wp-config\\.php|xmlrpc\\.php)$ - [F,L]
RewriteRule ^wp-content/debug\\.log$ - [F,L]
RewriteRule ^wp-content/uploads/.*\\.(php|phtml|phar)$ - [F,L]
RewriteRule ^wp-content/(backups?|cache/private)/ - [F,L]
RewriteRule ^wp-admin/includes/ - [F,L]
RewriteRule !^wp-includes/ - [S=3]
RewriteRule ^wp-includes/[^/]+\\.php$ - [F,L]
RewriteRule ^wp-includes/js/tinymce/langs/.+\\.php - [F,L]
RewriteRule ^wp-includes/theme-compat/ - [F,L]
RewriteCond %{QUERY_STRING} (base64_encode|GLOBALS|_REQUEST)(=|\\[|%) [NC,OR]
RewriteCond %{QUERY_STRING} (<|%3C).*script.*(>|%3E) [NC]
RewriteRule ^ - [F,L]
RewriteCond %{HTTP_USER_AGENT} (libwww-perl|sqlmap|nikto|masscan) [NC]
RewriteRule ^ - [F,L]
RewriteCond %{REQUEST_METHOD} ^(TRACE|TRACK)$
RewriteRule ^ - [F,L]
RewriteRule ^author/admin/?$ /wp/ [R=301,L]
RewriteRule ^feed/rss/?$ /wp/feed/ [R=301,L]
RewriteRule ^index\\.php$ - [L]
RewriteRule ^([_0-9a-zA-Z-]+/)?files/(.+) wp-includes/ms-files.php?file=$2 [L]
RewriteRule ^([_0-9a-zA-Z-]+/)?wp-admin$ $1wp-admin/ [R=301,L]
RewriteCond %{REQUEST_FILENAME} !-f
RewriteCond %{REQUEST_FILENAME} !-d
RewriteRule . /wp/index.php [L]
RewriteRule ^wp-sitemap\\.xml$ index.php?sitemap=index [L]
"""


def chosen(words):
    """The names of the rows that are asked for: by name, or by how they begin; all without a word."""
    names = [row.name for row in ROWS] + OTHERS
    if not words:
        return names
    found = set()
    for word in words.split(","):
        fitting = {word} if word in names else {name for name in names if name.startswith(word)}
        if not fitting:
            raise SystemExit(f"tests/bench/run: there is no row `{word}`; --list names them")
        found |= fitting
    return [name for name in names if name in found]


def lay_out(directory, some):
    """The files that these rows ask for."""
    for row in some:
        if row.kind not in ("static", "htaccess") or os.path.exists(f"{directory}/htdocs{row.path}"):
            continue
        if row.listed:
            lay_out_listed(directory)
            continue
        os.makedirs(os.path.dirname(f"{directory}/htdocs{row.path}"), exist_ok=True)
        with open(f"{directory}/htdocs{row.path}", "wb") as file:
            file.write(row.body)
    for row in some:
        if not os.path.exists(row.expected(directory)):
            with open(row.expected(directory), "wb") as file:
                file.write(row.body)
    if os.path.isdir(f"{directory}/htdocs/wp"):
        with open(f"{directory}/htdocs/wp/.htaccess", "w") as file:
            file.write(WORDPRESS)


def lay_out_listed(directory):
    for number in range(200):
        os.makedirs(f"{directory}/htdocs/random/{number}")
    # Each is a beginning of this.
    text = letters(16 << 10)
    with open(f"{directory}/random.body", "wb") as file:
        file.write(text)
    with open(f"{directory}/random.list", "w") as listing:
        for number, length in enumerate(lengths()):
            with open(f"{directory}/htdocs{listed_path(number)}", "wb") as file:
                file.write(text[:length])
            listing.write(f"{listed_path(number)} {length}\n")
