//! Where rules lead: the two contexts, and what each makes of a changed name.

use std::borrow::Cow;

use crate::base::quote;
use crate::lang::vars::{FileTest, Variable};

use super::rule::Rule;
use super::run::{Changed, Made, Run, shown};
use super::{BACKEND, Decision, Host, Outcome, Pending, Subject, uri};

/// Applies the rules of the server or a virtual host to a URL path.
pub fn server<'r>(host: &'r dyn Host, rules: &[&'r Rule], subject: Subject) -> Result<Outcome, Pending> {
    let own_query = subject.query.clone();
    let mut run = Run::new(host, None, subject);
    let url = shown(&run.subject.filename).into_owned();
    run.trace(2, format_args!("init rewrite engine with requested uri {url}"));
    let decision = match run.apply(rules)? {
        Made::Changed(changed) => match leaves(&mut run, changed, own_query.as_deref(), None) {
            Some(decision) => decision,
            None if changed.pass_through => Decision::Url(std::mem::take(&mut run.subject.filename)),
            None => local(&run, changed),
        },
        Made::Nothing => {
            run.trace(1, format_args!("pass through {url}"));
            Decision::Declined
        }
        other => without_change(&other),
    };
    Ok(outcome(run, decision))
}

/// Applies the rules of a directory, named with its final slash, to the name of a file below it, or to a backend's URL, which
/// they see whole. `base` is RewriteBase.
pub fn directory<'r>(
    host: &'r dyn Host,
    rules: &[&'r Rule],
    directory: &'r [u8],
    base: Option<&[u8]>,
    options: InDirectory,
    subject: Subject,
) -> Result<Outcome, Pending> {
    let own_query = subject.query.clone();
    let (file, is_of_backend) = (subject.filename.clone(), subject.is_of_backend());
    let mut run = Run::new(host, Some(directory), subject);
    let made = run.apply(rules)?;
    let decision = match made {
        Made::Changed(changed) => match leaves(&mut run, changed, own_query.as_deref(), base.zip(Some(directory))) {
            Some(decision) => decision,
            None if is_of_backend && run.subject.is_of_backend() => {
                let url = run.subject.filename.split_off(BACKEND.len());
                let is_other = file.get(BACKEND.len()..) != Some(url.as_slice());
                if is_other {
                    Decision::Renamed(url)
                } else {
                    Decision::Stays
                }
            }
            None if run.subject.filename.first() != Some(&b'/') => Decision::NoPath(run.subject.filename.clone()),
            None if run.subject.filename == file => {
                let file = shown(&file);
                run.trace(
                    1,
                    format_args!("initial URL equal rewritten URL: {file} [IGNORING REWRITE]"),
                );
                Decision::Stays
            }
            None => {
                let url = url_of(&run, directory, base, options);
                run.trace(
                    1,
                    format_args!("internal redirect with {} [INTERNAL REDIRECT]", shown(&url)),
                );
                Decision::Again(url)
            }
        },
        Made::Nothing => {
            run.trace(1, format_args!("pass through {}", shown(&file)));
            Decision::Declined
        }
        other => without_change(&other),
    };
    Ok(outcome(run, decision))
}

/// What RewriteOptions says of a directory's results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InDirectory {
    /// What an alias says of the directory may turn a file's name back into a URL.
    ByContext,
    /// It may not (IgnoreContextInfo).
    IgnoreContext,
}

fn outcome(run: Run<'_>, decision: Decision) -> Outcome {
    Outcome {
        decision,
        query: run.subject.query,
        path_info: run.subject.path_info,
        effects: run.effects,
    }
}

fn without_change(made: &Made) -> Decision {
    match made {
        Made::Status(status) => Decision::Status(*status),
        Made::TooManyRounds => Decision::TooManyRounds,
        Made::Unsafe3F => Decision::Unsafe3F,
        Made::TooLong(why) => Decision::TooLong(why.clone()),
        Made::Nothing | Made::Changed(_) => Decision::Declined,
    }
}

