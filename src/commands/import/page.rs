//! The report for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::config::directives;

use super::change::Change;
use super::finding::{Finding, Kind};
use super::modules::{self, Presence};
use super::texts::without_end;
use super::{Report, Verdict};

/// A line of names is broken behind so many columns.
const WIDTH: usize = 100;

/// The page.
pub fn of(report: &Report) -> String {
    let mut page = format!("{}\n", report.subject.display());
    findings(report, &mut page);
    differences(report, &mut page);
    ignored(report, &mut page);
    loaded_modules(report, &mut page);
    supported(report, &mut page);
    summary(report, &mut page);
    copied(report, &mut page);
    next(report, &mut page);
    page
}

fn line(page: &mut String, indent: usize, text: &str) {
    let _never_fails = writeln!(page, "{:indent$}{text}", "");
}

/// What has a line each.
fn findings(report: &Report, page: &mut String) {
    for (kind, heading) in [
        (Kind::Refused, "Not supported: the server does not start with these"),
        (Kind::Differs, "Taken, but otherwise than under Apache"),
        (Kind::LeftOut, "Left out: Apache has the module, lychgate has not"),
        (Kind::Remark, "Good to know"),
    ] {
        let mut of_kind = report.of(kind).peekable();
        if of_kind.peek().is_some() {
            let _never_fails = writeln!(page, "\n{heading}");
        }
        for finding in of_kind {
            let what = finding
                .line
                .as_deref()
                .map_or_else(|| finding.directive.clone(), first_line);
            let gap = if what.is_empty() { "" } else { ": " };
            line(page, 2, &format!("{}{gap}{what}", finding.place));
            line(page, 6, &finding.message);
            change(finding, page);
        }
    }
}

fn change(finding: &Finding, page: &mut String) {
    match &finding.change {
        Change::None | Change::ByHand => {}
        Change::Line(instead) => {
            let before = finding.line.as_deref().map_or_else(String::new, first_line);
            line(page, 4, &format!("- {before}"));
            line(page, 4, &format!("+ {}", first_line(instead)));
        }
        Change::LeaveOut { last } => {
            let lines = lines_of(finding.place.line, *last);
            line(
                page,
                6,
                &format!("without it the server starts: write `#` before {lines}"),
            );
        }
        Change::LeaveOutHost { first, last } => {
            let lines = lines_of(*first, *last);
            line(
                page,
                6,
                &format!("its virtual host can be left out: write `#` before {lines}"),
            );
        }
    }
}

fn lines_of(first: u32, last: u32) -> String {
    if first == last {
        format!("line {first}")
    } else {
        format!("lines {first} to {last}")
    }
}

/// The first physical line without its indent, made fit for a terminal.
pub fn first_line(text: &[u8]) -> String {
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let shown = String::from_utf8_lossy(without_end(first));
    let shown = shown.trim().chars();
    shown.map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// What the manual tells of directives in use, and of defaults.
fn differences(report: &Report, page: &mut String) {
    if !report.tally.unset.is_empty() {
        page.push_str("\nNot written, and not Apache's by default\n");
    }
    for (name, sentence) in &report.tally.unset {
        let default = directives::all()
            .find(|own| own.name == *name)
            .map_or("", |own| own.default);
        line(page, 2, &format!("{name} {default}: {sentence}"));
    }
    if report.tally.told.is_empty() {
        return;
    }
    page.push_str("\nSupported, with a difference that the manual tells\n");
    for (place, name, sentences) in &report.tally.told {
        line(page, 2, &format!("{name}, first at {place}"));
        for sentence in sentences {
            line(page, 6, sentence);
        }
    }
}

/// The sections of lychgate-apache(7) that tell of differences, and the modules that they concern, by the beginning of their names.
const SECTIONS: &[(&str, &[&str])] = &[
    ("ACCESS", &["mod_auth", "mod_access"]),
    ("FASTCGI APPLICATIONS", &["mod_proxy_fcgi", "mod_fcgid"]),
    ("SCGI APPLICATIONS", &["mod_proxy_scgi"]),
    ("AUTHORIZERS", &["mod_authnz_fcgi"]),
    ("BALANCERS", &["mod_proxy_balancer"]),
    ("SERVERS BEHIND", &["mod_proxy"]),
    ("SCRIPTS", &["mod_cgi"]),
    ("REWRITING", &["mod_rewrite"]),
    ("SECTIONS AND .HTACCESS FILES", &["core"]),
    ("FIELDS AND NAMES", &["core"]),
];

/// The sections that concern what is in use.
fn sections(report: &Report) -> Vec<&'static str> {
    let is_in_use = |begin: &&str| {
        let mut modules = report.tally.modules.iter().filter(|module| !module.is_empty());
        modules.any(|module| module.starts_with(begin)) || !report.scripts.is_empty() && *begin == "mod_cgi"
    };
    let concerned = SECTIONS.iter().filter(|(_, modules)| modules.iter().any(&is_in_use));
    concerned.map(|(section, _)| *section).collect()
}

/// What is ignored for one reason is told once.
fn ignored(report: &Report, page: &mut String) {
    let mut by_reason: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in report.of(Kind::Ignored) {
        by_reason.entry(&finding.message).or_default().push(finding);
    }
    if !by_reason.is_empty() {
        page.push_str("\nIgnored, and nothing is missed\n");
    }
    for (reason, findings) in by_reason {
        let mut names: Vec<&str> = Vec::new();
        for finding in &findings {
            if !names.iter().any(|name| name.eq_ignore_ascii_case(&finding.directive)) {
                names.push(&finding.directive);
            }
        }
        let Some(first) = findings.first() else { continue };
        let count = match findings.len() {
            1 => String::new(),
            count => format!(" (first of {count} lines)"),
        };
        line(page, 2, &format!("{}: {}{count}", first.place, names.join(", ")));
        line(page, 6, reason);
    }
}

