//! The state as a page for people: numbers first, then what is under way, then what has been. It needs no script, loads
//! nothing, and fits a phone.

mod tables;

use std::fmt::{Display, Write};

use crate::base::quote;
use crate::base::version::VERSION;
use crate::exchange::state::{Phase, State};
use crate::exchange::{Exchange, page as house};
use crate::handlers::status::words::{bytes, number, ratio, span};

const STYLE: &str = "\
main{max-width:76rem;padding-top:clamp(1rem,4vw,2.5rem);font-variant-numeric:tabular-nums}\
:root{--good:#2c7a4b;--warn:#a15c00;--bad:#b3261e;--card:#fff}\
@media(prefers-color-scheme:dark){:root{--good:#6cc08b;--warn:#e0a458;--bad:#f2877f;--card:#1d2125}}\
h1{margin-bottom:.2rem}h2{font-size:1.05rem;margin:2rem 0 .5rem;font-weight:650}h2 small{font-weight:400;color:var(--soft);font-size:.85rem}\
.s{color:var(--soft);margin:0 0 1.2rem;font-size:.9rem}\
.t{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(9.5rem,45%),1fr));gap:.75rem;margin:0;padding:0}\
.t div{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.7rem .9rem;min-width:0}\
.t dt{color:var(--soft);font-size:.8rem}.t dd{margin:0;font-size:1.45rem;font-weight:650;line-height:1.25;overflow-wrap:anywhere}\
.t dd+dd{font-size:.8rem;font-weight:400;color:var(--soft);line-height:1.35}\
progress{width:100%;height:.4rem;margin:.35rem 0 0;border:0;border-radius:.2rem;background:var(--line);accent-color:var(--link)}\
progress::-webkit-progress-bar{background:var(--line);border-radius:.2rem}progress::-webkit-progress-value{background:var(--link);border-radius:.2rem}\
progress::-moz-progress-bar{background:var(--link)}\
table{border-collapse:collapse;width:100%;font-size:.9rem}\
th{text-align:left;font-weight:600;font-size:.8rem;color:var(--soft);padding:.35rem .75rem .35rem 0;border-bottom:1px solid var(--line);white-space:nowrap}\
td{padding:.45rem .75rem .45rem 0;border-bottom:1px solid var(--line);vertical-align:top}\
th:last-child,td:last-child{padding-right:0}\
.n{text-align:right}.n,.o{white-space:nowrap}.w{width:100%;overflow-wrap:anywhere}.x{color:var(--soft)}\
code{font:.85em/1.4 ui-monospace,monospace;overflow-wrap:anywhere}\
.b{display:inline-block;padding:0 .5em;border-radius:1em;font-size:.8rem;white-space:nowrap;border:1px solid currentColor}\
.answering,.running{color:var(--good)}.reading,.starting{color:var(--link)}.idle,.closing,.stopped{color:var(--soft)}.failed{color:var(--bad)}\
.e{color:var(--soft);margin:.2rem 0}\
@media(max-width:44rem){thead{display:none}table,tbody{display:block}\
tr{display:flex;flex-wrap:wrap;gap:.1rem .8rem;border-bottom:1px solid var(--line);padding:.55rem 0}\
td{border:0;padding:0;text-align:left;font-size:.85rem}td.w{order:-1;width:100%;font-size:.9rem}\
td[data-n]::before{content:attr(data-n) ' ';color:var(--soft)}td:empty{display:none}}";

/// The page.
pub fn page(ex: &Exchange, state: &State, refresh: Option<u64>) -> Vec<u8> {
    let mut page = Page(String::new());
    let name = String::from_utf8_lossy(ex.server_name());
    page.raw("<h1>");
    page.text(&name);
    page.raw("</h1>\n");
    page.subtitle(state, refresh);
    page.numbers(state);
    page.live(state);
    page.scripts(state);
    page.services(state);
    page.backends(state);
    page.answers(state);
    page.sites(ex, state);
    page.processes(state);
    let title = format!("{name}: server status");
    let mut out = house::head(title.as_bytes(), STYLE, b"");
    out.extend_from_slice(page.0.as_bytes());
    house::end(&mut out, ex.signature().as_deref());
    out
}

/// The page so far.
struct Page(String);

