//! The .case format: one file, one test, read like a transcript.
//!
//! ```text
//! # title, with the section of the text it follows        first line; further `#` lines are comments
//! differs-from-apache: why        Apache does otherwise here (the oracle run checks that it still does)
//! ours: why                       Apache cannot be asked
//! needs perl git                  programs without which the case cannot run
//! application NAME                our FastCGI responder (`testapp`) on $ROOT/app.sock and $APPPORT, or `php-fpm` on
//!                                 $ROOT/php.sock; see `applications.rs` (`testapp --scgi`, `testapp --http`,
//!                                 `testapp --fastcgi b.sock`)
//! as root                         run the server as root (else as nobody when the tests run as root)
//! loose                           do not judge reply heads (what `nph-` scripts write is theirs)
//! patience 30                     seconds that any one wait may last (10)
//! environment NAME=VALUE          the server's own environment
//! arguments -D NAME               more arguments for the server
//!
//! config LINE                     a line of httpd.conf; `|` lines below it continue
//! file NAME [0755] [crlf] [mtime=SECONDS] [owner=UID] [size=BYTES]
//! | content                       NAME (\x20 is a space) is below $ROOT; htdocs/ is the DocumentRoot
//! dir NAME [0755]     link NAME TARGET     fifo NAME     mode NAME 0700 (last of all)
//!
//! > GET / HTTP/1.1                sent with CRLF; lines in a row go out in one write
//! >raw "bytes\r\n\x00"            sent as they are (\r \n \t \0 \xNN \\ \")
//! >chunk "data"                   one chunk of the chunked coding; `>chunk` alone is the last one
//! >file NAME                      the content of a file of the case
//! >drip 100 "bytes"               one byte every so many milliseconds
//! >flush                          what stands above goes out now
//! >eof                            we close our side
//! leave     reset                 we close the connection altogether, in order or by a reset
//! >wait TEXT                      wait until TEXT has arrived, before anything more is sent or read
//! on NAME [ADDRESS]               use (and first open) another connection
//! over tls [WORDS]                connections that are opened from here on speak TLS, in a way that WORDS say (see `tls.rs`)
//! over plain                      they do not (any more)
//! handshake [WORDS]               TLS begins here and now on a connection that is open already
//!
//! < HTTP/1.1 200 OK               reads the next reply; the checks below are about it
//! <~ HTTP/1.1 (200|206)           the same by a regular expression
//! <simple                         reads to the end of the connection: a reply without a head
//! < Field: value                  this very line is in the reply (head, body or trailer)
//! <~ regex       !< text       !<~ regex       <count 2 regex
//! <body "bytes"                   the whole body (`|` lines: each with a line end)
//! <length 42     <same NAME       the body's length; the body is this file's content
//! <golden NAME                    the body is tests/golden/NAME
//! <cut                            the reply ends before its framing says so
//! <open                           the connection serves another request
//! <close                          the server closes, nothing else follows
//! <eof                            the same, without a reset; over TLS, with its word for that
//! <refused REGEX                  TLS comes to nothing; the fault, or what the server's alert says, matches
//! <tls FACT      <tls~ REGEX      what was agreed upon, such as `<tls version TLSv1_3`, `<tls certificate ecdsa` (see `tls.rs`)
//!
//! log~ regex     log? regex       a warning or error that must (may) be in the error log
//! !log regex                      must not be in the error log, at any level, until the end
//! access~ regex  access TEXT      a line of access.log (regex, or exactly)
//! !access regex
//! grep NAME regex   !grep NAME regex        lines of another file below $ROOT
//! until /target regex             asks again until a line of the reply matches
//! again /target NAME regex        asks again until a line of the file matches
//! remains NAME      gone NAME     a file is (not) there, waited for
//!
//! write NAME "bytes"    append NAME "bytes"    remove NAME    rename NAME NAME    signal USR1
//! run -f $CONF -t                 runs the program with exactly these arguments
//! exit 0         exit !0          its exit status
//! out TEXT   out~ regex   !out regex   err TEXT   err~ regex   !err regex
//! ```
//!
//! `$PORT` (of the first listener), `$PORT2`, `$APPPORT`, `$ROOT`, `$APPS`, `$TLS` (where the certificates are: `tests/tls/`), `$CONF`, `$UID` are filled in everywhere, and `${text*9}`
//! is the text nine times. The server that a case gets has only what the case says, and defaults for what it
//! does not say (see `server.rs`). Anything unexpected in the error log, a process left behind or an open
//! descriptor too many fails the case.

