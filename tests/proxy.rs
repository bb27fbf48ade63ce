//! Servers that others wrote, behind the server: Debian's Apache, Python's `http.server`, and `websockets`, with its client in
//! front. What they need is in `tests/run`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use libtest_mimic::{Completion, Failed, Trial};

use crate::beside::{self, Booted, FIELDS, Request};
use crate::fastcgi::{ask, boot, chunked, end, get};
use crate::programs::absent;
use crate::support::applications::Application;
use crate::support::server::{self, Server};
use crate::support::tls;
use crate::support::wire::{Reply, show};

const PYTHON: &str = "/usr/bin/python3";
const PATIENCE: Duration = Duration::from_secs(60);

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![
        Trial::ignorable_test("proxy::apache_answers_through_us_as_directly", || {
            through_us_as_directly(Over::Plain)
        }),
        Trial::ignorable_test("proxy::apache_answers_over_tls_through_us_as_directly", || {
            through_us_as_directly(Over::Tls)
        }),
        Trial::ignorable_test("proxy::nginx_knows_us_over_tls", nginx_knows_us),
        Trial::ignorable_test("proxy::pythons_http_server", pythons_http_server),
        Trial::ignorable_test("proxy::pythons_websockets", pythons_websockets),
    ]
}

/// What is asked of Apache directly and through us.
const REQUESTS: &str = r#"
GET /
HEAD /
GET /file.txt
GET /file.txt | Range: bytes=2-5
GET /file.txt | Range: bytes=2-5,7-8
GET /file.txt | Range: bytes=9999-
GET /file.txt | If-Modified-Since: Sat, 31 Dec 2022 00:00:00 GMT
GET /file.txt | If-None-Match: *
GET /file.txt | If-Match: "no"
GET /large
GET /sub
GET /sub/
GET /missing
GET /a%20b.txt
OPTIONS /file.txt
DELETE /file.txt
POST /cgi-bin/testapp/echo | Content-Type: text/plain | body=hello
GET /cgi-bin/testapp/bytes/100000
GET /cgi-bin/testapp/lines/3
GET /cgi-bin/testapp/exit/1
GET /moved
"#;

/// How Apache is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    Plain,
    Tls,
}

