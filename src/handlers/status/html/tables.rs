//! The tables of the page.

use std::time::Duration;

use super::{Page, escaped};
use crate::backend::states::BackendState;
use crate::exchange::Exchange;
use crate::exchange::state::{Phase, State};
use crate::handlers::status::words::{bytes, number, span};

/// So many rows a table has at most.
const ROWS: usize = 200;

/// A cell of a table.
enum Cell {
    /// A state, in its colour.
    Badge(&'static str),
    /// The cell that has the most room, HTML already.
    Wide(String),
    /// A text, which may be long.
    Text(String),
    /// A few words, which stay in a line.
    Words(String),
    /// A number.
    Number(String),
}

use Cell::{Badge, Number, Text, Wide, Words};

impl Page {
    /// Connections that are about something; then those that wait.
    pub(super) fn live(&mut self, state: &State) {
        let rows: Vec<Vec<Cell>> = state
            .work
            .connections
            .iter()
            .take(ROWS)
            .map(|one| {
                let line = match (one.line.as_slice(), one.phase) {
                    (b"", _) => String::new(),
                    (line, Phase::Answering) => format!("<code>{}</code>", escaped(line)),
                    (line, _) => format!("<code class=\"x\">{}</code>", escaped(line)),
                };
                vec![
                    Badge(one.phase.name()),
                    Text(one.client.ip().to_canonical().to_string()),
                    Wide(line),
                    Text(escaped(&one.host)),
                    Number(span(one.since)),
                    Number(bytes(one.sent)),
                    Number(number(one.requests.into())),
                ]
            })
            .collect();
        let all = state.work.phases.all();
        self.heading("Connections", shown(rows.len(), all));
        self.table(
            &["State", "Client", "Request", "Host", "For", "Sent", "Requests"],
            rows,
            "none",
        );
    }

    pub(super) fn scripts(&mut self, state: &State) {
        let scripts = &state.work.scripts;
        let rows: Vec<Vec<Cell>> = scripts
            .iter()
            .take(ROWS)
            .map(|one| {
                let used = one.pid.and_then(|pid| state.used_by(pid));
                let what = if one.request.is_empty() {
                    &one.file
                } else {
                    &one.request
                };
                vec![
                    Badge(if one.pid.is_some() { "running" } else { "starting" }),
                    Text(one.client.ip().to_canonical().to_string()),
                    Wide(format!("<code>{}</code>", escaped(what))),
                    Number(one.pid.map_or_else(String::new, |pid| pid.to_string())),
                    Number(span(one.age)),
                    Number(used.map_or_else(String::new, |used| span(used.user + used.system))),
                    Number(used.map_or_else(String::new, |used| bytes(used.memory))),
                ]
            })
            .collect();
        self.heading("Scripts", shown(rows.len(), scripts.len()));
        self.table(
            &["State", "Client", "Request", "Pid", "For", "CPU", "Memory"],
            rows,
            "none runs",
        );
    }

    pub(super) fn services(&mut self, state: &State) {
        let services = state.server.iter().flat_map(|server| &server.services);
        let mut rows = Vec::new();
        for one in services.take(ROWS) {
            rows.push(vec![
                Badge(match one.state.as_str() {
                    "running" => "running",
                    "failed" => "failed",
                    _ => "stopped",
                }),
                Wide(format!("<b>{}</b>", escaped(one.name.as_bytes()))),
                Words(format!("{} of {} to {}", one.processes.len(), one.least, one.most)),
                Number(number(one.requests)),
                Number(String::new()),
                Number(bytes(one.processes.iter().map(|process| process.usage.memory).sum())),
                Number(number(one.restarts)),
            ]);
            for process in one.processes.iter().take(ROWS) {
                rows.push(vec![
                    Text(String::new()),
                    Wide(format!(
                        "<span class=\"x\">pid {}, {} connections</span>",
                        process.pid, process.connections
                    )),
                    Text(String::new()),
                    Number(number(process.requests)),
                    Number(span(process.age)),
                    Number(bytes(process.usage.memory)),
                    Number(String::new()),
                ]);
            }
        }
        if !rows.is_empty() {
            self.heading("Services", String::new());
            self.table(
                &["State", "Service", "Processes", "Requests", "Up", "Memory", "Restarts"],
                rows,
                "",
            );
        }
    }

    pub(super) fn backends(&mut self, state: &State) {
        let member = |wide: String, route: String, active: String, kept: String, failed: Option<Duration>| {
            vec![
                Badge(if failed.is_some() { "failed" } else { "idle" }),
                Wide(wide),
                Text(route),
                Number(active),
                Number(kept),
                Words(failed.map_or_else(String::new, |ago| format!("not reached {} ago", span(ago)))),
            ]
        };
        let one = |one: &BackendState| {
            let address = format!(
                "<code>{}</code> <span class=\"x\">{}</span>",
                escaped(one.address.as_bytes()),
                one.scheme
            );
            let mut row = member(
                address,
                String::new(),
                number(one.active as u64),
                number(one.kept as u64),
                one.failed,
            );
            if one.active > 0 && one.failed.is_none() {
                row[0] = Badge("answering");
            }
            row
        };
        let mut rows: Vec<Vec<Cell>> = state.backends.iter().take(ROWS).map(one).collect();
        for balancer in state.balancers.iter().take(ROWS) {
            rows.push(vec![
                Text(String::new()),
                Wide(format!("<b>{}</b>", escaped(balancer.name.as_bytes()))),
                Text(String::new()),
                Number(String::new()),
                Number(String::new()),
                Text(String::new()),
            ]);
            let members = balancer.members.iter().take(ROWS);
            rows.extend(members.map(|one| {
                let address = format!("<code>{}</code>", escaped(one.address.as_bytes()));
                member(
                    address,
                    escaped(one.route.as_bytes()),
                    number(one.active),
                    String::new(),
                    one.failed,
                )
            }));
        }
        if !rows.is_empty() {
            self.heading("Applications and balancers", String::new());
            self.table(&["State", "Address", "Route", "Requests", "Kept", ""], rows, "");
        }
    }