/// What leaves this server: a backend's URL, a redirect.
fn leaves(
    run: &mut Run<'_>,
    changed: Changed,
    own_query: Option<&[u8]>,
    base: Option<(&[u8], &[u8])>,
) -> Option<Decision> {
    let absolute = uri::absolute(&run.subject.filename);
    let is_escaped = absolute.is_some() && !changed.no_escape;
    if !is_escaped && run.subject.query.as_deref().is_some_and(is_unsafe) {
        return Some(Decision::UnsafeQuery);
    }
    if changed.proxy {
        let url = std::mem::take(&mut run.subject.filename);
        return Some(if changed.no_escape {
            Decision::ProxyAsItIs(url)
        } else {
            Decision::Proxy(url)
        });
    }
    let (start, _) = absolute?;
    if let Some((base, directory)) = base {
        rebase(run, start, base, directory);
    }
    let mut location = run.subject.filename.clone();
    if !changed.no_escape {
        run.trace(1, format_args!("escaping {} for redirect", shown(&location)));
        location = uri::escape_absolute(&location, start);
    }
    if let Some(query) = &run.subject.query {
        let copied = changed.no_escape || own_query == Some(query);
        let mut escaped = Vec::new();
        if !copied {
            quote::escape_path(&mut escaped, query);
        }
        let doing = if copied { "copying" } else { "escaping" };
        run.trace(
            1,
            format_args!(
                "{doing} {} to query string for redirect {}",
                shown(query),
                shown(&escaped)
            ),
        );
        location.push(b'?');
        location.extend_from_slice(if copied { query } else { &escaped });
    }
    let status = changed.redirect.unwrap_or(302);
    run.trace(1, format_args!("redirect to {} [REDIRECT/{status}]", shown(&location)));
    Some(Decision::Redirect { status, location })
}

/// Whether a query has a byte that no request can have: it came out of an escape and was not written as one again.
fn is_unsafe(query: &[u8]) -> bool {
    query.iter().any(|byte| *byte <= b' ' || *byte == 0x7f)
}

/// A redirect to the directory itself, which a relative substitution made, becomes one to its URL.
fn rebase<'p>(run: &mut Run<'_>, start: usize, base: &'p [u8], directory: &'p [u8]) {
    let url = &run.subject.filename;
    let Some(slash) = url
        .get(start..)
        .and_then(|rest| rest.iter().position(|byte| *byte == b'/'))
    else {
        return;
    };
    let (host, path) = url.split_at(start + slash + 1);
    if path.is_empty() {
        return;
    }
    run.trace(
        2,
        format_args!("trying to replace prefix {} with {}", shown(directory), shown(base)),
    );
    let relative = |path: &'p [u8]| path.strip_prefix(b"/").unwrap_or(path);
    if let Some(path) = replaced(run, path, relative(directory), relative(base)) {
        run.subject.filename = [host, &path].concat();
    }
}

/// A name that the server's rules made: a file's where its first segment is there, else a path below DocumentRoot.
fn local(run: &Run<'_>, changed: Changed) -> Decision {
    let slash: &[u8] = if run.subject.filename.starts_with(b"/") {
        b""
    } else {
        b"/"
    };
    let path = &[slash, run.subject.filename.as_slice()].concat();
    run.trace(2, format_args!("local path result: {}", shown(path)));
    let names_file = names_file(run, path) && (!changed.was_reduced || run.host.own_urls_name_files());
    if names_file {
        run.trace(1, format_args!("go-ahead with {} [OK]", shown(path)));
        return Decision::File(path.clone());
    }
    let root = run.host.variable(Variable::DocumentRoot).unwrap_or_default();
    let slashes = path.iter().take_while(|byte| **byte == b'/').count();
    let path = path.get(slashes.saturating_sub(1)..).unwrap_or_default();
    let file = [&*root, path].concat();
    run.trace(2, format_args!("prefixed with document_root to {}", shown(&file)));
    run.trace(1, format_args!("go-ahead with {} [OK]", shown(&file)));
    Decision::BelowDocumentRoot(path.to_vec())
}