use std::path::Path;

/// A parsed case.
#[derive(Debug, Default)]
pub struct Case {
    /// What it shows.
    pub title: String,
    /// Why Apache's answer is another one.
    pub differs: Option<String>,
    /// Why Apache cannot be asked.
    pub ours: Option<String>,
    /// Programs that must be installed.
    pub needs: Vec<String>,
    /// Applications that run behind the server.
    pub applications: Vec<String>,
    /// Run the server as root.
    pub as_root: bool,
    /// Do not judge reply heads.
    pub loose: bool,
    /// The server speaks TLS, and so do all connections to it: a case that says nothing of that is played a second time.
    pub within_tls: bool,
    /// Seconds that one wait may last.
    pub patience: u64,
    /// Variables of the server's own environment.
    pub environment: Vec<(String, String)>,
    /// More arguments for the server.
    pub arguments: Vec<String>,
    /// Lines of the configuration.
    pub config: Vec<String>,
    /// Files to make before the server starts.
    pub files: Vec<FileItem>,
    /// What happens, each with its line number.
    pub steps: Vec<(usize, Step)>,
}

/// One thing in the file system of a case.
#[derive(Debug)]
pub struct FileItem {
    /// Name below $ROOT.
    pub name: String,
    /// Kind and content.
    pub kind: FileKind,
    /// Permission bits, if told.
    pub mode: Option<u32>,
    /// Modification time, seconds since 1970.
    pub mtime: Option<u64>,
    /// Owner, if told (needs root).
    pub owner: Option<u32>,
}

/// What kind of file, and its content.
#[derive(Debug)]
pub enum FileKind {
    /// Text lines.
    Text { lines: String, crlf: bool },
    /// So many bytes of a fixed pattern.
    Sized(usize),
    /// A directory.
    Directory,
    /// A symbolic link to this target.
    Link(String),
    /// A named pipe.
    Fifo,
    /// No new file: only the mode of one that exists.
    Existing,
}

/// Which lines of a file or output are wanted.
#[derive(Debug)]
pub enum Want {
    /// One line matches.
    Match(String),
    /// One line is exactly this.
    Line(String),
    /// No line matches.
    Absent(String),
}

/// One step of a case. Texts are as written; the player fills in variables.
#[derive(Debug)]
pub enum Step {
    /// Bytes to send, escapes not yet read when `raw`.
    Send { text: String, raw: bool },
    /// A chunk; empty is the last.
    Chunk(String),
    /// A file's content.
    SendFile(String),
    /// Bytes one by one, with a pause in milliseconds.
    Drip(u64, String),
    /// Everything above goes out now.
    Flush,
    /// We close our side.
    HalfClose,
    /// We close the connection; `reset`: at once and without ceremony.
    Leave { reset: bool },
    /// Wait for this text.
    WaitFor(String),
    /// Switch to a connection; open it first if new.
    On(String, Option<String>),
    /// Connections that are opened from here on speak TLS, in a way that these words say, or do not.
    Over(Option<String>),
    /// TLS begins on this connection.
    Handshake(String),
    /// It comes to nothing, for a reason that matches.
    Refused(String),
    /// What was agreed upon.
    Fact(Want),
    /// Read a reply whose status line is this.
    Reply(Want),
    /// Read all until the end of the connection.
    Simple,
    /// A line of the reply.
    Line(Want),
    /// So many lines match.
    Count(usize, String),
    /// The whole body, with escapes.
    Body(String),
    /// The whole body, as lines.
    BodyLines(String),
    /// The body's length.
    Length(usize),
    /// The body is this file of the case.
    Same(String),
    /// The body is this golden file.
    Golden(String),
    /// The reply ended early.
    Cut,
    /// The connection serves on.
    Open,
    /// The connection ends; `clean`: not by a reset.
    Close { clean: bool },
    /// Lines of a file below $ROOT.
    Grep(String, Want),
    /// A record that may be in the error log.
    Tolerate(String),
    /// A file comes to be, or goes.
    Presence { name: String, there: bool },
    /// Write or append to a file.
    Write { name: String, text: String, append: bool },
    /// Remove a file.
    Remove(String),
    /// Rename a file.
    Rename(String, String),
    /// Ask for a target, each time on a new connection, until a line matches.
    Until(String, String),
    /// Ask for a target until a line of a file matches.
    Again {
        target: String,
        name: String,
        pattern: String,
    },
    /// Send the server a signal.
    Signal(String),
    /// Run the program.
    Run(String),
    /// Its exit status: `Ok(n)`, or `Err(n)` for anything but n.
    Exit(Result<i32, i32>),
    /// Its standard output.
    Output(Want),
    /// Its standard error.
    Errors(Want),
}

