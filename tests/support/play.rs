//! Plays a case: writes its site, boots the server, walks through the steps, and judges what is left behind.

mod files;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use regex::bytes::Regex;

use crate::support::applications::{self, Application};
use crate::support::case::{Case, FileKind, Step, Want, unescape};
use crate::support::golden;
use crate::support::server::{self, Server, bench, poll};
use crate::support::tls::{self, Over};
use crate::support::wire::{Judge, Peer, Reply, Wire, show};

/// Plays `case` in a directory of its own; the error tells all that a person needs.
pub fn play(name: &str, case: &Case) -> Result<(), String> {
    let root = server::fresh_root(name);
    let mut player = Player::new(case, root.clone());
    let result = player.run(case);
    drop(player);
    if result.is_ok() {
        files::open_up(&root);
        let _left_for_the_end = fs::remove_dir_all(&root);
    }
    result.map_err(|e| {
        format!(
            "{e}\n--- error log\n{}--- stderr\n{}--- kept: {}",
            tail(&root, "error.log"),
            tail(&root, "stderr"),
            root.display()
        )
    })
}

/// Writes the site of `case` below `root`, for servers that are booted by others; `$PORT` is 80, as a Host field without a
/// port says. Its applications run as long as they are held.
pub fn lay_out(root: &Path, case: &Case) -> Result<Vec<Application>, String> {
    let mut player = Player::new(case, root.to_path_buf());
    player.ports = [Some(80), None];
    player.lay_out(case, "127.0.0.1:0")?;
    Ok(player.applications)
}

struct Player {
    root: PathBuf,
    as_root: bool,
    judge: Judge,
    patience: Duration,
    ports: [Option<u16>; 2],
    server: Option<Server>,
    wires: BTreeMap<String, Wire>,
    here: String,
    over: Option<Over>,
    within_tls: bool,
    address: String,
    outbox: Vec<u8>,
    reply: Reply,
    output: Option<Output>,
    tolerated: Vec<Regex>,
    disturbed: bool,
    app_port: u16,
    applications: Vec<Application>,
}

impl Player {
    fn new(case: &Case, root: PathBuf) -> Player {
        let mentions = |word: &str| {
            case.config.iter().chain(&case.arguments).any(|l| l.contains(word))
                || case
                    .files
                    .iter()
                    .any(|f| matches!(&f.kind, FileKind::Text { lines, .. } if lines.contains(word)))
        };
        let first = mentions("$PORT") || bench().oracle;
        let second = mentions("$PORT2");
        Player {
            root,
            as_root: case.as_root,
            judge: if case.loose { Judge::Loose } else { Judge::Strict },
            patience: Duration::from_secs(case.patience),
            ports: [first.then(server::free_port), second.then(server::free_port)],
            server: None,
            wires: BTreeMap::new(),
            here: "first".into(),
            within_tls: case.within_tls,
            over: case
                .within_tls
                .then(|| Over::parse("sni=none").expect("the words are well-formed")),
            address: String::new(),
            outbox: Vec::new(),
            reply: Reply::default(),
            output: None,
            tolerated: if case.within_tls {
                vec![other_names()]
            } else {
                Vec::new()
            },
            // The pipes of a map program come and go with it.
            disturbed: mentions("prg:"),
            app_port: server::free_port(),
            applications: Vec::new(),
        }
    }

    fn run(&mut self, case: &Case) -> Result<(), String> {
        let listen = format!("127.0.0.1:{}", self.ports[0].unwrap_or(0));
        self.lay_out(case, &listen)?;
        if case.steps.iter().any(|(_, s)| s.needs_server()) {
            self.boot(case, &listen)?;
        }
        for (at, (line, step)) in case.steps.iter().enumerate() {
            let early_end = case.steps[at + 1..]
                .iter()
                .take_while(|(_, s)| !starts_exchange(s))
                .any(|(_, s)| matches!(s, Step::Cut));
            let done = self.step(step, early_end, &case.environment);
            done.map_err(|e| {
                format!(
                    "line {line}: {e}\n--- last reply\n  {}",
                    show(&self.reply.lines().collect::<Vec<_>>().join(&b'\n'))
                )
            })?;
        }
        self.send_outbox()?;
        self.wires.clear();
        self.finish_server()?;
        for (line, step) in &case.steps {
            self.afterwards(step).map_err(|e| format!("line {line}: {e}"))?;
        }
        self.unexpected_records(case)
    }

