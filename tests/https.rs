//! Sites over TLS as their clients ask for them: Debian's `default-ssl` and the `httpd-ssl.conf` of Apache's authors, by
//! OpenSSL, curl and a browser.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use libtest_mimic::{Completion, Failed, Trial};

use crate::site::browser::{browser, shown_at};
use crate::support::debian::{Tree, run, unpacked};
use crate::support::server::{self, Server, bench, free_port, set_mode};
use crate::support::tls;
use crate::upstream;

mod hostile;
mod judged;

const PATIENCE: Duration = Duration::from_secs(60);

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let https = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("https::{name}"), move || test().map_err(Failed::from))
    };
    let mut trials = vec![
        https("openssl_agrees_with_default_ssl", openssl_agrees_with_default_ssl),
        https("curl_is_served_by_default_ssl", curl_is_served_by_default_ssl),
        https("httpd_ssl_conf_serves", httpd_ssl_conf_serves),
        Trial::ignorable_test("https::a_browser_is_served_by_default_ssl", a_browser_is_served),
    ];
    trials.extend(hostile::trials());
    trials.extend(judged::trials());
    trials
}

/// A tree of Debian's with `a2enmod ssl` and `a2ensite default-ssl`, and what it serves on the ports of this test.
struct Debian {
    tree: Tree,
    server: Server,
    plain: String,
    secure: String,
}

/// A script that tells what it was told of TLS.
const VARIABLES: &str = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nenv | grep -E '^(SSL_|HTTPS|SERVER_PORT|REQUEST_SCHEME)' | sort\n";

impl Debian {
    fn boot(name: &str) -> Result<Debian, String> {
        let tree = Tree::configuration(name)?;
        tree.modules(&["ssl", "cgi"])?;
        tree.sites(&["default-ssl"])?;
        let second = "<VirtualHost *:443>\nServerName second.example\nDocumentRoot /var/www/second\nSSLEngine on\n\
            SSLCertificateFile TLS/ecdsa.pem\nSSLCertificateKeyFile TLS/ecdsa.key\n</VirtualHost>\n";
        let second = second.replace("TLS", &tls::directory().to_string_lossy());
        server::write(
            &tree.root.join("etc/apache2/sites-enabled/second.conf"),
            second.as_bytes(),
        )?;
        server::write(&tree.root.join("var/www/second/index.html"), b"the second\n")?;
        // What the start page shows.
        server::write(
            &tree.root.join("usr/share/apache2/icons/openlogo-75.png"),
            b"no picture\n",
        )?;
        let script = tree.root.join("usr/lib/cgi-bin/variables");
        server::write(&script, VARIABLES.as_bytes())?;
        set_mode(&script, 0o755)?;
        snakeoil(
            &tree.root,
            "etc/ssl/certs/ssl-cert-snakeoil.pem",
            "etc/ssl/private/ssl-cert-snakeoil.key",
        )?;
        tree.settle_here()?;
        let (plain, secure) = (free_port(), free_port());
        for file in [
            "ports.conf",
            "sites-available/000-default.conf",
            "sites-available/default-ssl.conf",
        ] {
            tree.edit(&format!("etc/apache2/{file}"), |text| with_ports(text, plain, secure))?;
        }
        tree.edit("etc/apache2/sites-enabled/second.conf", |text| {
            with_ports(text, plain, secure)
        })?;
        let server = boot(&tree)?;
        let [plain, secure] = [plain, secure].map(|port| format!("127.0.0.1:{port}"));
        Ok(Debian {
            tree,
            server,
            plain,
            secure,
        })
    }

    fn certificate(&self) -> PathBuf {
        self.tree.root.join("etc/ssl/certs/ssl-cert-snakeoil.pem")
    }

    /// What `openssl s_client` says, that believes in the certificate; it asks for `/` by HTTP/1.0.
    fn openssl(&self, words: &[&str]) -> Result<String, String> {
        openssl(&self.tree.root, &self.secure, &self.certificate(), words)
    }

    /// curl's output, by the name that the certificate has.
    fn curl(&self, words: &[&str], url: &str) -> Result<Output, String> {
        curl(&self.tree.root, &self.certificate(), words, url)
    }

