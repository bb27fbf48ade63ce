//! A script that gave no reply: one record in the error log with its cause and cure, the script log's, and the status that
//! the client gets.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use crate::exchange::fail::{Blame, Fail};
use crate::gateway::script_reply::ReplyError;
use crate::handlers::cgi::talk::{Event, Talk};
use crate::http::status::Status;
use crate::process::child::Step;
use crate::process::message::Failed;
use crate::process::pidfd::Exit;
use crate::scripts::client::StartError;
use crate::scripts::diagnosis::obstacle::Runner;
use crate::scripts::diagnosis::{Core, Diagnosis, End, Failure, Limits, explain, record};
use crate::scripts::notes::{Notes, Weight};
use crate::scripts::script::{Output, State};

/// A script whose reply is no good, or over too soon, has so long to end by itself before it is judged.
const SETTLE: Duration = Duration::from_secs(1);

/// So much of a failed script's output is kept for the script log.
const KEPT_OUTPUT: usize = 64 * 1024;

/// What is known of a request in case its script fails.
pub(super) struct Case {
    notes: Rc<Notes>,
    path: Vec<u8>,
    /// The script's output, for the script log.
    output: Vec<u8>,
}

impl Case {
    /// `path` is the PATH that the script gets.
    pub(super) fn new(path: Option<&[u8]>, notes: Rc<Notes>) -> Case {
        Case {
            notes,
            path: path.unwrap_or_default().to_vec(),
            output: Vec::new(),
        }
    }

    /// Notes about the request.
    pub(super) fn notes(&self) -> &Rc<Notes> {
        &self.notes
    }

    /// Keeps output for the script log, if there is one.
    pub(super) fn keep_output(&mut self, bytes: &[u8]) {
        if self.notes.script_log_buffer().is_some() {
            let room = KEPT_OUTPUT.saturating_sub(self.output.len()).min(bytes.len());
            self.output.extend_from_slice(bytes.get(..room).unwrap_or_default());
        }
    }

    /// The script could not be started.
    pub(super) fn not_started(&self, error: &StartError) -> Fail {
        let StartError::Failed(failed) = error else {
            return Fail::new(Status::SERVICE_UNAVAILABLE, Blame::Server, error.to_string())
                .with_field("Retry-After", "5")
                .of_module("cgi");
        };
        let failure = Failure {
            script: self.script(),
            runner: &self.runner(),
            sandbox: &self.notes.about().conf.sandbox,
            request: &self.request(),
            pid: None,
            first_bytes: &failed.first_line,
            end: End::NotStarted {
                doing: failed.step.told(),
                errno: failed.errno,
            },
            reply: None,
            stdout_bytes: 0,
            stderr_tail: b"",
            elapsed: Duration::ZERO,
            limits: self.limits(),
        };
        let text = if failed.told.is_empty() {
            self.told(&failure)
        } else {
            let cause = String::from_utf8_lossy(&failed.told).into_owned();
            self.said(&failure, &Diagnosis { cause, cure: None })
        };
        let status = status_of(failed);
        self.notes.log_error(status.code(), text.as_bytes());
        fail(status)
    }

    /// What the script wrote is no reply.
    pub(super) async fn no_reply(mut self, mut talk: Talk, error: &ReplyError) -> Fail {
        let state = self.settle(&mut talk).await;
        talk.script.must_end();
        let end = match state {
            State::Running | State::Ended(None) => End::StillRunning,
            State::Ended(Some(Exit::Code(code))) => End::Exited(code),
            State::Ended(Some(Exit::Signal(signal))) => End::Killed {
                signal,
                core: Core::None,
            },
        };
        self.failed(&talk, end, Some(error), Status::INTERNAL_SERVER_ERROR)
    }

    /// The script was silent for too long; it is ended.
    pub(super) fn silent(self, mut talk: Talk) -> Fail {
        talk.script.must_end();
        let end = End::TimedOut(talk.script.care().silence);
        self.failed(&talk, end, None, Status::GATEWAY_TIMEOUT)
    }

    /// Reads what else it writes, until it has ended or its time is up.
    async fn settle(&mut self, talk: &mut Talk) -> State {
        let drained = async {
            while let Event::Output(Output::Bytes(bytes)) = std::future::poll_fn(|cx| talk.poll(cx)).await {
                self.keep_output(&bytes);
            }
        };
        let _it_goes_on = tokio::time::timeout(SETTLE, drained).await;
        talk.script.settle(SETTLE).await
    }

    fn failed(&self, talk: &Talk, end: End, reply: Option<&ReplyError>, status: Status) -> Fail {
        let script = &talk.script;
        self.told(&Failure {
            script: self.script(),
            runner: &self.runner(),
            sandbox: &self.notes.about().conf.sandbox,
            request: &self.request(),
            pid: script.pid(),
            first_bytes: b"",
            end,
            reply,
            stdout_bytes: script.bytes(),
            stderr_tail: &script.stderr_tail(),
            elapsed: script.elapsed(),
            limits: self.limits(),
        });
        self.notes.log_failure(status.code(), talk.feed.kept(), &self.output);
        fail(status)
    }

    /// Writes the record, and says what it was.
    fn told(&self, failure: &Failure<'_>) -> String {
        self.said(failure, &explain(failure))
    }

    fn said(&self, failure: &Failure<'_>, diagnosis: &Diagnosis) -> String {
        let text = record(failure, diagnosis);
        self.notes.whole(Weight::Error, &text);
        text
    }

    fn script(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.notes.about().script))
    }

    fn request(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.notes.about().unique_id)
    }

    fn limits(&self) -> Limits {
        Limits::of(&self.notes.about().conf.process)
    }

    fn runner(&self) -> Runner {
        Runner::of_script(&self.notes.about().conf.suexec, self.script(), &self.path)
    }
}

/// The log has its record, so the failure has no note.
pub(super) fn fail(status: Status) -> Fail {
    Fail::new(status, Blame::Script, "")
        .telling("The program behind this page failed.")
        .of_module("cgi")
}

/// A place that may not be used is forbidden, want of processes will pass, and all else is the script's fault.
pub(super) fn status_of(failed: &Failed) -> Status {
    match failed.step {
        Step::Place | Step::Kind => Status::FORBIDDEN,
        Step::Open if failed.errno == libc::ENOENT => Status::NOT_FOUND,
        Step::Clone | Step::Ask => Status::SERVICE_UNAVAILABLE,
        _ => Status::INTERNAL_SERVER_ERROR,
    }
}