    /// Writes the configuration and the files of the case.
    fn lay_out(&mut self, case: &Case, listen: &str) -> Result<(), String> {
        let secure = [
            "SSLEngine on",
            "SSLCertificateFile $TLS/ecdsa.pem",
            "SSLCertificateKeyFile $TLS/ecdsa.key",
        ];
        let secure = secure.iter().filter(|_| case.within_tls);
        let lines = case.config.iter().map(String::as_str).chain(secure.copied());
        let lines: Vec<String> = lines.map(|l| self.fill(l)).collect();
        server::write_config(&self.root, &lines, listen)?;
        for item in &case.files {
            self.make(item).map_err(|e| format!("file {}: {e}", item.name))?;
        }
        server::hand_over(&self.root, self.as_root)?;
        for item in &case.files {
            self.finish(item)?;
        }
        for words in &case.applications {
            let started = applications::start(words, &self.root, self.as_root, self.app_port)?;
            self.applications.push(started);
        }
        Ok(())
    }

    fn boot(&mut self, case: &Case, listen: &str) -> Result<(), String> {
        let variables = case.environment.iter();
        let environment: Vec<_> = variables
            .map(|(name, value)| (name.clone(), self.fill(value)))
            .collect();
        let command = server::program(&self.root, self.as_root, &environment)?;
        let arguments: Vec<String> = case.arguments.iter().map(|a| self.fill(a)).collect();
        let server = Server::boot(&self.root, command, &arguments, listen)?;
        let port = |n: usize| server.listeners.get(n)?.rsplit_once(':')?.1.parse().ok();
        self.ports = [self.ports[0].or(port(0)), self.ports[1].or(port(1))];
        self.address = match self.ports[0] {
            Some(port) if server.listeners[0].starts_with("0.0.0.0") => format!("127.0.0.1:{port}"),
            _ => server.listeners[0].clone(),
        };
        self.server = Some(server);
        Ok(())
    }

    fn finish_server(&mut self) -> Result<(), String> {
        let Some(server) = self.server.take() else {
            return Ok(());
        };
        if !bench().oracle && !self.disturbed {
            server.settle(self.patience)?;
        }
        server.stop()
    }

    fn step(&mut self, step: &Step, early_end: bool, environment: &[(String, String)]) -> Result<(), String> {
        if !matches!(step, Step::Send { .. } | Step::Chunk(_) | Step::SendFile(_)) {
            self.send_outbox()?;
        }
        match step {
            Step::Send { .. } | Step::Chunk(_) | Step::SendFile(_) => self.queue(step)?,
            Step::Drip(pause, text) => {
                let bytes = self.bytes(text)?;
                self.wire()?.drip(&bytes, Duration::from_millis(*pause));
            }
            Step::Flush | Step::Tolerate(_) => {}
            Step::HalfClose => self.wire()?.half_close(),
            Step::Leave { reset } => {
                let wire = self.wires.remove(&self.here).ok_or("no connection")?;
                if *reset {
                    wire.reset();
                }
            }
            Step::WaitFor(text) => {
                let text = self.fill(text);
                self.wire()?.wait_for(text.as_bytes())?;
            }
            Step::On(name, address) => {
                self.here.clone_from(name);
                if let Some(address) = address {
                    let wire = self.connect(&self.fill(address))?;
                    self.wires.insert(name.clone(), wire);
                }
            }
            Step::Over(words) => self.over = words.as_deref().map(Over::parse).transpose()?,
            Step::Handshake(words) => self.wire()?.secure(&Over::parse(words)?)?,
            Step::Refused(pattern) => self.refused(pattern)?,
            Step::Fact(want) => {
                let facts = self.wire()?.facts();
                self.judge_lines(want, "TLS", &mut facts.iter().map(|fact| fact.as_bytes()))?;
            }
            Step::Reply(_) | Step::Simple | Step::Open | Step::Close { .. } => self.exchange(step, early_end)?,
            Step::Line(_)
            | Step::Count(..)
            | Step::Body(_)
            | Step::BodyLines(_)
            | Step::Length(_)
            | Step::Same(_)
            | Step::Golden(_)
            | Step::Cut => self.check_reply(step)?,
            Step::Run(_) | Step::Exit(_) | Step::Output(_) | Step::Errors(_) => self.program_step(step, environment)?,
            _ => self.world(step)?,
        }
        Ok(())
    }