impl Page {
    /// What is HTML already.
    fn raw(&mut self, html: impl Display) {
        // Writing to a String does not fail.
        let _written = write!(self.0, "{html}");
    }

    /// A text by whomever.
    fn text(&mut self, text: &str) {
        self.0.push_str(&escaped(text.as_bytes()));
    }

    fn subtitle(&mut self, state: &State, refresh: Option<u64>) {
        let server = state.server.as_ref();
        let up = span(server.map_or_else(|| state.up(), |server| server.up));
        self.raw(format_args!("<p class=\"s\">lychgate {VERSION}, up {up}; "));
        if server.is_some_and(|server| server.generation > 1) {
            self.raw(format_args!(
                "settings read and counts begun {} ago; ",
                span(state.up())
            ));
        }
        match refresh {
            Some(seconds) => self.raw(format_args!(
                "loads again every {seconds} s, <a href=\"?refresh=0\">stop</a>"
            )),
            None => self.raw("<a href=\"?refresh=10\">load again every 10 s</a>"),
        }
        self.raw(" · <a href=\"?json\">JSON</a> · <a href=\"?auto\">text</a></p>\n");
        if state.silent > 0 {
            self.raw(format_args!(
                "<p class=\"failed\">{} of {} threads did not answer in time; what they do is missing here.</p>\n",
                state.silent, state.threads
            ));
        }
    }

    /// What there is most interest in.
    fn numbers(&mut self, state: &State) {
        let work = &state.work;
        let tally = &work.tally;
        let up = u64::try_from(state.up().as_millis()).unwrap_or(u64::MAX);
        self.raw("<dl class=\"t\">\n");
        let phases = &work.phases;
        self.tile(
            "Connections",
            &number(state.open_connections as u64),
            &format!(
                "{} answering, {} reading, {} idle; up to {}",
                phases.of(Phase::Answering),
                phases.of(Phase::Reading),
                phases.of(Phase::Idle),
                number(state.most_connections as u64)
            ),
            Some((state.open_connections, state.most_connections)),
        );
        self.tile(
            "Scripts",
            &number(state.busy_scripts as u64),
            &format!("{} waiting; up to {}", state.waiting_for_scripts, state.most_scripts),
            Some((state.busy_scripts, state.most_scripts)),
        );
        self.tile(
            "Requests",
            &number(tally.requests),
            &format!("{} a second", ratio(tally.requests.saturating_mul(1000), up, 2)),
            None,
        );
        self.tile(
            "Sent",
            &bytes(tally.bytes_out),
            &format!(
                "{} a second, {} received",
                bytes(tally.bytes_out.saturating_mul(1000) / up.max(1)),
                bytes(tally.bytes_in)
            ),
            None,
        );
        let mean = |micros: u64| format!("{} ms", ratio(micros, tally.requests.saturating_mul(1000), 1));
        self.tile(
            "Time of an answer",
            &mean(tally.micros),
            &format!("of it {} to the first byte", mean(tally.micros_before)),
            None,
        );
        if let Some(cache) = &work.cache {
            let given = number(cache.hits);
            let more = format!(
                "answers given from memory, {} not; {} kept, {} with contents; {} of {}",
                number(cache.misses),
                number(cache.entries),
                number(cache.contents),
                bytes(cache.bytes + cache.content_bytes),
                bytes(cache.room)
            );
            self.tile("File cache", &given, &more, None);
        }
        let [one, five, fifteen] = super::auto::load();
        let used = state.server.as_ref().map(|server| server.used());
        let memory = used.map_or_else(String::new, |used| format!("server's memory {}", bytes(used.memory)));
        self.tile("Load", &one, &format!("{five}, {fifteen}; {memory}"), None);
        self.raw("</dl>\n");
    }

    fn tile(&mut self, name: &str, value: &str, more: &str, share: Option<(usize, usize)>) {
        self.raw(format_args!("<div><dt>{name}</dt><dd>{value}</dd><dd>{more}"));
        if let Some((of, most)) = share {
            self.raw(format_args!(
                "<progress value=\"{of}\" max=\"{}\" aria-label=\"{name}\"></progress>",
                most.max(1)
            ));
        }
        self.raw("</dd></div>\n");
    }
}

fn escaped(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut out = Vec::new();
    quote::escape_html(&mut out, text.as_bytes());
    String::from_utf8(out).unwrap_or_default()
}
