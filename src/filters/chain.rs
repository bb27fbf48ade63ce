//! The filters that an answer passes: chosen by its place and its head, and run in the order of their stages.

use std::sync::Arc;
use std::time::Duration;

use crate::base::ascii;
use crate::config::directives::DirConf;
use crate::config::directives::filter::{Chosen, Protocol, Provider, When};
use crate::config::filters::{Filter, Stage};
use crate::exchange::Exchange;
use crate::exchange::response::{Body, Response};
use crate::exchange::trace::Step;
use crate::exchange::view::View;
use crate::filters::tables::Made;
use crate::filters::{compress, inflate, ssi};
use crate::http::coding::Coding;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::lang::log_level::Level;

/// What filters have left to be said in the head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coded {
    /// Nothing.
    No,
    /// For another `Accept-Encoding` it would be another.
    Perhaps,
    /// Likewise, and its Content-Encoding is a filter's.
    Yes,
}

/// What a filter has done with an answer.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// What it did, or why it did nothing; in words.
    pub words: &'static str,
    /// What is to be said in the head.
    pub coded: Coded,
}

impl Verdict {
    /// With nothing to be said.
    pub fn new(words: &'static str) -> Verdict {
        Verdict::coded(words, Coded::No)
    }

    /// With something to be said.
    pub fn coded(words: &'static str, coded: Coded) -> Verdict {
        Verdict { words, coded }
    }
}

/// A filter that an answer has been given.
struct Link<'c> {
    stage: Stage,
    /// The directive that gave it.
    by: &'static str,
    filter: Asked<'c>,
}

enum Asked<'c> {
    /// Whatever the answer is.
    Plain(Filter),
    /// Chosen by the answer's head.
    Chosen(&'c [u8], &'c Chosen),
}

/// Passes an answer through its filters. What the server says itself (errors, redirects) passes none, as in Apache.
pub async fn apply(ex: &mut Exchange, response: &mut Response, made: Made) -> Coded {
    let is_own = made == Made::ByServer
        || matches!(
            response.body,
            Body::BuiltIn | Body::Raw(_) | Body::Tunnel(_) | Body::HandOff(_)
        );
    if is_own || ex.method == Method::Trace || !are_there(ex) || is_refused(response) {
        return Coded::No;
    }
    pass(ex, response, |_| true).await
}

/// Passes what a page includes through the filters that change content; how it is sent is the page's own matter.
pub async fn apply_to_included(ex: &mut Exchange, response: &mut Response) {
    if response.parsable.is_some() && !matches!(response.body, Body::BuiltIn | Body::Raw(_) | Body::Tunnel(_)) {
        pass(ex, response, |filter| filter == Filter::Includes).await;
    }
}

async fn pass(ex: &mut Exchange, response: &mut Response, is_meant: fn(Filter) -> bool) -> Coded {
    let conf = Arc::clone(ex.conf());
    let mut coded = Coded::No;
    for link in links(ex, &conf) {
        let (filter, protocol) = match link.filter {
            Asked::Plain(filter) => (filter, None),
            Asked::Chosen(name, chosen) => {
                let Some(provider) = provider(ex, response, name, chosen) else {
                    ex.trace(|| not_chosen(response, &link, chosen));
                    continue;
                };
                (provider.filter, Some(provider.protocol))
            }
        };
        if !is_meant(filter) {
            continue;
        }
        if let Some(protocol) = protocol {
            keep_protocol(ex, response, protocol);
        }
        let verdict = run(ex, response, filter).await;
        coded = coded.max(verdict.coded);
        ex.trace(|| Step::Filter {
            name: filter.name(),
            by: link.by,
            verdict: verdict.words,
        });
    }
    coded
}

#[cold]
fn not_chosen(response: &Response, link: &Link, chosen: &Chosen) -> Step {
    let known = response.head.fields.contains("Content-Type");
    Step::Filter {
        name: chosen
            .providers
            .last()
            .map_or("nothing", |provider| provider.filter.name()),
        by: link.by,
        verdict: if known {
            "it is not for such an answer"
        } else {
            "it depends on the type that the answer will have"
        },
    }
}

/// Whether the place has any. Most have none, and pay nothing for it.
pub fn are_there(ex: &Exchange) -> bool {
    let filters = &ex.conf().filters;
    !ex.target.filters.is_empty() || filters.output.value().is_some() || filters.chain.names().next().is_some()
}

/// What a condition refused goes past the filters.
fn is_refused(response: &Response) -> bool {
    matches!(response.body, Body::Empty) && response.head.status == Status::PRECONDITION_FAILED
}