    fn queue(&mut self, step: &Step) -> Result<(), String> {
        let bytes = match step {
            Step::Send { text, raw: true } => self.bytes(text)?,
            Step::Send { text, .. } => (self.fill(text) + "\r\n").into_bytes(),
            Step::Chunk(text) => {
                let content = self.bytes(text)?;
                let mut chunk = format!("{:x}\r\n", content.len()).into_bytes();
                chunk.extend_from_slice(&content);
                chunk.extend_from_slice(b"\r\n");
                chunk
            }
            Step::SendFile(name) => self.file(name)?,
            _ => Vec::new(),
        };
        self.outbox.extend_from_slice(&bytes);
        Ok(())
    }

    fn send_outbox(&mut self) -> Result<(), String> {
        let bytes = std::mem::take(&mut self.outbox);
        if bytes.is_empty() {
            Ok(())
        } else {
            self.wire()?.send(&bytes)
        }
    }

    fn connect(&self, address: &str) -> Result<Wire, String> {
        let mut wire = Wire::connect(address, self.patience)?;
        let is_ours = !self.within_tls || address == self.address;
        if let Some(over) = self.over.as_ref().filter(|_| is_ours) {
            wire.secure(over)?;
        }
        Ok(wire)
    }

    /// TLS comes to nothing, sooner or later, and says so.
    fn refused(&mut self, pattern: &str) -> Result<(), String> {
        let pattern = self.regex(pattern)?;
        let wire = self.wire()?;
        let rest = wire.rest()?;
        let fault = wire.fault().unwrap_or("TLS is agreed upon").to_owned();
        if pattern.is_match(fault.as_bytes()) {
            Ok(())
        } else {
            Err(format!("not refused so: {fault}; {}", show(&rest.body)))
        }
    }

    fn wire(&mut self) -> Result<&mut Wire, String> {
        if !self.wires.contains_key(&self.here) {
            let wire = self.connect(&self.address)?;
            self.wires.insert(self.here.clone(), wire);
        }
        self.wires.get_mut(&self.here).ok_or_else(|| "no connection".into())
    }