    fn end(self) -> Result<(), String> {
        self.server.settle(PATIENCE)?;
        self.server.stop()?;
        let log = fs::read_to_string(self.tree.root.join("var/log/apache2/error.log")).unwrap_or_default();
        let odd: Vec<&str> = log
            .lines()
            .filter(|line| line.contains(":error]") || line.contains(":crit]"))
            .collect();
        let _left_for_the_end_of_the_run = fs::remove_dir_all(&self.tree.root);
        if odd.is_empty() {
            Ok(())
        } else {
            Err(format!("{odd:#?}"))
        }
    }
}

fn with_ports(text: &str, plain: u16, secure: u16) -> String {
    let text = text.replace("Listen 80\n", &format!("Listen 127.0.0.1:{plain}\n"));
    let text = text.replace("Listen 443\n", &format!("Listen 127.0.0.1:{secure}\n"));
    text.replace(":80>", &format!(":{plain}>"))
        .replace(":443", &format!(":{secure}"))
}

/// What ssl-cert's `make-ssl-cert generate-default-snakeoil` does, for the name `localhost`.
fn snakeoil(root: &Path, certificate: &str, key: &str) -> Result<(), String> {
    let template = unpacked()?.join("usr/share/ssl-cert/ssleay.cnf");
    let text = fs::read_to_string(&template).map_err(|error| format!("{}: {error}", template.display()))?;
    let text = text
        .replace("@HostName@", "localhost")
        .replace("@SubjectAltName@", "DNS:localhost");
    let [settings, certificate, key] = ["snakeoil.cnf", certificate, key].map(|file| root.join(file));
    server::write(&settings, text.as_bytes())?;
    for file in [&certificate, &key] {
        let directory = file.parent().unwrap_or(root);
        fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    run(Command::new("openssl")
        .args(["req", "-new", "-x509", "-days", "3650", "-nodes", "-sha256", "-config"])
        .arg(settings)
        .arg("-out")
        .arg(certificate)
        .arg("-keyout")
        .arg(&key))?;
    set_mode(&key, 0o640)
}

/// Starts lychgate with a tree.
fn boot(tree: &Tree) -> Result<Server, String> {
    for part in ["var/log/apache2", "var/run/apache2", "var/lock/apache2", "ours"] {
        let directory = tree.root.join(part);
        fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    let mut command = Command::new(&bench().program);
    command
        .arg("-f")
        .arg(tree.file())
        .args(["-D", "FOREGROUND"])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null());
    Server::boot_as(&tree.root.join("ours"), command, "")
}

/// What `openssl s_client` says of a server, with the answer to `GET /`.
fn openssl(root: &Path, address: &str, certificate: &Path, words: &[&str]) -> Result<String, String> {
    let asked = root.join("asked");
    // A name in the handshake wants one in the request.
    let named = words.iter().skip_while(|word| **word != "-servername").nth(1);
    let request = format!("GET / HTTP/1.0\r\nHost: {}\r\n\r\n", named.unwrap_or(&"localhost"));
    server::write(&asked, request.as_bytes())?;
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-ign_eof", "-connect", address, "-CAfile"])
        .arg(certificate)
        .args(words)
        .stdin(File::open(asked).map_err(|error| error.to_string())?);
    let output = server::run(root, command, PATIENCE)?;
    Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn curl(root: &Path, certificate: &Path, words: &[&str], url: &str) -> Result<Output, String> {
    let mut command = Command::new("curl");
    // The address is the loopback's of IPv4, whatever the system says of the name.
    command
        .args(["-q", "-sS", "--ipv4", "--noproxy", "*", "--cacert"])
        .arg(certificate);
    command.args(words).arg(url);
    server::run(root, command, PATIENCE)
}

/// Each of these is in the text.
fn has(text: &str, wanted: &[&str]) -> Result<(), String> {
    match wanted.iter().find(|part| !text.contains(**part)) {
        Some(part) => Err(format!("no `{part}` in: {text}")),
        None => Ok(()),
    }
}

/// Chain, protocol, name, stapling and the protocol within.
fn openssl_agrees_with_default_ssl() -> Result<(), String> {
    let debian = Debian::boot("https-openssl")?;
    let page = "Apache2 Debian Default Page";
    let agreed = [
        "Verify return code: 0 (ok)",
        "s:CN = localhost",
        "Secure Renegotiation IS supported",
        page,
    ];
    let told = debian.openssl(&["-servername", "localhost", "-status", "-alpn", "h2,http/1.1"])?;
    has(&told, &agreed[..2])?;
    has(
        &told,
        &[
            "New, TLSv1.3, ",
            "OCSP response: no response sent",
            "ALPN protocol: http/1.1",
            page,
        ],
    )?;
    let told = debian.openssl(&["-tls1_2"])?;
    has(&told, &agreed)?;
    has(
        &told,
        &["Protocol  : TLSv1.2", "Cipher    : ECDHE-RSA-", "No ALPN negotiated"],
    )?;
    for old in ["-tls1", "-tls1_1"] {
        // At its usual level OpenSSL would not even ask.
        let told = debian.openssl(&[old, "-cipher", "ALL@SECLEVEL=0"])?;
        has(&told, &["SSL alert number ", "Cipher is (NONE)"])?;
    }
    // As Apache, it speaks what it can, whatever else is asked for.
    has(&debian.openssl(&["-alpn", "h2"])?, &["\nHTTP/1.1 200 OK\r\n", page])?;
    // Debian's ssl.conf has no tickets, and a cache.
    for version in ["-tls1_2", "-tls1_3"] {
        let session = debian.tree.root.join(version).to_string_lossy().into_owned();
        has(&debian.openssl(&[version, "-sess_out", &session])?, &["\nNew, ", page])?;
        has(
            &debian.openssl(&[version, "-sess_in", &session])?,
            &["\nReused, ", page],
        )?;
    }
    let told = debian.openssl(&["-servername", "second.example"])?;
    has(&told, &["issuer=O = Tests, ", "the second\n"])?;
    debian.end()
}

/// Pages, scripts with their variables, large and early bodies, plain HTTP on the port of TLS.
fn curl_is_served_by_default_ssl() -> Result<(), String> {
    let debian = Debian::boot("https-curl")?;
    let url = |path: &str| format!("https://{}{path}", debian.secure.replace("127.0.0.1", "localhost"));
    let asked = |words: &[&str], url: &str| -> Result<String, String> {
        let output = debian.curl(words, url)?;
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        if output.status.success() { Ok(text) } else { Err(text) }
    };
    has(
        &asked(&["-i"], &url("/"))?,
        &["HTTP/1.1 200 OK\r\n", "Apache2 Debian Default Page"],
    )?;
    let port = format!("SERVER_PORT={}\n", debian.secure.rsplit(':').next().unwrap_or_default());
    let variables = [
        "HTTPS=on\n",
        "REQUEST_SCHEME=https\n",
        &port,
        "SSL_CIPHER=TLS_AES_256_GCM_SHA384\n",
        "SSL_CLIENT_VERIFY=NONE\n",
        "SSL_PROTOCOL=TLSv1.3\n",
        "SSL_SERVER_S_DN_CN=localhost\n",
        "SSL_TLS_SNI=localhost\n",
        "SSL_VERSION_INTERFACE=mod_ssl/2.4.",
    ];
    has(&asked(&[], &url("/cgi-bin/variables"))?, &variables)?;
    has(
        &asked(&["--tls-max", "1.2"], &url("/cgi-bin/variables"))?,
        &["SSL_PROTOCOL=TLSv1.2\n", "SSL_CIPHER=ECDHE-RSA-AES"],
    )?;
    let upload = debian.tree.root.join("upload");
    server::write(&upload, &vec![b'u'; 3 << 20])?;
    let upload = format!("@{}", upload.display());
    has(
        &asked(&["--data-binary", &upload], &url("/cgi-bin/variables"))?,
        &variables[..1],
    )?;
    has(
        &asked(&["-i"], &format!("http://{}/", debian.plain))?,
        &["HTTP/1.1 200 OK\r\n"],
    )?;
    let told = asked(&["-i"], &format!("http://{}/", debian.secure))?;
    has(
        &told,
        &[
            "HTTP/1.1 400 Bad Request\r\n",
            "You're speaking plain HTTP to an SSL-enabled server port.",
        ],
    )?;
    // Its own trust does not reach to what it has not been told of, nor to another name.
    let other = debian.curl(&[], &format!("https://{}/", debian.secure))?;
    if other.status.code() != Some(60) {
        return Err(format!("{other:?}"));
    }
    debian.end()
}

fn a_browser_is_served() -> Result<Completion, Failed> {
    let Some(browser) = browser() else {
        return Ok(Completion::ignored_with("no browser is installed"));
    };
    let debian = Debian::boot("https-browser")?;
    let pinned = Command::new("sh")
        .args(["-c", "openssl x509 -in \"$0\" -noout -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64"])
        .arg(debian.certificate())
        .output()?;
    // It believes in this one key, and in no other that it does not know.
    let key = format!(
        "--ignore-certificate-errors-spki-list={}",
        String::from_utf8_lossy(&pinned.stdout).trim()
    );
    let url = |path: &str| format!("https://{}{path}", debian.secure.replace("127.0.0.1", "localhost"));
    // Nothing is in its cache yet.
    match shown_at(browser, &debian.tree.root, &url("/"), &[]) {
        Err(said) if said.contains("ERR_CERT_AUTHORITY_INVALID") => {}
        other => return Err(format!("the browser believes in any certificate: {other:?}").into()),
    }
    let page = shown_at(browser, &debian.tree.root, &url("/"), &[&key])?;
    has(&page, &["<title>Apache2 Debian Default Page: It works</title>"])?;
    let page = shown_at(browser, &debian.tree.root, &url("/cgi-bin/variables"), &[&key])?;
    has(
        &page,
        &["HTTPS=on\n", "SSL_PROTOCOL=TLSv1.3\n", "SSL_TLS_SNI=localhost\n"],
    )?;
    debian.end()?;
    Ok(Completion::Completed)
}

/// Upstream's example with a certificate in its place; sessions are taken up again.
fn httpd_ssl_conf_serves() -> Result<(), String> {
    let tree = upstream::settled(Tree::configuration("https-upstream")?)?;
    upstream::include(&tree, upstream::TLS.0)?;
    snakeoil(&tree.root, "etc/apache2/server.crt", "etc/apache2/server.key")?;
    let (plain, secure) = (free_port(), free_port());
    for file in ["apache2.conf", "extra/httpd-ssl.conf"] {
        tree.edit(&format!("etc/apache2/{file}"), |text| {
            let text = with_ports(text, plain, secure);
            let pid = format!("PidFile {}/var/run/apache2/httpd.pid\n", tree.root.display());
            if file == "apache2.conf" { text + &pid } else { text }
        })?;
    }
    let script = tree.root.join("usr/lib/cgi-bin/variables");
    server::write(&script, VARIABLES.as_bytes())?;
    set_mode(&script, 0o755)?;
    let server = boot(&tree)?;
    let certificate = tree.root.join("etc/apache2/server.crt");
    let address = format!("127.0.0.1:{secure}");
    for version in ["-tls1_2", "-tls1_3"] {
        let session = tree.root.join(version).to_string_lossy().into_owned();
        let told = openssl(&tree.root, &address, &certificate, &[version, "-sess_out", &session])?;
        has(&told, &["Verify return code: 0 (ok)", "\nNew, ", "It works!"])?;
        let told = openssl(&tree.root, &address, &certificate, &[version, "-sess_in", &session])?;
        has(&told, &["\nReused, ", "It works!"])?;
    }
    let url = format!("https://localhost:{secure}/cgi-bin/variables");
    let output = curl(&tree.root, &certificate, &[], &url)?;
    has(
        &String::from_utf8_lossy(&output.stdout),
        &["HTTPS=on\n", "SSL_PROTOCOL=TLSv1.3\n"],
    )?;
    server.settle(PATIENCE)?;
    server.stop()?;
    let log = tree.root.join("var/log/apache2/ssl_request_log");
    let log = fs::read_to_string(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    has(
        &log,
        &[
            "127.0.0.1 TLSv1.2 ECDHE-",
            "127.0.0.1 TLSv1.3 TLS_AES_256_GCM_SHA384 \"GET / HTTP/1.0\" ",
        ],
    )?;
    let _left_for_the_end_of_the_run = fs::remove_dir_all(&tree.root);
    Ok(())
}
