//! Where rules lead: the two contexts, and what each makes of a changed name.

use crate::base::quote;
use crate::lang::vars::{FileTest, Variable};

use super::rule::Rule;
use super::run::{Changed, Made, Run, shown};
use super::{Decision, Host, Outcome, Pending, Subject, uri};

/// Applies the rules of the server or a virtual host to a URL path.
pub fn server(host: &dyn Host, rules: &[&Rule], subject: Subject) -> Result<Outcome, Pending> {
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

/// Applies the rules of a directory, named with its final slash, to the name of a file below it. `base` is RewriteBase.
pub fn directory(
    host: &dyn Host,
    rules: &[&Rule],
    directory: &[u8],
    base: Option<&[u8]>,
    options: InDirectory,
    subject: Subject,
) -> Result<Outcome, Pending> {
    let own_query = subject.query.clone();
    let file = subject.filename.clone();
    let mut run = Run::new(host, Some(directory), subject);
    let made = run.apply(rules)?;
    let decision = match made {
        Made::Changed(changed) => match leaves(&mut run, changed, own_query.as_deref(), base.zip(Some(directory))) {
            Some(decision) => decision,
            None if tells_local(&run) && run.subject.filename.first() != Some(&b'/') => {
                Decision::NoPath(run.subject.filename.clone())
            }
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
        return Some(Decision::Proxy(std::mem::take(&mut run.subject.filename)));
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
fn rebase(run: &mut Run<'_>, start: usize, base: &[u8], directory: &[u8]) {
    let url = &run.subject.filename;
    let Some(slash) = url
        .get(start..)
        .and_then(|rest| rest.iter().position(|byte| *byte == b'/'))
    else {
        return;
    };
    let (host, path) = url.split_at(start + slash);
    run.trace(
        2,
        format_args!("trying to replace prefix {} with {}", shown(directory), shown(base)),
    );
    if let Some(path) = uri::with_prefix_replaced(path, directory, base) {
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
    let may_leave = changed.may_leave_document_root && (!changed.was_reduced || run.host.own_urls_name_files());
    if may_leave && run.host.file_is(FileTest::Exists, first_segment(path)) {
        run.trace(1, format_args!("go-ahead with {} [OK]", shown(path)));
        return Decision::File(path.clone());
    }
    let root = run.host.variable(Variable::DocumentRoot).unwrap_or_default();
    let file = [&*root, path.as_slice()].concat();
    run.trace(2, format_args!("prefixed with document_root to {}", shown(&file)));
    run.trace(1, format_args!("go-ahead with {} [OK]", shown(&file)));
    Decision::BelowDocumentRoot(path.clone())
}

/// Tells what a directory's rules came to, as Apache does: without the directory.
fn tells_local(run: &Run<'_>) -> bool {
    let path = shown(&run.subject.filename);
    run.host.trace(2, None, format_args!("local path result: {path}"));
    true
}

/// `/srv` of `/srv/a/b`.
fn first_segment(path: &[u8]) -> &[u8] {
    let rest = path.get(1..).unwrap_or_default();
    let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
    path.get(..=end).unwrap_or(path)
}

/// The URL path of a name that a directory's rules made.
fn url_of(run: &Run<'_>, directory: &[u8], base: Option<&[u8]>, options: InDirectory) -> Vec<u8> {
    let path = &run.subject.filename;
    if let Some(base) = base {
        run.trace(
            2,
            format_args!("trying to replace prefix {} with {}", shown(directory), shown(base)),
        );
        return uri::with_prefix_replaced(path, directory, base).unwrap_or_else(|| path.clone());
    }
    if let Some(root) = run.host.variable(Variable::DocumentRoot)
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
        && let Some(below) = below(path, &root)
    {
        let prefix = prefix.strip_suffix(b"/").unwrap_or(&prefix);
        let url = [prefix, below].concat();
        run.trace(
            2,
            format_args!("strip context_document_root prefix: {} -> {}", shown(path), shown(&url)),
        );
        return url;
    }
    path.clone()
}

/// What of a name lies below a directory, with its leading slash.
fn below<'p>(path: &'p [u8], root: &[u8]) -> Option<&'p [u8]> {
    let rest = path.strip_prefix(root.strip_suffix(b"/").unwrap_or(root))?;
    rest.starts_with(b"/").then_some(rest)
}