impl Step {
    /// Whether the step talks to a running server.
    pub fn needs_server(&self) -> bool {
        !matches!(
            self,
            Step::Run(_)
                | Step::Exit(_)
                | Step::Output(_)
                | Step::Errors(_)
                | Step::Write { .. }
                | Step::Remove(_)
                | Step::Rename(..)
                | Step::Presence { .. }
                | Step::Grep(..)
                | Step::Tolerate(_)
        )
    }
}

impl Case {
    /// What it expects in lines of replies.
    pub fn expectations(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter_map(|(_, step)| match step {
            Step::Line(Want::Line(text) | Want::Match(text)) => Some(text.as_str()),
            _ => None,
        })
    }
}

/// Reads a case file.
pub fn load(path: &Path) -> Result<Case, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let case = parse(&text).map_err(|e| format!("{}:{e}", path.display()))?;
    if case.steps.is_empty() {
        return Err(format!("{}:1: a case without a step", path.display()));
    }
    Ok(case)
}

/// Parses the text of a case; an error says `line: what`.
pub fn parse(text: &str) -> Result<Case, String> {
    let title = text
        .lines()
        .next()
        .and_then(|l| l.strip_prefix("# "))
        .ok_or("1: a case begins with `# title`")?;
    let mut case = Case {
        title: title.into(),
        patience: 10,
        ..Case::default()
    };
    let mut tail = Tail::None;
    for (number, line) in text.lines().enumerate().skip(1) {
        let number = number + 1;
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let done = match line.strip_prefix('|') {
            Some(content) => continue_block(&mut case, &tail, content.strip_prefix(' ').unwrap_or(content)),
            None => one_line(&mut case, number, line).map(|t| tail = t),
        };
        done.map_err(|e| format!("{number}: {e}"))?;
    }
    Ok(case)
}

/// What a `|` line continues.
enum Tail {
    None,
    Config,
    File,
    Body,
}

fn continue_block(case: &mut Case, tail: &Tail, content: &str) -> Result<(), String> {
    match (tail, case.files.last_mut().map(|f| &mut f.kind), case.steps.last_mut()) {
        (Tail::Config, _, _) => case.config.push(content.into()),
        (Tail::File, Some(FileKind::Text { lines, .. }), _) | (Tail::Body, _, Some((_, Step::BodyLines(lines)))) => {
            lines.push_str(content);
            lines.push('\n');
        }
        _ => return Err("nothing above that `|` could continue".into()),
    }
    Ok(())
}