    pub(super) fn answers(&mut self, state: &State) {
        let mut answers: Vec<_> = state.work.tally.answers().collect();
        answers.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
        let all = state.work.tally.requests.max(1);
        let row = |(method, status, count): &(&'static str, u16, u64)| {
            vec![
                Text(status.to_string()),
                Text((*method).to_owned()),
                Wide(format!("<progress value=\"{count}\" max=\"{all}\"></progress>")),
                Number(number(*count)),
            ]
        };
        let rows: Vec<Vec<Cell>> = answers.iter().take(ROWS).map(row).collect();
        self.heading("Answers", String::new());
        self.table(&["Status", "Method", "", "Requests"], rows, "none yet");
    }

    pub(super) fn sites(&mut self, ex: &Exchange, state: &State) {
        let names = ex.config.names_of_sites();
        let mut sites: Vec<_> = names
            .iter()
            .zip(&state.work.tally.sites)
            .filter(|(_, of)| of.requests > 0)
            .collect();
        if names.len() < 2 || sites.is_empty() {
            return;
        }
        sites.sort_by_key(|(_, of)| std::cmp::Reverse(of.requests));
        let row = |(name, of): &(&String, &crate::exchange::tally::OfSite)| {
            vec![
                Wide(escaped(name.as_bytes())),
                Number(number(of.requests)),
                Number(bytes(of.bytes_out)),
            ]
        };
        let rows: Vec<Vec<Cell>> = sites.iter().take(ROWS).map(row).collect();
        self.heading("Sites", shown(rows.len(), sites.len()));
        self.table(&["Site", "Requests", "Sent"], rows, "");
    }

    pub(super) fn processes(&mut self, state: &State) {
        let Some(server) = &state.server else { return };
        let row = |one: &crate::process::report::ProcessReport| {
            vec![
                Wide(escaped(one.role.as_bytes())),
                Number(one.pid.to_string()),
                Number(span(one.age)),
                Number(span(one.usage.user + one.usage.system)),
                Number(bytes(one.usage.memory)),
                Number(number(one.restarts)),
            ]
        };
        let rows = server.processes.iter().take(ROWS).map(row).collect();
        self.heading("Processes of the server", String::new());
        self.table(&["Process", "Pid", "Up", "CPU", "Memory", "Restarts"], rows, "");
    }

    fn heading(&mut self, name: &str, more: String) {
        self.raw(format_args!(
            "<h2>{name}{}</h2>\n",
            if more.is_empty() {
                more
            } else {
                format!(" <small>{more}</small>")
            }
        ));
    }

    fn table(&mut self, columns: &[&str], rows: Vec<Vec<Cell>>, nothing: &str) {
        if rows.is_empty() {
            return self.raw(format_args!("<p class=\"e\">{nothing}</p>\n"));
        }
        self.raw("<table><thead><tr>");
        let kinds = rows.first().map_or(&[][..], Vec::as_slice);
        for (at, column) in columns.iter().enumerate() {
            let class = if matches!(kinds.get(at), Some(Number(_))) {
                " class=\"n\""
            } else {
                ""
            };
            self.raw(format_args!("<th{class}>{column}</th>"));
        }
        self.raw("</tr></thead><tbody>\n");
        for row in rows {
            self.raw("<tr>");
            for (cell, column) in row.into_iter().zip(columns) {
                match cell {
                    Badge(name) => self.raw(format_args!("<td><span class=\"b {name}\">{name}</span></td>")),
                    Wide(html) => self.raw(format_args!("<td class=\"w\">{html}</td>")),
                    Words(text) if !text.is_empty() => self.raw(format_args!("<td class=\"o\">{text}</td>")),
                    Text(text) | Words(text) if text.is_empty() => self.raw("<td></td>"),
                    Number(text) if text.is_empty() => self.raw("<td class=\"n\"></td>"),
                    Text(text) | Words(text) => self.raw(format_args!("<td>{text}</td>")),
                    Number(text) => self.raw(format_args!("<td class=\"n\" data-n=\"{column}\">{text}</td>")),
                }
            }
            self.raw("</tr>\n");
        }
        self.raw("</tbody></table>\n");
    }
}

/// How many of all are there to be seen, where they are not all.
fn shown(rows: usize, all: usize) -> String {
    if rows < all {
        format!("{} of {}", number(rows as u64), number(all as u64))
    } else {
        String::new()
    }
}
