//! What negotiation leaves behind: the fields that every answer to the request has from then on, and the list of variants for
//! pages about them.

use crate::base::quote;
use crate::config::directives::DirConf;
use crate::config::directives::negotiation::Force;
use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::exchange::rewriting::Look;
use crate::exchange::tag;
use crate::exchange::trace::Step;
use crate::http::accept::preferences;
use crate::http::method::Method;
use crate::http::negotiate::{
    Choice, Codings, Scripts, Terms, Transparency, Variant, Verdict, Wishes, choose, reason, told,
};
use crate::http::status::Status;

/// What a request has been told of variants so far.
#[derive(Clone, Debug, Default)]
pub struct Negotiated {
    /// Fields of all its answers.
    fields: Vec<(&'static str, Vec<u8>)>,
    /// The entity tag of the list of variants, which becomes part of the variant's own.
    list_tag: Option<Vec<u8>>,
    /// The variants as HTML, for the pages 300 and 406.
    pub list: Option<Vec<u8>>,
    /// Whether caches of HTTP/1.0 must not keep it.
    pub is_old: bool,
}

impl Negotiated {
    /// Whether nothing was negotiated.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.list_tag.is_none() && self.list.is_none() && !self.is_old
    }

    /// The fields.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        self.fields.iter().map(|(name, value)| (*name, value.as_slice()))
    }

    /// The entity tag of the list of variants, which becomes part of the variant's own.
    pub fn list_tag(&self) -> Option<&[u8]> {
        self.list_tag.as_deref()
    }

    /// Another list is looked at. Its tag holds that of the list before it, as in Apache.
    pub fn add_list_tag(&mut self, tag: Option<Vec<u8>>) {
        self.list_tag = match (tag, self.list_tag.take()) {
            (Some(tag), Some(before)) => Some(tag::with_list(&tag, &before)),
            (tag, before) => tag.or(before),
        };
    }

    /// Whether the choice was transparent negotiation (RFC 2295).
    pub fn is_transparent(&self) -> bool {
        self.fields.iter().any(|(name, _)| *name == "TCN")
    }

    /// The name of the variant that stands for the resource.
    pub fn set_location(&mut self, name: &[u8]) {
        let mut location = Vec::new();
        quote::escape_segment(&mut location, name);
        self.set("Content-Location", location);
    }

    fn set(&mut self, name: &'static str, value: Vec<u8>) {
        self.fields.retain(|(known, _)| *known != name);
        self.fields.push((name, value));
    }

    /// A list gains members.
    fn merge(&mut self, name: &'static str, value: Vec<u8>) {
        let known = self.fields.iter_mut().find(|(known, _)| *known == name);
        match known {
            Some((_, list)) => {
                list.extend_from_slice(b", ");
                list.extend(value);
            }
            None => self.fields.push((name, value)),
        }
    }
}

/// A variant was chosen.
#[derive(Clone, Copy, Debug)]
pub struct Decision {
    /// Its number.
    pub number: usize,
    /// Whether clients and caches may know of the others.
    pub transparency: Transparency,
    sends_alternates: bool,
}

/// Chooses among `variants` for the request; where none is chosen, the answer tells which there are.
pub fn decide(
    ex: &mut Exchange,
    conf: &DirConf,
    variants: &[Variant],
    path_info: &[u8],
    scripts: Scripts,
) -> Result<Decision, Fail> {
    let are_beside = variants
        .iter()
        .all(|variant| variant.body.is_none() && !variant.name.contains(&b'/'));
    let is_read = is_read(ex);
    let transparency = if is_read && path_info.is_empty() && are_beside {
        Transparency::Transparent
    } else {
        Transparency::Opaque
    };
    let verdict = verdict(ex, conf, variants, transparency, scripts);
    if ex.is_explained() {
        explain(ex, variants, &verdict);
    }
    let status = match verdict.choice {
        Choice::Variant(number) => {
            return Ok(Decision {
                number,
                transparency,
                sends_alternates: verdict.sends_alternates,
            });
        }
        Choice::List => Status::MULTIPLE_CHOICES,
        Choice::None => Status::NOT_ACCEPTABLE,
    };
    say(ex, variants, transparency, verdict.sends_alternates, "list");
    ex.rewriting.negotiated.list = Some(told::list(variants));
    let file = String::from_utf8_lossy(&ex.file);
    Err(Fail::client(status, format!("no acceptable variant: `{file}`")).of_module("negotiation"))
}

