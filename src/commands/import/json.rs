//! The report for programs.

use std::path::Path;

use crate::base::json::Json;
use crate::config::error::Span;

use super::change::Change;
use super::copy::Copied;
use super::finding::{Finding, Kind};
use super::modules::{self, Presence};
use super::{Report, Verdict};

/// One object.
pub fn of(report: &Report) -> Json {
    let supported = report.tally.supported.iter();
    let told = report.tally.told.iter();
    let unset = report.tally.unset.iter();
    Json::Object(vec![
        ("configuration", path(&report.subject)),
        (
            "verdict",
            match report.verdict() {
                Verdict::Starts => "starts".into(),
                Verdict::Refused => "refused".into(),
            },
        ),
        ("files", report.files.clone().into()),
        ("counts", counts(report)),
        ("findings", Json::List(report.findings.iter().map(finding).collect())),
        (
            "supported",
            Json::List(
                supported
                    .map(|(name, count)| Json::Object(vec![("directive", (*name).into()), ("count", number(*count))]))
                    .collect(),
            ),
        ),
        (
            "differences",
            Json::List(
                told.map(|(place, name, sentences)| {
                    let said = Json::List(sentences.iter().map(|sentence| Json::from(*sentence)).collect());
                    Json::Object(placed(place, vec![("directive", (*name).into()), ("manual", said)]))
                })
                .collect(),
            ),
        ),
        (
            "defaults",
            Json::List(
                unset
                    .map(|(name, sentence)| {
                        Json::Object(vec![("directive", (*name).into()), ("manual", (*sentence).into())])
                    })
                    .collect(),
            ),
        ),
        ("modules", loaded_modules(report)),
        ("copy", report.copied.as_ref().map(copied).into()),
    ])
}

fn number(count: usize) -> Json {
    Json::Number(u64::try_from(count).unwrap_or(u64::MAX))
}

fn path(path: &Path) -> Json {
    path.to_string_lossy().into_owned().into()
}

fn placed(place: &Span, mut members: Vec<(&'static str, Json)>) -> Vec<(&'static str, Json)> {
    members.insert(0, ("file", (*place.file).into()));
    members.insert(1, ("line", u64::from(place.line).into()));
    members
}

fn counts(report: &Report) -> Json {
    let tally = &report.tally;
    Json::Object(vec![
        ("directives", number(tally.all)),
        ("supported", number(tally.supported.values().sum())),
        ("ignored", number(tally.ignored)),
        ("differs", number(tally.differing)),
        ("refused", number(tally.refused)),
    ])
}

/// The word for a kind.
fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Refused => "refused",
        Kind::Differs => "differs",
        Kind::LeftOut => "left-out",
        Kind::Ignored => "ignored",
        Kind::Remark => "remark",
    }
}

fn finding(finding: &Finding) -> Json {
    let text = finding
        .line
        .as_ref()
        .map(|line| String::from_utf8_lossy(line).into_owned());
    let change = match &finding.change {
        Change::None => Json::Null,
        Change::ByHand => Json::Object(vec![("kind", "by-hand".into())]),
        Change::Line(line) => Json::Object(vec![
            ("kind", "replace".into()),
            ("text", String::from_utf8_lossy(line).into_owned().into()),
        ]),
        Change::LeaveOut { last } => range(finding.place.line, *last),
        Change::LeaveOutHost { first, last } => range(*first, *last),
    };
    let members = vec![
        ("kind", kind(finding.kind).into()),
        ("directive", finding.directive.as_str().into()),
        ("message", finding.message.as_str().into()),
        ("text", text.into()),
        ("change", change),
    ];
    Json::Object(placed(&finding.place, members))
}

fn range(first: u32, last: u32) -> Json {
    Json::Object(vec![
        ("kind", "leave-out".into()),
        ("first", u64::from(first).into()),
        ("last", u64::from(last).into()),
    ])
}

fn loaded_modules(report: &Report) -> Json {
    let uses = modules::in_use(report.tally.modules.iter().copied());
    let loaded = report.modules.loaded.iter().map(|module| {
        let (presence, why) = match module.presence {
            Presence::Here => ("here", None),
            Presence::Needless(why) => ("needless", Some(why)),
            Presence::Missing => ("missing", None),
        };
        let file = format!("mod_{}", module.identifier.trim_end_matches("_module"));
        let members = vec![
            ("module", module.identifier.as_str().into()),
            ("presence", presence.into()),
            ("why", why.into()),
            ("directives", number(uses.get(file.as_str()).copied().unwrap_or(0))),
        ];
        Json::Object(placed(&module.place, members))
    });
    Json::List(loaded.collect())
}

fn copied(copied: &Copied) -> Json {
    Json::Object(vec![
        ("file", path(&copied.file)),
        ("files", number(copied.files)),
        ("changed", number(copied.lines)),
        ("left", copied.left.clone().into()),
    ])
}
