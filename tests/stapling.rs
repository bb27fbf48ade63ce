//! Answers of OCSP that go with certificates: what becomes of them with a responder that answers well, badly, or not at all.
//! `openssl` makes the answers and is the client.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use libtest_mimic::{Failed, Trial};

use crate::support::server::{self, Server};
use crate::support::site::{done, end, said};
use crate::support::tls;

const PATIENCE: Duration = Duration::from_secs(60);

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let stapling = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("stapling::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        stapling("an_answer_follows_its_responder", an_answer_follows_its_responder),
        stapling("a_bad_answer_is_none", a_bad_answer_is_none),
        stapling(
            "an_answer_that_is_over_is_not_shown",
            an_answer_that_is_over_is_not_shown,
        ),
        stapling("a_reload_hands_the_answer_on", a_reload_hands_the_answer_on),
        stapling(
            "the_certificate_names_the_responder",
            the_certificate_names_the_responder,
        ),
    ]
}

/// What a responder does.
#[derive(Clone, Debug)]
enum Manner {
    /// It has `openssl ocsp` answer: the state in its index, who signs, and more arguments.
    Answers(&'static str, &'static str, &'static [&'static str]),
    /// It says this.
    Says(Vec<u8>),
    /// It closes the connection.
    Closes,
    /// It says nothing until its manner is another one.
    IsSilent,
}

const GOOD: Manner = Manner::Answers("V", "ca", &["-ndays", "7"]);
const REVOKED: Manner = Manner::Answers("R", "responder", &["-ndays", "7"]);

/// A responder on a port of its own, which ends with the test.
struct Responder {
    port: u16,
    state: Arc<Mutex<(Manner, u32)>>,
}

impl Responder {
    fn start(root: &Path, certificate: &Path, manner: Manner) -> Result<Responder, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
        let port = listener.local_addr().map_err(|e| e.to_string())?.port();
        let state = Arc::new(Mutex::new((manner, 0)));
        let (seen, root, certificate) = (Arc::downgrade(&state), root.to_owned(), certificate.to_owned());
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let (Some(state), Ok(stream)) = (seen.upgrade(), stream) else {
                    return;
                };
                let directory = root.join(format!("asked.{number}"));
                let certificate = certificate.clone();
                // One that is silent is not to keep the others waiting.
                std::thread::spawn(move || {
                    // A server that has enough closes.
                    let _ = answer(stream, &state, &directory, &certificate);
                });
            }
        });
        Ok(Responder { port, state })
    }

    fn is_now(&self, manner: Manner) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0 = manner;
    }

    fn was_asked(&self) -> u32 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

fn answer(stream: TcpStream, state: &Mutex<(Manner, u32)>, directory: &Path, certificate: &Path) -> Result<(), String> {
    let told = |e: std::io::Error| e.to_string();
    let mut reader = BufReader::new(stream.try_clone().map_err(told)?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).map_err(told)?;
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim().parse().map_err(|_| line.clone())?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut question = vec![0; length];
    reader.read_exact(&mut question).map_err(told)?;
    let manner = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.1 += 1;
        state.0.clone()
    };
    let body = match manner {
        Manner::Answers(kind, signer, more) => {
            fs::create_dir(directory).map_err(told)?;
            openssl_answer(directory, &question, certificate, kind, signer, more)?
        }
        Manner::Says(bytes) => bytes,
        Manner::Closes => return Ok(()),
        Manner::IsSilent => {
            // Until the client has had enough.
            let _end = reader.read(&mut [0]);
            return Ok(());
        }
    };
    let head = format!(
        "HTTP/1.0 200 OK\r\nContent-Type: application/ocsp-response\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = stream;
    stream.write_all(&[head.as_bytes(), &body].concat()).map_err(told)
}

fn openssl_answer(
    directory: &Path,
    question: &[u8],
    certificate: &Path,
    kind: &str,
    signer: &str,
    more: &[&str],
) -> Result<Vec<u8>, String> {
    let serial = text(openssl(&["x509", "-noout", "-serial", "-in"]).arg(certificate))?;
    let serial = serial.trim().strip_prefix("serial=").ok_or("no serial number")?;
    let line = match kind {
        "R" => format!("R\t21200101000000Z\t200101000000Z\t{serial}\tunknown\t/CN=x\n"),
        "V" => format!("V\t21200101000000Z\t\t{serial}\tunknown\t/CN=x\n"),
        _ => "V\t21200101000000Z\t\t01\tunknown\t/CN=x\n".to_owned(),
    };
    let file = |name: &str| directory.join(name);
    server::write(&file("index"), line.as_bytes())?;
    server::write(&file("question"), question)?;
    let certificates = tls::directory();
    let mut command = openssl(&["ocsp", "-no_nonce", "-index"]);
    command.arg(file("index")).arg("-CA").arg(certificates.join("ca.pem"));
    command.arg("-rsigner").arg(certificates.join(format!("{signer}.pem")));
    command.arg("-rkey").arg(certificates.join(format!("{signer}.key")));
    command
        .arg("-reqin")
        .arg(file("question"))
        .arg("-respout")
        .arg(file("answer"))
        .args(more);
    text(&mut command)?;
    fs::read(file("answer")).map_err(|e| e.to_string())
}

