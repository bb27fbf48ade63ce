//! What is told of a comparison: before it, and after it, to people and to programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::base::json::Json;

use super::client::Server;
use super::difference::{Difference, shown};
use super::lines::{Logged, Unfit};
use super::log_file::Requests;
use super::{Asked, End, Outcome};

/// What is about to be done.
pub fn plan(servers: &[Server; 2], count: usize, jobs: usize, requests: &Requests) -> String {
    let [old, new] = servers;
    let more = requests.distinct.len() - count;
    let more = if more > 0 {
        format!(" (the most frequent; {more} more behind --limit)")
    } else {
        String::new()
    };
    format!(
        "{count} requests, GET and HEAD, to {} and to {}, {jobs} at a time{more}; {} lines read{}",
        old.url,
        new.url,
        requests.lines,
        left_out(&requests.unfit)
    )
}

/// The lines that are left out; nothing if there are none.
pub fn left_out(unfit: &BTreeMap<Unfit, u64>) -> String {
    let told: Vec<String> = unfit.iter().map(|(why, count)| format!("{count} {why}")).collect();
    if told.is_empty() {
        String::new()
    } else {
        format!("; left out: {}", told.join(", "))
    }
}

/// The request as people write it.
fn name(logged: &Logged) -> String {
    let host = logged
        .host
        .as_deref()
        .map_or_else(String::new, |host| format!("http://{}", shown(host)));
    format!("{} {host}{}", shown(&logged.method), shown(&logged.target))
}

/// The page.
pub fn of(servers: &[Server; 2], asked: &[Asked], end: End) -> String {
    let mut page = String::new();
    for asked in asked {
        match &asked.outcome {
            None | Some(Outcome::Same { .. }) => {}
            Some(Outcome::Differs(found)) => {
                heading(asked, &mut page);
                for difference in found {
                    tell(difference, &mut page);
                }
            }
            Some(Outcome::Unanswered(whys)) => {
                heading(asked, &mut page);
                for (server, why) in servers.iter().zip(whys) {
                    if let Some(why) = why {
                        let _never_fails = writeln!(page, "  no answer from {}: {why}", server.url);
                    }
                }
            }
        }
    }
    summary(asked, end, &mut page);
    page
}

fn heading(asked: &Asked, page: &mut String) {
    let times = match asked.count {
        1 => String::new(),
        count => format!("  ({count} times in the log)"),
    };
    let _never_fails = writeln!(page, "{}{times}", name(&asked.logged));
}

fn tell(difference: &Difference, page: &mut String) {
    let Difference { what, old, new } = difference;
    let _never_fails = writeln!(page, "  {what}\n    - {old}\n    + {new}");
}

/// How often each thing differs.
fn counts(asked: &[Asked]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for asked in asked {
        if let Some(Outcome::Differs(found)) = &asked.outcome {
            for difference in found {
                *counts.entry(difference.what.as_str()).or_insert(0) += 1;
            }
        }
    }
    counts
}

/// How many there are of each end: compared, differing, unanswered, changing by themselves.
fn ends(asked: &[Asked]) -> [usize; 4] {
    let count = |is: fn(&Outcome) -> bool| {
        asked
            .iter()
            .filter_map(|asked| asked.outcome.as_ref())
            .filter(|one| is(one))
            .count()
    };
    [
        count(|outcome| !matches!(outcome, Outcome::Unanswered(_))),
        count(|outcome| matches!(outcome, Outcome::Differs(_))),
        count(|outcome| matches!(outcome, Outcome::Unanswered(_))),
        count(|outcome| matches!(outcome, Outcome::Same { changing } if !changing.is_empty())),
    ]
}

fn summary(asked: &[Asked], end: End, page: &mut String) {
    let [compared, differing, unanswered, changing] = ends(asked);
    if differing + unanswered > 0 {
        page.push('\n');
    }
    let _never_fails = write!(
        page,
        "{compared} of {} requests compared: {differing} differ",
        asked.len()
    );
    let told: Vec<String> = counts(asked)
        .iter()
        .map(|(what, count)| format!("{what} {count}"))
        .collect();
    if !told.is_empty() {
        let _never_fails = write!(page, " ({})", told.join(", "));
    }
    if unanswered > 0 {
        let _never_fails = write!(page, ", {unanswered} not answered");
    }
    page.push('\n');
    if changing > 0 {
        let _never_fails = writeln!(
            page,
            "{changing} differ in what the old server does not answer twice the same; that was left out"
        );
    }
    page.push_str(match end {
        End::All => "",
        End::Stopped => "Stopped before its end; this is what there is.\n",
        End::Failing => "Given up: too many requests are not answered.\n",
    });
}

/// The same for programs.
pub fn json(servers: &[Server; 2], asked: &[Asked], requests: &Requests, end: End) -> Json {
    let number = |count: usize| Json::Number(u64::try_from(count).unwrap_or(u64::MAX));
    let [compared, differing, unanswered, changing] = ends(asked);
    let left_out = requests.unfit.iter().map(|(why, count)| {
        let why = match why {
            Unfit::Unreadable => "unreadable",
            Unfit::Method => "method",
            Unfit::Doing => "doing",
        };
        Json::Object(vec![("why", why.into()), ("lines", (*count).into())])
    });
    Json::Object(vec![
        ("old", servers[0].url.as_str().into()),
        ("new", servers[1].url.as_str().into()),
        ("lines", requests.lines.into()),
        ("left_out", Json::List(left_out.collect())),
        ("requests", number(asked.len())),
        ("compared", number(compared)),
        ("differ", number(differing)),
        ("unanswered", number(unanswered)),
        ("changing", number(changing)),
        (
            "end",
            match end {
                End::All => "all",
                End::Stopped => "stopped",
                End::Failing => "failing",
            }
            .into(),
        ),
        ("differences", Json::List(asked.iter().filter_map(of_request).collect())),
    ])
}

fn of_request(asked: &Asked) -> Option<Json> {
    let text = |bytes: &[u8]| Json::Text(String::from_utf8_lossy(bytes).into_owned());
    let told = match asked.outcome.as_ref()? {
        Outcome::Same { .. } => return None,
        Outcome::Differs(found) => {
            let found = found.iter().map(|difference| {
                Json::Object(vec![
                    ("what", difference.what.as_str().into()),
                    ("old", difference.old.as_str().into()),
                    ("new", difference.new.as_str().into()),
                ])
            });
            ("found", Json::List(found.collect()))
        }
        Outcome::Unanswered([old, new]) => (
            "unanswered",
            Json::Object(vec![("old", old.clone().into()), ("new", new.clone().into())]),
        ),
    };
    Some(Json::Object(vec![
        ("method", text(&asked.logged.method)),
        ("host", asked.logged.host.as_deref().map_or(Json::Null, text)),
        ("target", text(&asked.logged.target)),
        ("count", asked.count.into()),
        told,
    ]))
}
