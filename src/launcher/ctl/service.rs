//! `restart`, `start`, `stop` and `status` of one service.

use std::time::{Duration, Instant};

use super::super::Launcher;
use super::super::services::{State, Status};
use super::status::{Form, service_json, service_process_text, service_text};
use super::{FAILED, Stage, Visitor};
use crate::process::ctl::words::{Line, lines};
use crate::process::say::{Weight, say};

/// What is to be done to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Restart,
    Start,
    Stop,
}

/// How long the processes of a service that was stopped are waited for; they may take longer.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// How often it is looked whether they have ended: often enough for people.
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl Launcher<'_> {
    /// Does it, and says what has become of the service. A stop is over when its processes have ended.
    pub(super) fn do_to_service(&mut self, number: u64, deed: Deed, name: &str) {
        let (done, word) = match deed {
            Deed::Restart => (self.services.restart(name, &self.stock), "restarted"),
            Deed::Start => (self.services.start(name, &self.stock), "started"),
            Deed::Stop => (self.services.stop(name, &self.stock), "stopped"),
        };
        let status = self.service(name);
        self.for_visitor(number, |visitor| match (&done, deed) {
            (Err(error), _) => visitor.end(error, FAILED),
            (Ok(()), Deed::Stop) => {
                visitor.stage = Stage::Stop(name.to_owned(), Instant::now() + STOP_LIMIT);
                visitor.until = None;
            }
            (Ok(()), Deed::Restart | Deed::Start) => visitor.tell_of_service(status.as_ref()),
        });
        if done.is_ok() {
            say(
                "launcher",
                Weight::Notice,
                &format!("service {name} is {word} by lychgate ctl"),
            );
        }
    }

    /// Answers those who wait for the end of the processes of a service.
    pub(super) fn look_after_stops(&mut self, now: Instant) {
        let waits = |visitor: &Visitor| match &visitor.stage {
            Stage::Stop(name, until) => Some((visitor.number, name.clone(), *until)),
            _ => None,
        };
        let waiting: Vec<_> = self.desk.visitors.iter().filter_map(waits).collect();
        self.desk.look_at = (!waiting.is_empty()).then(|| now + LOOK_EVERY);
        for (number, name, until) in waiting {
            let status = self.service(&name);
            let left = status.as_ref().map_or(0, |status| status.leaving);
            // Somebody may have started it again meanwhile.
            let is_stopped = status.as_ref().is_none_or(|status| status.state != State::Running);
            self.for_visitor(number, |visitor| {
                if left > 0 && is_stopped && until > now {
                    return;
                }
                if left > 0 && is_stopped {
                    let told = format!("{name}: stopped; {left} of its processes still have requests to answer");
                    visitor.end(&told, FAILED);
                } else {
                    visitor.say_service(status.as_ref());
                    visitor.leave(if is_stopped { super::DONE } else { FAILED });
                }
            });
        }
    }

    /// Shows one service.
    pub(super) fn show_service(&mut self, number: u64, name: &str, form: Form) {
        let status = self.service(name);
        self.for_visitor(number, |visitor| match (status, form) {
            (None, _) => visitor.end(&format!("there is no service `{name}`"), FAILED),
            (Some(status), Form::Json) => visitor.succeed(&service_json(&status).to_string()),
            (Some(status), Form::Text) => {
                let processes: Vec<String> = status.processes.iter().map(service_process_text).collect();
                visitor.succeed(&([vec![service_text(&status)], processes].concat().join("\n")));
            }
        });
    }

    fn service(&self, name: &str) -> Option<Status> {
        self.services.status().into_iter().find(|status| status.name == name)
    }
}

impl Visitor {
    fn say_service(&mut self, status: Option<&Status>) {
        if let Some(status) = status {
            lines(&service_text(status), Line::Out).for_each(|line| self.say(&line));
        }
    }

    /// It is good if the service runs.
    fn tell_of_service(&mut self, status: Option<&Status>) {
        self.say_service(status);
        let runs = status.is_some_and(|status| status.state == State::Running);
        self.leave(if runs { super::DONE } else { FAILED });
    }
}