/// Whether the request only reads; one for an index does, whatever its method.
pub fn is_read(ex: &Exchange) -> bool {
    ex.rewriting.look == Look::Ahead || matches!(ex.method, Method::Get | Method::Head)
}

/// The variant that was chosen stands: its fields are those of the answer.
pub fn settle(ex: &mut Exchange, variants: &[Variant], decision: Decision) {
    if let (Transparency::Transparent, Some(variant)) = (decision.transparency, variants.get(decision.number)) {
        ex.rewriting.negotiated.set_location(&variant.name);
    }
    say(ex, variants, decision.transparency, decision.sends_alternates, "choice");
}

fn say(ex: &mut Exchange, variants: &[Variant], transparency: Transparency, alternates: bool, outcome: &str) {
    let is_transparent = transparency == Transparency::Transparent;
    let negotiated = &mut ex.rewriting.negotiated;
    if let Some(list) = told::alternates(variants).filter(|_| alternates) {
        negotiated.merge("Alternates", list);
    }
    let vary = told::vary(variants, is_transparent);
    if !vary.is_empty() {
        negotiated.merge("Vary", vary);
    }
    if is_transparent {
        negotiated.set("TCN", outcome.as_bytes().to_vec());
    }
}

fn verdict(
    ex: &Exchange,
    conf: &DirConf,
    variants: &[Variant],
    transparency: Transparency,
    scripts: Scripts,
) -> Verdict {
    let field = |name: &'static [u8]| ex.head.joined(name);
    let accept = field(b"accept");
    let charset = field(b"accept-charset");
    let encoding = field(b"accept-encoding");
    let language = field(b"accept-language");
    let negotiate = field(b"negotiate");
    let variable = |name: &[u8]| ex.variable(name);
    let codings = match (variable(b"no-gzip"), variable(b"gzip-only-text/html")) {
        (Some(_), _) => Codings::None,
        (None, Some(b"1")) => Codings::OfHtml,
        _ => Codings::All,
    };
    let wishes = Wishes {
        accept: accept.as_deref(),
        accept_charset: charset.as_deref(),
        accept_encoding: encoding.as_deref(),
        accept_language: language.as_deref(),
        negotiate: negotiate.as_deref(),
        user_agent: ex.head.field(b"user-agent"),
        prefer_language: variable(b"prefer-language"),
        codings,
        scripts,
    };
    let force = conf.negotiation.force.or(Force::USUAL);
    let terms = Terms {
        priority: conf.negotiation.priority.value().map_or(&[], Vec::as_slice),
        prefer: force.prefer,
        fallback: force.fallback,
    };
    choose(variants, &wishes, &terms, transparency)
}

#[cold]
fn explain(ex: &Exchange, variants: &[Variant], verdict: &Verdict) {
    for (variant, rating) in variants.iter().zip(&verdict.ratings) {
        let name = String::from_utf8_lossy(&variant.name);
        ex.trace(|| Step::Variant(format!("{name}: {}", reason::qualities(variant, rating))));
    }
    ex.trace(|| Step::Variant(reason::of(variants, verdict)));
}

/// The coding of a file by the name that the client used for it: with `x-` in front or without, as in Apache.
pub fn coding_as_asked(ex: &Exchange, coding: &[u8]) -> Option<Vec<u8>> {
    let asked = ex.head.joined(b"accept-encoding")?;
    let bare = coding.strip_prefix(b"x-").unwrap_or(coding);
    let asked = preferences(&asked);
    let is_old = |name: &[u8]| name.strip_prefix(b"x-") == Some(bare);
    let named = asked.iter().find(|one| one.name == bare);
    let named = named.or_else(|| asked.iter().rev().find(|one| is_old(&one.name)))?;
    Some(named.name.clone())
}