fn through_us_as_directly(over: Over) -> Result<Completion, Failed> {
    if !Path::new("/usr/sbin/apache2").exists() {
        return absent("apache2");
    }
    let (name, scheme) = match over {
        Over::Plain => ("apache-behind", "http"),
        Over::Tls => ("apache-behind-tls", "https"),
    };
    let root = server::fresh_root(name);
    let tls = tls::directory().display().to_string();
    let files = [
        ("htdocs/index.html", "<html>index</html>\n"),
        ("htdocs/file.txt", "0123456789\n"),
        ("htdocs/a b.txt", "with a space\n"),
        ("htdocs/sub/x.txt", "x\n"),
    ];
    for (name, content) in files {
        server::write(&root.join(name), content.as_bytes())?;
    }
    server::write(&root.join("htdocs/large"), &vec![b'x'; 1_000_000])?;
    let apps = server::bench().directory.join("apps");
    let mut behind = vec![
        format!("ScriptAlias /cgi-bin/ \"{}/\"", apps.display()),
        "Redirect /moved http://localhost/elsewhere".to_owned(),
        "<Directory />".to_owned(),
        "Options Indexes".to_owned(),
        "Require all granted".to_owned(),
        "</Directory>".to_owned(),
    ];
    if over == Over::Tls {
        behind.extend([
            "SSLEngine on".to_owned(),
            format!("SSLCertificateFile {tls}/server.pem"),
            format!("SSLCertificateKeyFile {tls}/server.key"),
        ]);
    }
    server::write_config(&root, &behind, "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    // Long enough ago for entity tags that stay as they are.
    beside::age(&root, SystemTime::now() - Duration::from_secs(100_000))?;
    let apache = Booted::new(&root, "apache")?;
    let lines = [
        format!("ProxyPass / {scheme}://{}/", apache.address),
        "ProxyPreserveHost On".to_owned(),
        "SSLProxyEngine on".to_owned(),
        format!("SSLProxyCACertificateFile {tls}/ca.pem"),
    ];
    server::write_config(&root, &lines, "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    let ours = Booted::new(&root, "lychgate")?;
    let mut faults = Vec::new();
    for (number, line) in REQUESTS.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        let mut request = Request::parse(line, number, true).ok_or("not a request")?;
        let through = ours.ask(&request)?;
        if over == Over::Tls {
            request.over = Some(String::new());
        }
        let direct = apache.ask(&request)?;
        let (here, there) = (told(&through, line), told(&direct, line));
        if here != there || through.body != direct.body {
            faults.push(format!("{line}: {here:#?} not {there:#?}"));
        }
    }
    ours.server.stop()?;
    apache.server.stop()?;
    if !faults.is_empty() {
        return Err(faults.join("\n").into());
    }
    let _left_for_the_end_of_the_run = fs::remove_dir_all(&root);
    Ok(Completion::Completed)
}

/// nginx, which asks who we are: it is shown our certificate, and finds the session of before again.
fn nginx_knows_us() -> Result<Completion, Failed> {
    const NGINX: &str = "/usr/sbin/nginx";
    if !Path::new(NGINX).exists() {
        return absent("nginx");
    }
    let root = server::fresh_root("nginx-behind");
    let (at, port) = (root.display(), server::free_port());
    let tls = tls::directory().display().to_string();
    let temporary: Vec<String> = ["client_body", "fastcgi", "proxy", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {at}/{name};"))
        .collect();
    let text = format!(
        "daemon off;\nworker_processes 1;\npid {at}/nginx.pid;\nerror_log {at}/nginx.log;\nevents {{ }}\nhttp {{\naccess_log off;\n{}\n\
         server {{\nlisten 127.0.0.1:{port} ssl;\nssl_certificate {tls}/server.pem;\nssl_certificate_key {tls}/server.key;\n\
         ssl_client_certificate {tls}/ca.pem;\nssl_verify_client on;\nssl_session_cache builtin:100;\n\
         location /who {{ return 200 \"$ssl_client_verify $ssl_client_s_dn $ssl_session_reused $ssl_server_name $ssl_protocol\"; }}\n\
         location / {{ root {at}/htdocs; }}\n}}\n}}\n",
        temporary.join("\n")
    );
    server::write(&root.join("nginx.conf"), text.as_bytes())?;
    server::write(&root.join("htdocs/large"), &vec![b'x'; 2_000_000])?;
    let key = |end: &str| fs::read(tls::directory().join(format!("client.{end}"))).map_err(|error| error.to_string());
    server::write(&root.join("own.pem"), &[key("key")?, key("pem")?].concat())?;
    server::set_mode(&root.join("own.pem"), 0o600)?;
    server::hand_over(&root, false)?;
    let mut command = server::program_at(Path::new(NGINX), &root, false, &[])?;
    let log = root.join("nginx.log");
    command
        .arg("-p")
        .arg(&root)
        .arg("-c")
        .arg(root.join("nginx.conf"))
        .arg("-e")
        .arg(log);
    let nginx = Server::boot_silent(&root, command, &format!("127.0.0.1:{port}"))?;
    let lines = [
        "SSLProxyEngine on".to_owned(),
        format!("SSLProxyCACertificateFile {tls}/ca.pem"),
        format!("SSLProxyMachineCertificateFile {at}/own.pem"),
        format!("ProxyPass / https://localhost:{port}/ disablereuse=on"),
    ];
    let server = boot(&root, &lines)?;
    let ann = "SUCCESS emailAddress=ann@example,CN=Ann,OU=Users,O=Tests";
    for (path, part) in [
        ("/who", format!("{ann} . localhost TLSv1.")),
        ("/who", format!("{ann} r localhost TLSv1.")),
        ("/large", "x".repeat(2_000_000)),
    ] {
        let body = ask(&server, &get(path))?;
        if !body.contains(&part) {
            let shown: String = body.chars().take(200).collect();
            return Err(format!("{path}: {shown}").into());
        }
    }
    nginx.stop()?;
    end(&root, server, &[])
}

/// Status and phrase, the fields that clients act upon, and who says to have answered. How long a script's answer is Apache
/// knows only if all of it came at once.
fn told(reply: &Reply, request: &str) -> Vec<String> {
    let mut told = vec![show(&reply.status_line)];
    let is_known = |name: &str| {
        let length = Some(&"Content-Length").filter(|_| !request.contains("/cgi-bin/"));
        FIELDS
            .iter()
            .chain(&["Server"])
            .chain(length)
            .any(|known| known.eq_ignore_ascii_case(name))
    };
    let lines = reply.fields.iter().map(|line| show(line));
    told.extend(lines.filter(|line| line.split(':').next().is_some_and(is_known)));
    told.sort();
    told
}

/// A server of HTTP/1.0 that closes each connection.
fn pythons_http_server() -> Result<Completion, Failed> {
    if !Path::new(PYTHON).exists() {
        return absent("python3");
    }
    let root = server::fresh_root("python-http");
    let script = r"import socketserver
from http.server import SimpleHTTPRequestHandler
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
class Handler(SimpleHTTPRequestHandler):
    def address_string(self): return 'somebody'
    def log_message(self, *args): pass
    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'sum %d' % sum(body))
Server('app.sock', Handler).serve_forever()
";
    server::write(&root.join("server.py"), script.as_bytes())?;
    server::write(&root.join("pages/page.html"), b"<html>a page</html>\n")?;
    let socket = root.join("app.sock");
    let url = format!("\"unix:{}|http://localhost/\"", socket.display());
    let lines = [
        format!("ProxyPass /py/ {url}"),
        "SetEnvIf Request_URI . proxy-sendcl".to_owned(),
    ];
    let server = boot(&root, &lines)?;
    let mut command = Command::new(PYTHON);
    command.arg("server.py");
    let _server_behind = Application::begin(command, &root, false, &socket)?;
    for (request, part) in [
        (get("/py/pages/page.html"), "<html>a page</html>\n"),
        (get("/py/pages/"), "page.html</a>"),
        (chunked("/py/x", &[b"ab", b"c"]), "sum 294"),
    ] {
        let body = ask(&server, &request)?;
        if !body.contains(part) {
            return Err(format!("`{body}` has no `{part}`").into());
        }
    }
    end(&root, server, &[])
}

/// Python's websockets on both sides: small and large messages, many at one time, pings, and the code of a close.
fn pythons_websockets() -> Result<Completion, Failed> {
    if !Path::new("/usr/lib/python3/dist-packages/websockets").exists() {
        return absent("python3-websockets");
    }
    let root = server::fresh_root("python-websockets");
    let script = r"import asyncio, os, websockets
async def echo(socket):
    async for message in socket:
        if message == 'end':
            await socket.close(4001, 'as you like')
        await socket.send(message)
async def main():
    os.umask(0o111)
    async with websockets.unix_serve(echo, 'app.sock', max_size=None):
        await asyncio.Future()
asyncio.run(main())
";
    server::write(&root.join("server.py"), script.as_bytes())?;
    let client = r"import asyncio, sys, websockets
url = sys.argv[1]
async def talk(n):
    async with websockets.connect(url, max_size=None, open_timeout=30, close_timeout=30) as socket:
        await socket.send('hello %d' % n)
        assert await socket.recv() == 'hello %d' % n
        large = bytes([n]) * 2000000
        async def send():
            for _ in range(4): await socket.send(large)
        sending = asyncio.ensure_future(send())
        for _ in range(4): assert await socket.recv() == large
        await sending
        await asyncio.wait_for(await socket.ping(), 30)
        await socket.send('end')
        try:
            while True: await socket.recv()
        except websockets.exceptions.ConnectionClosed as closed:
            assert closed.code == 4001, closed
async def main():
    await asyncio.gather(*(talk(n) for n in range(10)))
asyncio.run(main())
print('all of it')
";
    server::write(&root.join("client.py"), client.as_bytes())?;
    let socket = root.join("app.sock");
    let lines = [format!(
        "ProxyPass /live \"unix:{}|http://localhost/ws\" upgrade=websocket",
        socket.display()
    )];
    let server = boot(&root, &lines)?;
    let mut command = Command::new(PYTHON);
    command.arg("server.py");
    let _server_behind = Application::begin(command, &root, false, &socket)?;
    let mut command = Command::new(PYTHON);
    command
        .arg(root.join("client.py"))
        .arg(format!("ws://{}/live", server.listeners[0]));
    let output = server::run(&root, command, PATIENCE)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if said != "all of it\n" {
        return Err(format!("{said}{}", String::from_utf8_lossy(&output.stderr)).into());
    }
    end(&root, server, &[])
}
