//! An SCGI application that others wrote, behind the server: Python's flup. What it needs is in `tests/run`.

use std::path::Path;
use std::process::Command;

use libtest_mimic::{Completion, Failed, Trial};

use crate::fastcgi::{ask, boot, chunked, end, get, post};
use crate::programs::absent;
use crate::support::applications::Application;
use crate::support::server;

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![Trial::ignorable_test("scgi::pythons_application", pythons_application)]
}

/// WSGI over SCGI.
fn pythons_application() -> Result<Completion, Failed> {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python");
    if !library.join("flup").exists() {
        return absent("flup in target/python");
    }
    let root = server::fresh_root("python-scgi");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(&library)
        .arg(root.join("python"))
        .status()?;
    assert!(copied.success(), "cp: {copied}");
    let script = r"import sys
sys.path.insert(0, 'python')
from flup.server.scgi import WSGIServer
def app(environ, start_response):
    length = environ['CONTENT_LENGTH']
    body = environ['wsgi.input'].read(int(length))
    start_response('200 OK', [('Content-Type', 'text/plain')])
    line = 'script=%s path=%s query=%s length=%s sum=%d\n'
    told = (environ['SCRIPT_NAME'], environ['PATH_INFO'], environ['QUERY_STRING'], length, sum(body))
    return [(line % told).encode()]
WSGIServer(app, bindAddress='app.sock', umask=0o111).run()
";
    server::write(&root.join("application.py"), script.as_bytes())?;
    let socket = root.join("app.sock");
    let lines = [
        "SetEnvIf Request_URI ^/info proxy-scgi-pathinfo".to_owned(),
        format!("ProxyPass /app/ \"unix:{}|scgi://localhost/\"", socket.display()),
        format!("ProxyPass /info \"unix:{}|scgi://localhost\"", socket.display()),
    ];
    let server = boot(&root, &lines)?;
    let mut command = Command::new("python3");
    command.arg("application.py");
    let _application = Application::begin(command, &root, false, &socket)?;
    for (request, expected) in [
        (get("/app/x?q=1"), "script=/app/x path= query=q=1 length=0 sum=0\n"),
        (
            get("/info/a%20b?q=1"),
            "script=/info path=/a b query=q=1 length=0 sum=0\n",
        ),
        (
            post("/app/x?q=1", &vec![b'\x01'; 300_000]),
            "script=/app/x path= query=q=1 length=300000 sum=300000\n",
        ),
        (
            chunked("/app/x?q=1", &[b"ab", b"c"]),
            "script=/app/x path= query=q=1 length=3 sum=294\n",
        ),
    ] {
        let body = ask(&server, &request)?;
        if body != expected {
            return Err(format!("`{body}` is not `{expected}`").into());
        }
    }
    end(&root, server, &[])
}
