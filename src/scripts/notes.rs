//! What the watching of a script has to say about it, for the error log and the script log.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use crate::base::quote;
use crate::config::directives::DirConf;
use crate::log::error::RequestFacts;
use crate::log::script_log::{Conversation, ScriptLog, ScriptRequest};

/// How much a note weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// The script failed, or complains.
    Error,
    /// Something of it was left out.
    Warning,
    /// Nothing is wrong.
    Info,
}

/// The logs of every site, as a worker thread has them.
pub trait Logs {
    /// Writes one record of the request's module to the error log of the site, if its levels allow it. The text is one line,
    /// and all in it that others wrote is escaped already.
    fn note(&self, about: &About, weight: Weight, text: &str);

    /// The site's ScriptLog, if it has one.
    fn script_log(&self, site: usize) -> Option<Rc<ScriptLog>>;

    /// Offers a line of a script's standard error, without its end, to whoever may want it instead of the error log.
    fn complaint(&self, _line: &[u8]) -> Taken {
        Taken::Not
    }
}

/// Whether somebody else writes a line of standard error down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Nobody: it is for the error log.
    Not,
    /// Somebody does.
    ByOthers,
}

/// The request that notes are about.
#[derive(Clone, Debug)]
pub struct About {
    /// The module whose LogLevel decides.
    pub module: &'static str,
    /// The number of its site.
    pub site: usize,
    /// Who asked.
    pub client: SocketAddr,
    /// The settings in force, for LogLevel.
    pub conf: Arc<DirConf>,
    /// The request's own name.
    pub unique_id: [u8; 24],
    /// The script's file.
    pub script: Vec<u8>,
    /// What else its lines tell of the request, where ErrorLogFormat asks for that.
    pub facts: Option<Arc<RequestFacts>>,
}

/// The request as the script log tells it; fields in order.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The method.
    pub method: Vec<u8>,
    /// The decoded path.
    pub path: Vec<u8>,
    /// The query, without `?`.
    pub query: Option<Vec<u8>>,
    /// `HTTP/1.1`
    pub protocol: &'static str,
    /// Names and values.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Takes notes about one script's request.
pub struct Notes {
    logs: Rc<dyn Logs>,
    about: About,
    script_log: Option<(Rc<ScriptLog>, Asked)>,
}

impl Notes {
    /// Notes about a request, for these logs. `asked` is called where its site has a script log.
    pub fn new(logs: Rc<dyn Logs>, about: About, asked: impl FnOnce() -> Asked) -> Notes {
        let script_log = logs.script_log(about.site).map(|log| (log, asked()));
        Notes {
            logs,
            about,
            script_log,
        }
    }

    /// Notes for the error log alone.
    pub fn of_error_log(logs: Rc<dyn Logs>, about: About) -> Notes {
        Notes {
            logs,
            about,
            script_log: None,
        }
    }

    /// The request.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// How much of the request's body the script log wants, in bytes; `None` without a script log.
    pub fn script_log_buffer(&self) -> Option<usize> {
        self.script_log.as_ref().map(|(log, _)| log.buffer())
    }

    /// Tells the script log that the script could not be run, or what it complains about.
    pub fn log_error(&self, status: u16, message: &[u8]) {
        if let Some((log, asked)) = &self.script_log {
            log.error(&self.request(asked), status, message);
        }
    }

    /// Tells the script log of a reply that is none: what went in, what came out.
    pub fn log_failure(&self, status: u16, body: &[u8], stdout: &[u8]) {
        let Some((log, asked)) = &self.script_log else { return };
        let fields: Vec<(&[u8], &[u8])> = asked
            .fields
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
            .collect();
        let conversation = Conversation {
            request_fields: &fields,
            request_body: Some(body).filter(|body| !body.is_empty()),
            stdout,
            ..Conversation::default()
        };
        log.failure(&self.request(asked), status, &conversation);
    }

    fn request<'a>(&'a self, asked: &'a Asked) -> ScriptRequest<'a> {
        ScriptRequest {
            method: &asked.method,
            path: &asked.path,
            query: asked.query.as_deref(),
            protocol: asked.protocol.as_bytes(),
            script: &self.about.script,
        }
    }

    /// A record that speaks for itself: it names the script.
    pub fn whole(&self, weight: Weight, text: &str) {
        self.logs.note(&self.about, weight, text);
    }

    /// A record about the script, which has this process id.
    pub fn note(&self, weight: Weight, pid: Option<i32>, text: &str) {
        let script = escaped(&self.about.script);
        let id = String::from_utf8_lossy(&self.about.unique_id);
        let text = match pid {
            Some(pid) => format!("{script} (pid {pid}, request {id}): {text}"),
            None => format!("{script} (request {id}): {text}"),
        };
        self.logs.note(&self.about, weight, &text);
    }

    /// A line of its standard error, as it wrote it.
    pub fn complaint(&self, pid: Option<i32>, line: &[u8]) {
        self.log_error(200, line); // whatever becomes of it, as Apache says here
        if self.logs.complaint(line) == Taken::Not {
            self.note(Weight::Error, pid, &format!("stderr: {}", escaped(line)));
        }
    }
}

/// Bytes of others as they may stand in a record.
pub fn escaped(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len());
    quote::escape_error_log(&mut out, bytes);
    String::from_utf8_lossy(&out).into_owned()
}