/// Whether a path is a file's name: what it begins with is there, and is what the administrator wrote, unless it is
/// DocumentRoot or is not asked to be (UnsafePrefixStat).
fn names_file(run: &Run<'_>, path: &[u8]) -> bool {
    let first = &*first_segment(path);
    if !run.host.file_is(FileTest::Exists, first) {
        return false;
    }
    let Some(rule) = run.last.filter(|_| !run.host.requests_name_files()) else {
        run.trace(3, format_args!("prefix_stat no lastsub subst prefix {}", shown(first)));
        return true;
    };
    // The number is the one of Apache's flag.
    let flag = if rule.flags.prefix_stat { 1 << 22 } else { 0 };
    run.trace(
        3,
        format_args!(
            "prefix_stat compare statpath {} and lastsub output {} STATOK {flag} ",
            shown(first),
            shown(&rule.output)
        ),
    );
    if rule.flags.prefix_stat {
        return true;
    }
    let starts = |text: &[u8], start: &[u8]| {
        let does = text.starts_with(start);
        run.trace(
            5,
            format_args!(
                "prefix_stat startsWith({}, {}) {}",
                shown(text),
                shown(start),
                u8::from(does)
            ),
        );
        does
    };
    let below = |root: Option<Cow<'_, [u8]>>| root.is_some_and(|root| starts(path, &root));
    let root = run.host.variable(Variable::DocumentRoot);
    let context = run.host.variable(Variable::ContextDocumentRoot);
    let differs = context != root;
    starts(&rule.output, first) || below(root) || differs && below(context)
}

/// `/srv` of `/srv/a/b`, and of `//srv/a/b`.
fn first_segment(path: &[u8]) -> Vec<u8> {
    let start = path.iter().take_while(|byte| **byte == b'/').count();
    let segment = path.iter().skip(start).take_while(|byte| **byte != b'/');
    std::iter::once(&b'/').chain(segment).copied().collect()
}

/// The URL path of a name that a directory's rules made.
fn url_of(run: &Run<'_>, directory: &[u8], base: Option<&[u8]>, options: InDirectory) -> Vec<u8> {
    let path = &run.subject.filename;
    if let Some(base) = base {
        run.trace(
            2,
            format_args!("trying to replace prefix {} with {}", shown(directory), shown(base)),
        );
        if let Some(url) = replaced(run, path, directory, base) {
            return url;
        }
    } else if let Some(root) = run.host.variable(Variable::DocumentRoot)
        && let Some(below) = below(path, &root)
    {
        run.trace(
            2,
            format_args!("strip document_root prefix: {} -> {}", shown(path), shown(below)),
        );
        return below.to_vec();
    }
    if options == InDirectory::ByContext
        && let Some(prefix) = run.host.variable(Variable::ContextPrefix)
        && let Some(root) = run.host.variable(Variable::ContextDocumentRoot)
    {
        run.trace(
            2,
            format_args!(
                "trying to replace context docroot {} with context prefix {}",
                shown(&root),
                shown(&prefix)
            ),
        );
        // Apache would make a path without its slash where there is no prefix.
        let prefix: &[u8] = if prefix.is_empty() { b"/" } else { &prefix };
        if let Some(url) = replaced(run, path, &root, prefix) {
            return url;
        }
    }
    path.clone()
}

/// A name with the directory at its start replaced, if it begins so.
fn replaced(run: &Run<'_>, path: &[u8], from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    let url = uri::with_prefix_replaced(path, from, to)?;
    let start = from.strip_suffix(b"/").unwrap_or(from).len() + 1;
    let rest = shown(path.get(start..).unwrap_or_default());
    run.trace_plainly(5, format_args!("strip matching prefix: {} -> {rest}", shown(path)));
    run.trace_plainly(4, format_args!("add subst prefix: {rest} -> {}", shown(&url)));
    Some(url)
}

/// What of a name lies below a directory, with its leading slash.
fn below<'p>(path: &'p [u8], root: &[u8]) -> Option<&'p [u8]> {
    let rest = path.strip_prefix(root.strip_suffix(b"/").unwrap_or(root))?;
    rest.starts_with(b"/").then_some(rest)
}