fn loaded_modules(report: &Report, page: &mut String) {
    let [here, needless, missing] = report.modules.counts();
    let loaded = report.modules.loaded.len();
    if loaded == 0 {
        return;
    }
    let _never_fails = writeln!(
        page,
        "\nModules: {loaded} loaded; {here} built in here, {needless} not needed, {missing} not here"
    );
    let uses = modules::in_use(report.tally.modules.iter().copied());
    for module in &report.modules.loaded {
        let told = match module.presence {
            Presence::Here => continue,
            Presence::Needless(why) => format!("not needed: {why}"),
            Presence::Missing => {
                let file = format!("mod_{}", module.identifier.trim_end_matches("_module"));
                match uses.get(file.as_str()) {
                    None => "not here; none of its directives stands outside of <IfModule>".to_owned(),
                    Some(1) => "not here; one of its directives is in use".to_owned(),
                    Some(count) => format!("not here; {count} of its directives are in use"),
                }
            }
        };
        line(page, 2, &format!("{}: {}", module.identifier, told));
    }
}

fn supported(report: &Report, page: &mut String) {
    if report.tally.supported.is_empty() {
        return;
    }
    page.push_str("\nSupported\n");
    let mut row = String::new();
    let mut rest = report.tally.supported.iter().peekable();
    while let Some((name, count)) = rest.next() {
        let times = if *count == 1 {
            String::new()
        } else {
            format!(" ({count})")
        };
        let comma = if rest.peek().is_some() { "," } else { "" };
        let word = format!("{name}{times}{comma}");
        if !row.is_empty() && 2 + row.len() + 1 + word.len() > WIDTH {
            line(page, 2, &row);
            row.clear();
        }
        row.push_str(if row.is_empty() { "" } else { " " });
        row.push_str(&word);
    }
    line(page, 2, &row);
}

fn summary(report: &Report, page: &mut String) {
    let tally = &report.tally;
    let supported: usize = tally.supported.values().sum();
    page.push_str("\nSummary\n");
    let files = match (report.files.len(), report.access_files) {
        (1, _) => "1 file".to_owned(),
        (files, 0) => format!("{files} files"),
        (files, access) => format!("{files} files, {access} of them access files"),
    };
    line(
        page,
        2,
        &format!(
            "{files}; {} directives and sections: {supported} supported, {} ignored, {} otherwise than under Apache, {} not supported",
            tally.all, tally.ignored, tally.differing, tally.refused
        ),
    );
    let refused = report.of(Kind::Refused).count();
    let verdict = match report.verdict() {
        Verdict::Starts => "It would start as it is.".to_owned(),
        Verdict::Refused if refused == 1 => "It would not start as it is: one thing has to change.".to_owned(),
        Verdict::Refused => format!("It would not start as it is: {refused} things have to change."),
    };
    line(page, 2, &verdict);
}

fn copied(report: &Report, page: &mut String) {
    let Some(copied) = &report.copied else { return };
    page.push_str("\nCopy\n");
    line(
        page,
        2,
        &format!(
            "{}: {} files, {} places changed, each with its reason in a comment",
            copied.file.display(),
            copied.files,
            copied.lines
        ),
    );
    if copied.left.is_empty() {
        line(page, 2, "The copy would start.");
        return;
    }
    line(page, 2, "The copy would not start; these are for you to decide:");
    for complaint in &copied.left {
        line(page, 4, complaint);
    }
}

/// What to do next.
fn next(report: &Report, page: &mut String) {
    let subject = report.subject.display();
    let mut steps: Vec<String> = Vec::new();
    if report.verdict() == Verdict::Refused && report.copied.is_none() && !report.modules.loaded.is_empty() {
        steps.push(format!(
            "change the lines above; `lychgate import --write DIR {subject}` makes a copy in which those are changed that may be"
        ));
    }
    if let (Some(documents), 0) = (report.documents.first(), report.access_files) {
        let documents = documents.display();
        steps.push(format!(
            "the access files, where AllowOverride lets them count: `lychgate import --htaccess {documents} {subject}`"
        ));
    }
    steps.extend(
        report
            .scripts
            .iter()
            .map(|scripts| format!("the scripts: `lychgate doctor {}`", scripts.display())),
    );
    if !report.documents.is_empty() {
        steps.push(
            "both side by side, when lychgate runs on another port: `lychgate compare http://OLD http://NEW --access-log FILE`"
                .to_owned(),
        );
    }
    let sections = sections(report);
    if !sections.is_empty() {
        let sections = sections.join(", ");
        steps.push(format!(
            "what else differs in what is in use: `man 7 lychgate-apache`, {sections}"
        ));
    }
    if steps.is_empty() {
        return;
    }
    page.push_str("\nNext\n");
    for step in steps {
        line(page, 2, &step);
    }
}

#[cfg(test)]
mod tests {
    use super::SECTIONS;
    use crate::config::manual::apache_page;

    #[test]
    fn the_sections_are_those_of_the_manual() {
        let page = apache_page();
        for (section, _) in SECTIONS {
            assert!(page.contains(&format!("\n.Sh {section}\n")), "{section}");
        }
    }
}
