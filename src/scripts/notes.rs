//! What the watching of a script has to say about it, for the error log and the script log.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use crate::base::quote;
use crate::config::directives::DirConf;
use crate::log::script_log::ScriptLog;

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
    /// Writes one record of the module `cgi` to the error log of the site, if its levels allow it. The text is one line,
    /// and all in it that others wrote is escaped already.
    fn note(&self, about: &About, weight: Weight, text: &str);

    /// The site's ScriptLog, if it has one.
    fn script_log(&self, site: usize) -> Option<Rc<ScriptLog>>;
}

/// The request that notes are about.
#[derive(Clone, Debug)]
pub struct About {
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
}

/// Takes notes about one script's request.
pub struct Notes {
    logs: Rc<dyn Logs>,
    about: About,
}

impl Notes {
    /// Notes about a request, for these logs.
    pub fn new(logs: Rc<dyn Logs>, about: About) -> Notes {
        Notes { logs, about }
    }

    /// The request.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The ScriptLog of its site.
    pub fn script_log(&self) -> Option<Rc<ScriptLog>> {
        self.logs.script_log(self.about.site)
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
        self.note(Weight::Error, pid, &format!("stderr: {}", escaped(line)));
    }
}

/// Bytes of others as they may stand in a record.
pub fn escaped(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len());
    quote::escape_error_log(&mut out, bytes);
    String::from_utf8_lossy(&out).into_owned()
}