fn openssl(arguments: &[&str]) -> Command {
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::null());
    command
}

/// What a program says; an error is its own.
fn text(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|e| format!("openssl: {e}"))?;
    done(&output)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The site's directory, with a certificate of this name.
fn prepared(name: &str) -> Result<PathBuf, String> {
    let root = server::fresh_root(name);
    for kind in ["pem", "key"] {
        let from = tls::directory().join(format!("server.{kind}"));
        let bytes = fs::read(from).map_err(|e| e.to_string())?;
        server::write(&root.join(format!("site.{kind}")), &bytes)?;
        server::set_mode(&root.join(format!("site.{kind}")), 0o600)?;
    }
    server::write(&root.join("htdocs/index.html"), b"hello\n")?;
    Ok(root)
}

fn boot(root: &Path, lines: &[String]) -> Result<Server, String> {
    let mut all: Vec<String> = [
        "SSLEngine on",
        "SSLCertificateFile site.pem",
        "SSLCertificateKeyFile site.key",
        "SSLUseStapling on",
        "ServerThreads 2",
        "LogLevel info",
    ]
    .map(String::from)
    .to_vec();
    all.push(format!("SSLCertificateChainFile {}/ca.pem", tls::directory().display()));
    all.extend(lines.iter().cloned());
    server::write_config(root, &all, &format!("127.0.0.1:{}", server::free_port()))?;
    server::hand_over(root, false)?;
    Server::boot(root, server::program(root, false, &[])?, &[], "")
}

/// What `openssl s_client` says of the answer beside the certificate: `good`, `revoked` or `none`.
fn shown(server: &Server, version: &str) -> Result<&'static str, String> {
    let mut command = openssl(&["s_client", "-status", "-connect", &server.listeners[0], version]);
    let Output { stdout, .. } = command.output().map_err(|e| format!("openssl: {e}"))?;
    let said = String::from_utf8_lossy(&stdout);
    for (words, found) in [
        ("OCSP response: no response sent", "none"),
        ("Cert Status: good", "good"),
        ("Cert Status: revoked", "revoked"),
    ] {
        if said.contains(words) && said.contains("Server certificate") {
            return Ok(found);
        }
    }
    Err(format!("openssl says {said}"))
}

fn shows(server: &Server, expected: &str) -> Result<(), String> {
    for version in ["-tls1_2", "-tls1_3"] {
        server::poll(PATIENCE, || match shown(server, version)? {
            found if found == expected => Ok(()),
            found => Err(format!("{version}: {found} is shown, not {expected}")),
        })?;
    }
    Ok(())
}

fn forced(responder: &Responder) -> Vec<String> {
    vec![
        format!("SSLStaplingForceURL http://127.0.0.1:{}/ocsp", responder.port),
        "SSLStaplingResponderTimeout 1".to_owned(),
        "SSLStaplingErrorCacheTimeout 1".to_owned(),
    ]
}

fn often(responder: &Responder) -> Vec<String> {
    let mut lines = forced(responder);
    lines.push("SSLStaplingStandardCacheTimeout 1".to_owned());
    lines
}

fn an_answer_follows_its_responder() -> Result<(), String> {
    let root = prepared("stapling-follows")?;
    let responder = Responder::start(&root, &root.join("site.pem"), Manner::Closes)?;
    let server = boot(&root, &often(&responder))?;
    said(&root, "it closed the connection before its answer was whole")?;
    shows(&server, "none")?;
    responder.is_now(GOOD);
    shows(&server, "good")?;
    responder.is_now(REVOKED);
    shows(&server, "revoked")?;
    said(&root, "the certificate is revoked; that is sent along until")?;
    // An answer stays while it is good, whatever comes behind it; nobody waits for a responder.
    for (manner, told) in [
        (
            Manner::IsSilent,
            "it did not answer within 1 seconds (SSLStaplingResponderTimeout)",
        ),
        (Manner::Says(b"garbage".to_vec()), "what it said is no answer of OCSP"),
    ] {
        responder.is_now(manner);
        shows(&server, "revoked")?;
        said(&root, told)?;
        shows(&server, "revoked")?;
    }
    end(&root, server)
}