fn one_line(case: &mut Case, number: usize, line: &str) -> Result<Tail, String> {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = if matches!(verb, ">" | "<") { rest } else { rest.trim() };
    let words: Vec<&str> = rest.split_whitespace().collect();
    match verb {
        "differs-from-apache:" => case.differs = Some(rest.into()),
        "ours:" => case.ours = Some(rest.into()),
        "needs" => case.needs.extend(words.iter().map(ToString::to_string)),
        "application" => case.applications.push(rest.into()),
        "as" if rest == "root" => case.as_root = true,
        "loose" => case.loose = true,
        "patience" => case.patience = rest.parse().map_err(|_| "patience is in seconds")?,
        "environment" => {
            let (name, value) = rest.split_once('=').ok_or("environment NAME=VALUE")?;
            case.environment.push((name.into(), value.into()));
        }
        "arguments" => {
            for word in words {
                case.arguments
                    .push(String::from_utf8_lossy(&unescape(word)?).into_owned());
            }
        }
        "config" => {
            if !rest.is_empty() {
                case.config.push(rest.into());
            }
            return Ok(Tail::Config);
        }
        "file" | "dir" | "link" | "fifo" | "mode" => {
            case.files.push(file_item(verb, &words)?);
            return Ok(Tail::File);
        }
        _ => {
            let step = send_step(verb, rest)
                .or_else(|| reply_step(verb, rest))
                .or_else(|| world_step(verb, rest, &words));
            let step = step.ok_or_else(|| format!("not understood: `{line}`"))?;
            let body = matches!(step, Step::BodyLines(_));
            case.steps.push((number, step));
            return Ok(if body { Tail::Body } else { Tail::None });
        }
    }
    Ok(Tail::None)
}

fn file_item(verb: &str, words: &[&str]) -> Result<FileItem, String> {
    let (name, options) = words.split_first().ok_or("a file needs a name")?;
    let kind = match (verb, options.first()) {
        ("dir", _) => FileKind::Directory,
        ("fifo", _) => FileKind::Fifo,
        ("mode", _) => FileKind::Existing,
        ("link", Some(target)) => FileKind::Link((*target).into()),
        ("link", None) => return Err("link NAME TARGET".into()),
        _ => FileKind::Text {
            lines: String::new(),
            crlf: false,
        },
    };
    let mut item = FileItem {
        name: String::from_utf8_lossy(&unescape(name)?).into_owned(),
        kind,
        mode: None,
        mtime: None,
        owner: None,
    };
    for option in options.iter().skip(usize::from(verb == "link")) {
        match option.split_once('=') {
            Some(("mtime", v)) => item.mtime = v.parse().ok(),
            Some(("owner", v)) => item.owner = v.parse().ok(),
            Some(("size", v)) => item.kind = FileKind::Sized(v.parse().map_err(|_| "size=BYTES")?),
            None if *option == "crlf" => {
                item.kind = FileKind::Text {
                    lines: String::new(),
                    crlf: true,
                }
            }
            None => item.mode = Some(u32::from_str_radix(option, 8).map_err(|_| format!("mode `{option}`"))?),
            Some(_) => return Err(format!("option `{option}`")),
        }
    }
    Ok(item)
}

fn send_step(verb: &str, rest: &str) -> Option<Step> {
    Some(match verb {
        ">" => Step::Send {
            text: rest.into(),
            raw: false,
        },
        ">raw" => Step::Send {
            text: quoted(rest)?,
            raw: true,
        },
        ">chunk" => Step::Chunk(if rest.is_empty() { String::new() } else { quoted(rest)? }),
        ">file" => Step::SendFile(rest.into()),
        ">drip" => {
            let (pause, text) = rest.split_once(' ')?;
            Step::Drip(pause.parse().ok()?, quoted(text)?)
        }
        ">flush" => Step::Flush,
        ">eof" => Step::HalfClose,
        "leave" | "reset" => Step::Leave { reset: verb == "reset" },
        ">wait" => Step::WaitFor(rest.into()),
        "over" if rest == "plain" => Step::Over(None),
        "over" => match rest.split_once(' ').unwrap_or((rest, "")) {
            ("tls", words) => Step::Over(Some(words.into())),
            _ => return None,
        },
        "handshake" => Step::Handshake(rest.into()),
        "on" => match rest.split_once(' ') {
            Some((name, address)) => Step::On(name.into(), Some(address.into())),
            None => Step::On(rest.into(), None),
        },
        _ => return None,
    })
}

