//! Why a request gets an error: a status for the client, a sentence for the log, and who is to blame.

use std::borrow::Cow;
use std::fmt;

use crate::http::fields::{Fields, is_field_name, is_field_value};
use crate::http::status::Status;

/// The end of a request without the answer it asked for.
#[derive(Clone, Debug)]
pub enum Fail {
    /// The client gets this status.
    Reply(Reply),
    /// The client has left; there is nobody to answer.
    ClientGone,
}

/// What the client gets, and what the log says.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status that goes out.
    pub status: Status,
    /// For the error log: `what: which: why`. Empty where the log has nothing to say.
    pub note: String,
    /// Who is to blame.
    pub blame: Blame,
    /// More fields for the answer (`Allow`, `Retry-After`).
    pub fields: Vec<(Cow<'static, [u8]>, Vec<u8>)>,
    /// What the error page may tell the client.
    pub told: Option<String>,
    /// What becomes of the connection.
    pub connection: AfterFail,
    /// The module whose LogLevel decides.
    pub module: &'static str,
}

/// Who is to blame, which decides the level in the error log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The client: logged at `info`.
    Client,
    /// The site's files or settings: logged at `error`.
    Site,
    /// A script: logged at `error`.
    Script,
    /// Another server, which could not be reached and so has nothing of the request: logged at `error`.
    Backend,
    /// Ourselves or the system: logged at `error`.
    Server,
}

/// What becomes of the connection behind an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFail {
    /// It goes on.
    Keep,
    /// It is closed, for what follows on it cannot be trusted or is not wanted.
    Close,
}

impl Fail {
    /// An answer of `status`; `note` is for the log.
    pub fn new(status: Status, blame: Blame, note: impl Into<String>) -> Fail {
        Fail::Reply(Reply {
            status,
            note: note.into(),
            blame,
            fields: Vec::new(),
            told: None,
            connection: AfterFail::Keep,
            module: "core",
        })
    }

    /// The client's fault.
    pub fn client(status: Status, note: impl Into<String>) -> Fail {
        Fail::new(status, Blame::Client, note)
    }

    /// The site's fault: a file or a setting.
    pub fn site(status: Status, note: impl Into<String>) -> Fail {
        Fail::new(status, Blame::Site, note)
    }

    /// Our own fault or the system's: 500.
    pub fn internal(note: impl Into<String>) -> Fail {
        Fail::new(Status::INTERNAL_SERVER_ERROR, Blame::Server, note)
    }

    /// Whether nothing of the request was done, because another server could not be reached.
    pub fn is_unreached(&self) -> bool {
        matches!(self, Fail::Reply(reply) if reply.blame == Blame::Backend)
    }

    /// The status that the client gets, or would get if it were there.
    pub fn status(&self) -> Status {
        match self {
            Fail::Reply(reply) => reply.status,
            Fail::ClientGone => Status::BAD_REQUEST,
        }
    }

    /// The same with a field more in the answer.
    #[must_use]
    pub fn with_field(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Fail {
        if let Fail::Reply(reply) = &mut self {
            reply.fields.push((Cow::Borrowed(name.as_bytes()), value.into()));
        }
        self
    }

    /// The same with fields of a program's answer, but for those of its body, of the connection, and of those there are.
    #[must_use]
    pub fn with_fields_of(mut self, fields: &[(Vec<u8>, Vec<u8>)]) -> Fail {
        let Fail::Reply(reply) = &mut self else { return self };
        let known = reply.fields.clone();
        for (name, value) in fields {
            let is_known = known.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
            if !is_known && may_be_passed_on(name) && is_field_name(name) && is_field_value(value) {
                reply.fields.push((Cow::Owned(name.clone()), value.clone()));
            }
        }
        self
    }

    /// What is said without TLS where nothing else is spoken: 400, with Apache's sentence.
    pub fn plain_http(note: &str) -> Fail {
        const TOLD: &str = "Reason: You're speaking plain HTTP to an SSL-enabled server port. Instead use the HTTPS scheme to access \
this URL, please.";
        Fail::client(Status::BAD_REQUEST, note).of_module("ssl").telling(TOLD)
    }

    /// The same with a sentence that the error page shows.
    #[must_use]
    pub fn telling(mut self, sentence: impl Into<String>) -> Fail {
        if let Fail::Reply(reply) = &mut self {
            reply.told = Some(sentence.into());
        }
        self
    }

    /// The same, and the connection is closed behind it.
    #[must_use]
    pub fn closing(mut self) -> Fail {
        if let Fail::Reply(reply) = &mut self {
            reply.connection = AfterFail::Close;
        }
        self
    }

    /// The same, logged under another module's level.
    #[must_use]
    pub fn of_module(mut self, module: &'static str) -> Fail {
        if let Fail::Reply(reply) = &mut self {
            reply.module = module;
        }
        self
    }
}

impl Reply {
    /// Says its fields in an answer, in the place of those of the same names. Cookies stand beside each other, those of the
    /// answer behind: of two with one name the last one counts.
    pub fn say_fields(&self, answer: &mut Fields) {
        let cookies: Vec<_> = answer.values(b"Set-Cookie").map(<[u8]>::to_vec).collect();
        answer.remove("Set-Cookie");
        for (name, _) in &self.fields {
            answer.remove(name);
        }
        for (name, value) in &self.fields {
            answer.append(name, value);
        }
        for cookie in cookies {
            answer.append("Set-Cookie", cookie);
        }
    }
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fail::Reply(reply) => write!(f, "{}: {}", reply.status.code(), reply.note),
            Fail::ClientGone => f.write_str("the client has left"),
        }
    }
}
/// Whether a field may stand beside a page of ours.
fn may_be_passed_on(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    !name.starts_with(b"content-")
        && !matches!(
            name.as_slice(),
            b"connection"
                | b"date"
                | b"etag"
                | b"keep-alive"
                | b"last-modified"
                | b"location"
                | b"server"
                | b"trailer"
                | b"transfer-encoding"
                | b"upgrade"
        )
}