fn a_bad_answer_is_none() -> Result<(), String> {
    let root = prepared("stapling-bad")?;
    let responder = Responder::start(&root, &root.join("site.pem"), Manner::Closes)?;
    let server = boot(&root, &often(&responder))?;
    for (manner, told) in [
        (
            Manner::Answers("V", "ecdsa", &["-ndays", "7"]),
            "its answer is not signed by the certificate's issuer",
        ),
        (
            Manner::Answers("U", "ca", &["-ndays", "7"]),
            "it knows nothing of the certificate",
        ),
        (
            Manner::Says(vec![0x30, 3, 10, 1, 3]),
            "it should be asked later (tryLater)",
        ),
        (
            Manner::Says(vec![0x30; 70_000]),
            "its answer has 70000 bytes, more than 65536",
        ),
        (Manner::Says(Vec::new()), "what it said is no answer of OCSP"),
    ] {
        responder.is_now(manner);
        said(&root, told)?;
        shows(&server, "none")?;
    }
    end(&root, server)
}

fn an_answer_that_is_over_is_not_shown() -> Result<(), String> {
    let root = prepared("stapling-over")?;
    // It does not say how long it is good, and so is good as long as SSLStaplingStandardCacheTimeout says.
    let endless = Manner::Answers("V", "ca", &[]);
    let responder = Responder::start(&root, &root.join("site.pem"), endless)?;
    let mut lines = forced(&responder);
    lines.push("SSLStaplingStandardCacheTimeout 4".to_owned());
    let server = boot(&root, &lines)?;
    server::poll(PATIENCE, || match shown(&server, "-tls1_3")? {
        "good" => Ok(()),
        found => Err(format!("{found} is shown")),
    })?;
    responder.is_now(Manner::Closes);
    shows(&server, "none")?;
    end(&root, server)
}

fn a_reload_hands_the_answer_on() -> Result<(), String> {
    let root = prepared("stapling-reload")?;
    let responder = Responder::start(&root, &root.join("site.pem"), GOOD)?;
    let server = boot(&root, &forced(&responder))?;
    shows(&server, "good")?;
    responder.is_now(Manner::Closes);
    for _ in 0..3 {
        let mut command = server::program(&root, false, &[])?;
        command.arg("-f").arg(root.join("httpd.conf")).args(["-k", "graceful"]);
        done(&server::run(&root, command, PATIENCE)?)?;
        let found = shown(&server, "-tls1_3")?;
        if found != "good" || responder.was_asked() != 1 {
            return Err(format!("{found} is shown, after {} questions", responder.was_asked()));
        }
    }
    end(&root, server)
}

fn the_certificate_names_the_responder() -> Result<(), String> {
    let root = prepared("stapling-named")?;
    let responder = Responder::start(&root, &root.join("site.pem"), GOOD)?;
    let certificates = tls::directory();
    let conf = root.join("extensions");
    let text_of_it = format!(
        "subjectAltName=DNS:localhost\nauthorityInfoAccess=caIssuers;URI:http://x.invalid/,OCSP;URI:http://localhost:{}/\n\
         tlsfeature=status_request\n",
        responder.port
    );
    server::write(&conf, text_of_it.as_bytes())?;
    let request = root.join("request");
    text(
        openssl(&["req", "-new", "-subj", "/CN=localhost", "-key"])
            .arg(root.join("site.key"))
            .arg("-out")
            .arg(&request),
    )?;
    let mut sign = openssl(&["x509", "-req", "-days", "30", "-set_serial", "0x7001"]);
    sign.arg("-in")
        .arg(&request)
        .arg("-out")
        .arg(root.join("site.pem"))
        .arg("-extfile")
        .arg(&conf);
    sign.arg("-CA")
        .arg(certificates.join("ca.pem"))
        .arg("-CAkey")
        .arg(certificates.join("ca.key"));
    text(&mut sign)?;
    // Nothing but the certificate says where to ask: the confined server may connect there all the same.
    let server = boot(&root, &[])?;
    shows(&server, "good")?;
    let log = File::open(root.join("error.log")).map_err(|e| e.to_string())?;
    if BufReader::new(log)
        .lines()
        .map_while(Result::ok)
        .any(|line| line.contains("RFC 7633"))
    {
        return Err("it is said that nothing is sent along".into());
    }
    end(&root, server)
}