fn reply_step(verb: &str, rest: &str) -> Option<Step> {
    Some(match verb {
        "<" if rest.starts_with("HTTP/") => Step::Reply(Want::Line(rest.into())),
        "<" => Step::Line(Want::Line(rest.into())),
        "<~" if rest.trim_start_matches('^').starts_with("HTTP/") => Step::Reply(Want::Match(rest.into())),
        "<~" => Step::Line(Want::Match(rest.into())),
        "!<" => Step::Line(Want::Absent(regex::escape(rest))),
        "!<~" => Step::Line(Want::Absent(rest.into())),
        "<count" => {
            let (n, pattern) = rest.split_once(' ')?;
            Step::Count(n.parse().ok()?, pattern.into())
        }
        "<simple" => Step::Simple,
        "<body" if rest.is_empty() => Step::BodyLines(String::new()),
        "<body" => Step::Body(quoted(rest)?),
        "<length" => Step::Length(rest.parse().ok()?),
        "<same" => Step::Same(rest.into()),
        "<golden" => Step::Golden(rest.into()),
        "<refused" => Step::Refused(rest.into()),
        "<tls" => Step::Fact(Want::Line(rest.into())),
        "<tls~" => Step::Fact(Want::Match(rest.into())),
        "<cut" => Step::Cut,
        "<open" => Step::Open,
        "<close" => Step::Close { clean: false },
        "<eof" => Step::Close { clean: true },
        _ => return None,
    })
}

fn world_step(verb: &str, rest: &str, words: &[&str]) -> Option<Step> {
    let text = || rest.to_string();
    let tail = || rest.split_once(' ').map(|(_, t)| t.trim().to_string());
    let name = || words.first().map(ToString::to_string);
    Some(match verb {
        "log~" => Step::Grep("error.log".into(), Want::Match(text())),
        "!log" => Step::Grep("error.log".into(), Want::Absent(text())),
        "log?" => Step::Tolerate(text()),
        "access~" => Step::Grep("access.log".into(), Want::Match(text())),
        "access" => Step::Grep("access.log".into(), Want::Line(text())),
        "!access" => Step::Grep("access.log".into(), Want::Absent(text())),
        "grep" => Step::Grep(name()?, Want::Match(tail()?)),
        "!grep" => Step::Grep(name()?, Want::Absent(tail()?)),
        "remains" | "gone" => Step::Presence {
            name: text(),
            there: verb == "remains",
        },
        "write" | "append" => Step::Write {
            name: name()?,
            text: quoted(&tail()?)?,
            append: verb == "append",
        },
        "remove" => Step::Remove(text()),
        "rename" => Step::Rename(name()?, tail()?),
        "until" => Step::Until(name()?, tail()?),
        "again" => {
            let (target, rest) = rest.split_once(' ')?;
            let (name, pattern) = rest.split_once(' ')?;
            Step::Again {
                target: target.into(),
                name: name.into(),
                pattern: pattern.into(),
            }
        }
        "signal" => Step::Signal(text()),
        "run" => Step::Run(text()),
        "exit" => Step::Exit(match rest.strip_prefix('!') {
            Some(n) => Err(n.parse().ok()?),
            None => Ok(rest.parse().ok()?),
        }),
        "out" => Step::Output(Want::Line(text())),
        "out~" => Step::Output(Want::Match(text())),
        "!out" => Step::Output(Want::Absent(text())),
        "err" => Step::Errors(Want::Line(text())),
        "err~" => Step::Errors(Want::Match(text())),
        "!err" => Step::Errors(Want::Absent(text())),
        _ => return None,
    })
}

fn quoted(text: &str) -> Option<String> {
    text.trim().strip_prefix('"')?.strip_suffix('"').map(Into::into)
}

/// Reads the escapes of a quoted text: `\r \n \t \0 \xNN \\ \"`.
pub fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match (byte, if byte == b'\\' { rest.next() } else { None }) {
            (b'\\', Some(b'r')) => b'\r',
            (b'\\', Some(b'n')) => b'\n',
            (b'\\', Some(b't')) => b'\t',
            (b'\\', Some(b'0')) => 0,
            (b'\\', Some(b'x')) => {
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                let digits = String::from_utf8_lossy(&digits).into_owned();
                u8::from_str_radix(&digits, 16).map_err(|_| format!("escape `\\x{digits}`"))?
            }
            (b'\\', Some(c @ (b'\\' | b'"'))) => c,
            (b'\\', other) => return Err(format!("escape `\\{}`", other.map_or(' ', char::from))),
            (plain, _) => plain,
        });
    }
    Ok(bytes)
}