    /// Steps that read from the connection.
    fn exchange(&mut self, step: &Step, early_end: bool) -> Result<(), String> {
        let judge = self.judge;
        match step {
            Step::Reply(want) => {
                self.reply = Reply::default();
                self.reply = self.wire()?.reply(judge)?;
                if self.reply.cut && !early_end {
                    return Err("the reply ends before its framing says so".into());
                }
                let line = self.reply.status_line.clone();
                self.judge_lines(want, "status line", &mut std::iter::once(line.as_slice()))
            }
            Step::Simple => {
                self.reply = self.wire()?.rest()?;
                Ok(())
            }
            Step::Open => {
                let wire = self.wire()?;
                wire.send(b"GET /still-there HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
                wire.reply(Judge::Loose)
                    .map(|_| ())
                    .map_err(|e| format!("the connection should serve on: {e}"))
            }
            Step::Close { clean } => match self.wire()?.ending().map_err(|e| format!("should close: {e}"))? {
                Peer::Reset if *clean => Err("the connection was reset".into()),
                Peer::Torn if *clean => Err("the connection ended, and TLS was not told".into()),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn check_reply(&self, step: &Step) -> Result<(), String> {
        let body = &self.reply.body;
        let equal = |wanted: &[u8]| {
            if wanted == body {
                Ok(())
            } else {
                Err(format!("the body should be\n  {}", show(wanted)))
            }
        };
        match step {
            Step::Line(want) => self.judge_lines(want, "reply", &mut self.reply.lines()),
            Step::Count(wanted, pattern) => {
                let pattern = self.regex(pattern)?;
                let found = self.reply.lines().filter(|l| pattern.is_match(l)).count();
                if found == *wanted {
                    Ok(())
                } else {
                    Err(format!("{found} lines match, not {wanted}"))
                }
            }
            Step::Body(text) => equal(&self.bytes(text)?),
            Step::BodyLines(text) => equal(self.fill(text).as_bytes()),
            Step::Length(wanted) if body.len() != *wanted => {
                Err(format!("the body has {} bytes, not {wanted}", body.len()))
            }
            Step::Same(name) => equal(&self.file(name)?),
            Step::Golden(name) => golden::compare(name, body),
            Step::Cut if !self.reply.cut => Err("the reply should end early".into()),
            _ => Ok(()),
        }
    }

    /// Steps about files, logs and signals.
    fn world(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Grep(name, want) => self.grep(name, want),
            Step::Presence { name, there } => {
                let path = self.root.join(self.fill(name));
                poll(self.patience, || {
                    if path.exists() == *there {
                        Ok(())
                    } else {
                        Err(format!("{}: there: {}", path.display(), !there))
                    }
                })
            }
            Step::Write { name, text, append } => {
                let path = self.root.join(name);
                let mut bytes = if *append {
                    fs::read(&path).unwrap_or_default()
                } else {
                    Vec::new()
                };
                bytes.extend(self.bytes(text)?);
                server::write(&path, &bytes)
            }
            Step::Remove(name) => fs::remove_file(self.root.join(name)).map_err(|e| format!("{name}: {e}")),
            Step::Rename(from, to) => {
                fs::rename(self.root.join(from), self.root.join(to)).map_err(|e| format!("{from}: {e}"))
            }
            Step::Until(target, pattern) => poll(self.patience, || {
                let reply = self.ask(target)?;
                self.judge_lines(&Want::Match(pattern.clone()), "reply", &mut reply.lines())
            }),
            Step::Again { target, name, pattern } => poll(self.patience, || {
                self.ask(target)?;
                let text = fs::read(self.root.join(name)).unwrap_or_default();
                self.judge_lines(&Want::Match(pattern.clone()), name, &mut text.split(|&b| b == b'\n'))
            }),
            Step::Signal(name) => {
                self.disturbed = true;
                self.server.as_ref().ok_or("no server runs")?.signal(name)
            }
            _ => Ok(()),
        }
    }

    /// One GET on a connection of its own.
    fn ask(&self, target: &str) -> Result<Reply, String> {
        let mut wire = self.connect(&self.address)?;
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        wire.send(request.as_bytes())?;
        wire.reply(Judge::Loose)
    }

    fn grep(&mut self, name: &str, want: &Want) -> Result<(), String> {
        if bench().oracle && name == "error.log" {
            return Ok(());
        }
        let path = self.root.join(self.fill(name));
        if name == "error.log"
            && let Want::Match(pattern) = want
        {
            self.tolerated.push(self.regex(pattern)?);
        }
        if matches!(want, Want::Absent(_)) {
            return Ok(());
        }
        poll(self.patience, || {
            let text = fs::read(&path).unwrap_or_default();
            self.judge_lines(want, name, &mut text.split(|&b| b == b'\n'))
        })
    }

    /// What can only be said when the server has stopped: lines that must never have come.
    fn afterwards(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Tolerate(pattern) => self.tolerated.push(self.regex(pattern)?),
            Step::Grep(name, want @ Want::Absent(_)) if !(bench().oracle && name == "error.log") => {
                let text = fs::read(self.root.join(self.fill(name))).unwrap_or_default();
                self.judge_lines(want, name, &mut text.split(|&b| b == b'\n'))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn unexpected_records(&self, case: &Case) -> Result<(), String> {
        if bench().oracle || !case.steps.iter().any(|(_, s)| s.needs_server()) {
            return Ok(());
        }
        let quiet = Regex::new(r"^\[[^\]]*\] \[[a-z0-9_]*:(notice|info|debug|trace[1-8])\]|^$").expect("well-formed");
        let about_user = Regex::new(r"\bUser\b").expect("well-formed");
        for (name, known) in [("error.log", &quiet), ("stderr", &about_user)] {
            let text = fs::read(self.root.join(name)).unwrap_or_default();
            let expected = |l: &[u8]| l.is_empty() || known.is_match(l) || self.tolerated.iter().any(|t| t.is_match(l));
            if let Some(line) = text.split(|&b| b == b'\n').find(|l| !expected(l)) {
                return Err(format!("unexpected in {name}: {}", show(line)));
            }
        }
        Ok(())
    }

    fn program_step(&mut self, step: &Step, environment: &[(String, String)]) -> Result<(), String> {
        if let Step::Run(arguments) = step {
            let mut command = server::program(&self.root, self.as_root, environment)?;
            command.args(self.fill(arguments).split_whitespace());
            self.output = Some(server::run(&self.root, command, self.patience)?);
            return Ok(());
        }
        let output = self.output.as_ref().ok_or("nothing was run")?;
        let shown = || format!("stdout\n  {}\nstderr\n  {}", show(&output.stdout), show(&output.stderr));
        match step {
            Step::Exit(wanted) => {
                let status = output.status.code();
                let right = match wanted {
                    Ok(n) => status == Some(*n),
                    Err(n) => status.is_some_and(|s| s != *n),
                };
                if right {
                    Ok(())
                } else {
                    Err(format!("exit status {status:?}; {}", shown()))
                }
            }
            Step::Output(want) => {
                let lines = &mut output.stdout.split(|&b| b == b'\n');
                self.judge_lines(want, "output", lines)
                    .map_err(|e| format!("{e}; {}", shown()))
            }
            Step::Errors(want) if !bench().oracle => {
                let lines = &mut output.stderr.split(|&b| b == b'\n');
                self.judge_lines(want, "errors", lines)
                    .map_err(|e| format!("{e}; {}", shown()))
            }
            _ => Ok(()),
        }
    }

    fn judge_lines<'a>(
        &self,
        want: &Want,
        what: &str,
        lines: &mut impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), String> {
        match want {
            Want::Line(text) => {
                let wanted = self.fill(text);
                let found = lines.any(|l| l == wanted.as_bytes());
                if found {
                    Ok(())
                } else {
                    Err(format!("no line of {what} is `{wanted}`"))
                }
            }
            Want::Match(pattern) => {
                let pattern = self.regex(pattern)?;
                if lines.any(|l| pattern.is_match(l)) {
                    Ok(())
                } else {
                    Err(format!("no line of {what} matches `{pattern}`"))
                }
            }
            Want::Absent(pattern) => {
                let pattern = self.regex(pattern)?;
                lines
                    .find(|l| pattern.is_match(l))
                    .map_or(Ok(()), |l| Err(format!("must not be in {what}: {}", show(l))))
            }
        }
    }

    fn regex(&self, pattern: &str) -> Result<Regex, String> {
        Regex::new(&self.fill(pattern)).map_err(|e| format!("regular expression `{pattern}`: {e}"))
    }

    fn bytes(&self, text: &str) -> Result<Vec<u8>, String> {
        unescape(&self.fill(text))
    }

    fn file(&self, name: &str) -> Result<Vec<u8>, String> {
        fs::read(self.root.join(name)).map_err(|e| format!("{name}: {e}"))
    }

    /// Fills in variables and repetitions.
    fn fill(&self, text: &str) -> String {
        let port = |n: usize| self.ports[n].map_or(String::from("0"), |p| p.to_string());
        let mut filled = text.to_string();
        for (name, value) in [
            ("$PORT2", port(1)),
            ("$APPPORT", self.app_port.to_string()),
            ("$PORT", port(0)),
            ("$ROOT", self.root.display().to_string()),
            ("$APPS", bench().directory.join("apps").display().to_string()),
            ("$TLS", tls::directory().display().to_string()),
            ("$CONF", self.root.join("httpd.conf").display().to_string()),
            ("$UID", server::server_uid(self.as_root).to_string()),
        ] {
            filled = filled.replace(name, &value);
        }
        let repetition = regex::Regex::new(r"\$\{([^}*]+)\*([0-9]+)\}").expect("well-formed");
        repetition
            .replace_all(&filled, |c: &regex::Captures<'_>| {
                c[1].repeat(c[2].parse().unwrap_or(0))
            })
            .into_owned()
    }
}

/// What is said of a certificate that is not for the sites of the case.
fn other_names() -> Regex {
    Regex::new("SSLCertificateFile: .*: it is not for the ServerName").expect("well-formed")
}

fn starts_exchange(step: &Step) -> bool {
    matches!(step, Step::Reply(_) | Step::Send { .. } | Step::Simple)
}

fn tail(root: &Path, name: &str) -> String {
    let text = String::from_utf8_lossy(&fs::read(root.join(name)).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().rev().take(20).collect();
    lines.into_iter().rev().flat_map(|l| [l, "\n"]).collect()
}