/// The filters in their order: by stage, and within one as Apache adds them.
fn links<'c>(ex: &Exchange, conf: &'c DirConf) -> Vec<Link<'c>> {
    let plain = |by| {
        move |filter: &Filter| Link {
            stage: filter.stage(),
            by,
            filter: Asked::Plain(*filter),
        }
    };
    let mut links: Vec<Link> = ex.target.filters.iter().map(plain("AddOutputFilter")).collect();
    let set = conf.filters.output.value();
    links.extend(set.into_iter().flatten().map(plain("SetOutputFilter")));
    for name in conf.filters.chain.names() {
        match conf.filters.declared.find(name) {
            Some(chosen) => links.push(Link {
                stage: chosen.stage,
                by: if name.starts_with(b"BYTYPE:") {
                    "AddOutputFilterByType"
                } else {
                    "FilterChain"
                },
                filter: Asked::Chosen(name, chosen),
            }),
            None => ex.rewriting.lines.push(
                Level::Error,
                "filter",
                format!(
                    "the filter `{}` is not declared, and left out",
                    String::from_utf8_lossy(name)
                ),
            ),
        }
    }
    links.sort_by_key(|link| link.stage);
    links
}

/// What a declared filter stands for in this answer; the provider that was named last is asked first.
fn provider<'c>(ex: &Exchange, response: &Response, name: &[u8], chosen: &'c Chosen) -> Option<&'c Provider> {
    // Ranges are made behind the filters.
    let is_part = response.head.status == Status::PARTIAL_CONTENT && matches!(response.body, Body::File(_));
    if response.head.status != Status::OK && !is_part && ex.variable(b"filter-errordocs").is_none() {
        return None;
    }
    if forbids(ex, response, chosen.protocol) {
        return None;
    }
    let suits = |provider: &&Provider| match &provider.when {
        When::Types(types) => {
            let said = response.head.fields.value("Content-Type").unwrap_or_default();
            let bare = said.split(|byte| matches!(byte, b';' | b' ' | b'\t')).next();
            let bare = bare.unwrap_or_default();
            !bare.is_empty() && types.iter().any(|known| known == bare)
        }
        When::Holds(expr) => {
            let view = View {
                ex,
                response: Some(response),
            };
            expr.eval(&view).unwrap_or_else(|_| {
                let name = String::from_utf8_lossy(name);
                let line = format!("the expression of the filter `{name}` has no value");
                ex.rewriting.lines.push(Level::Error, "filter", line);
                false
            })
        }
    };
    let mut providers = chosen.providers.iter().rev();
    providers.find(|provider| suits(provider) && !forbids(ex, response, provider.protocol))
}

/// Whether a filter must not touch what another server says.
fn forbids(ex: &Exchange, response: &Response, protocol: Protocol) -> bool {
    if !ex.handler.starts_with(b"proxy") {
        return false;
    }
    let said = response.head.fields.joined(b"Cache-Control").unwrap_or_default();
    let is_fixed = said
        .windows(b"no-transform".len())
        .any(|part| ascii::eq_ignore_case(part, b"no-transform"));
    protocol.no_proxy || protocol.transforms && is_fixed
}

/// Has the head say what FilterProtocol says of a filter.
fn keep_protocol(ex: &Exchange, response: &mut Response, protocol: Protocol) {
    let fields = &mut response.head.fields;
    if protocol.transforms && ex.handler.starts_with(b"proxy") {
        let host = String::from_utf8_lossy(ex.site_name());
        fields.append("Warning", format!("214 {host} Transformation applied"));
    }
    if protocol.changes {
        fields.remove("Content-MD5");
    }
    if protocol.no_cache {
        fields.remove("Last-Modified");
        fields.append("Cache-Control", "no-cache");
    }
    if protocol.no_ranges {
        fields.set("Accept-Ranges", "none");
    }
}

async fn run(ex: &mut Exchange, response: &mut Response, filter: Filter) -> Verdict {
    match filter {
        Filter::Includes => ssi::apply(ex, response).await,
        Filter::Inflate => inflate::answer(ex, response),
        Filter::Deflate => compress::apply(ex, response, Coding::Gzip).await,
        Filter::Brotli => compress::apply(ex, response, Coding::Brotli).await,
        Filter::Zstd => compress::apply(ex, response, Coding::Zstd).await,
    }
}

/// How long a filter may wait for a disk.
pub(super) fn patience(ex: &Exchange) -> Duration {
    ex.site.settings.core.timeout.or(Duration::from_secs(60))
}
