//! Negotiation of content as Apache's `mod_negotiation` does it: which variant of a resource suits a client (RFC 9110 section
//! 12), by Apache's own arithmetic or, where the client asks for that, by the remote variant selection algorithm (RFC 2296)
//! within transparent negotiation (RFC 2295).

mod better;
mod quality;
pub mod reason;
#[cfg(test)]
mod tests;
pub mod told;

use std::ops::Range;

use crate::http::accept::{PARSED_HTML, Preference, preferences};
use crate::http::negotiate::better::Best;
use crate::http::negotiate::quality::Weights;

/// The media type of a script whose name tells none.
pub const SCRIPT_TYPE: &[u8] = b"application/x-httpd-cgi";

/// One form in which a resource can be had.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Variant {
    /// Its file, or its path beside the resource.
    pub name: Vec<u8>,
    /// Its media type in lower case, without parameters; empty where it is unknown.
    pub media_type: Vec<u8>,
    /// How good it is beside the others: `qs`. What has no media type has none.
    pub source_quality: f32,
    /// The level of its media type.
    pub level: f32,
    /// Its charset in lower case; empty where it is unknown.
    pub charset: Vec<u8>,
    /// Its languages.
    pub languages: Vec<Vec<u8>>,
    /// Its content coding; empty without one.
    pub encoding: Vec<u8>,
    /// What people are told of it.
    pub description: Vec<u8>,
    /// Its length in bytes, where that is known.
    pub length: Option<u64>,
    /// Whether a handler makes it, so that its length says nothing.
    pub is_made: bool,
    /// Where it is in the map that names it, if it is not in a file of its own.
    pub body: Option<Range<usize>>,
}

impl Variant {
    /// Takes over what a Content-Type says.
    pub fn set_content_type(&mut self, content_type: Preference) {
        self.media_type = content_type.name;
        self.source_quality = content_type.quality;
        self.level = content_type.level;
        self.charset = content_type.charset;
    }

    fn is_html(&self) -> bool {
        self.media_type == b"text/html" || PARSED_HTML.contains(&self.media_type.as_slice())
    }
}

/// What a request says about what it would rather have; fields as they came, several of a name joined.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes<'a> {
    /// Accept.
    pub accept: Option<&'a [u8]>,
    /// Accept-Charset.
    pub accept_charset: Option<&'a [u8]>,
    /// Accept-Encoding.
    pub accept_encoding: Option<&'a [u8]>,
    /// Accept-Language.
    pub accept_language: Option<&'a [u8]>,
    /// Negotiate (RFC 2295 section 8.4).
    pub negotiate: Option<&'a [u8]>,
    /// User-Agent.
    pub user_agent: Option<&'a [u8]>,
    /// The variable `prefer-language`.
    pub prefer_language: Option<&'a [u8]>,
    /// What the variables `no-gzip` and `gzip-only-text/html` leave of codings.
    pub codings: Codings,
    /// Whether a script is wanted more than anything else.
    pub scripts: Scripts,
}

/// Which variants that have a coding may be chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codings {
    /// All.
    #[default]
    All,
    /// HTML alone (`gzip-only-text/html`).
    OfHtml,
    /// None (`no-gzip`).
    None,
}

/// How much a script is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scripts {
    /// Less than what is no script.
    #[default]
    Last,
    /// More: there is a query, a path behind the name, or a method that only a script understands.
    First,
}

/// What the settings say of languages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms<'a> {
    /// `LanguagePriority`.
    pub priority: &'a [Vec<u8>],
    /// `ForceLanguagePriority Prefer`: of what the client likes as much as another, the first is taken.
    pub prefer: bool,
    /// `ForceLanguagePriority Fallback`: where the client likes none, the first is taken.
    pub fallback: bool,
}

/// Whether caches and clients may choose themselves, because the variants are all beside the resource (RFC 2295).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transparency {
    /// They may, where the client asks for that.
    Transparent,
    /// They may not.
    Opaque,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Which variant it is.
    pub choice: Choice,
    /// What was found of each variant, in their order.
    pub ratings: Vec<Rating>,
    /// Whether the client is sent the list of variants.
    pub sends_alternates: bool,
    /// Whether it was chosen by RFC 2296.
    is_remote: bool,
}

/// Which variant it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The one of this number.
    Variant(usize),
    /// The client is to choose: 300.
    List,
    /// None suits the client: 406.
    None,
}

/// What was found of a variant.
#[derive(Clone, Debug, PartialEq)]
pub struct Rating {
    /// Whether it was looked at, and not left out for its language or its coding.
    pub is_rated: bool,
    /// How much the client likes its media type.
    pub media_type: f32,
    /// How much it likes its language.
    pub language: f32,
    /// Where LanguagePriority has its language.
    pub priority: Option<usize>,
    /// How much it likes its charset.
    pub charset: f32,
    /// How much it likes its coding.
    pub encoding: f32,
    /// Whether the client named all of that, and not only by a wildcard.
    is_definite: bool,
    /// How closely its media type was named: 1 by `*/*`, 2 by `type/*`, 3 by itself.
    closeness: u8,
    /// Its level, where the client takes it at that.
    level_taken: f32,
}

impl Default for Rating {
    fn default() -> Rating {
        Rating {
            is_rated: false,
            media_type: 1.0,
            language: 1.0,
            priority: None,
            charset: 1.0,
            encoding: 1.0,
            is_definite: true,
            closeness: 0,
            level_taken: 0.0,
        }
    }
}

/// What the field Negotiate asks for.
#[derive(Clone, Copy, Debug)]
struct Mode {
    /// The client knows transparent negotiation.
    knows_lists: bool,
    /// How we choose for it.
    algorithm: Algorithm,
    /// What it says is meant as it is, without what browsers are known to leave out.
    is_literal: bool,
}

/// How a variant is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    /// Not by us.
    None,
    /// As Apache does.
    Own,
    /// By RFC 2296.
    Remote,
}

impl Mode {
    const USUAL: Mode = Mode {
        knows_lists: false,
        algorithm: Algorithm::Own,
        is_literal: false,
    };

    fn new(transparency: Transparency, wishes: &Wishes<'_>) -> Mode {
        let Some(negotiate) = wishes.negotiate.filter(|_| transparency == Transparency::Transparent) else {
            return Mode::USUAL;
        };
        // Lynx says it, and does not mean it.
        if negotiate == b"trans" && wishes.user_agent.is_some_and(|agent| agent.starts_with(b"Lynx")) {
            return Mode::USUAL;
        }
        let mut mode = Mode {
            algorithm: Algorithm::None,
            ..Mode::USUAL
        };
        for word in negotiate.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            let word = word.to_ascii_lowercase();
            match word.as_slice() {
                b"1.0" => (mode.algorithm, mode.is_literal) = (Algorithm::Remote, true),
                b"*" => (mode.algorithm, mode.is_literal) = (mode.algorithm.max(Algorithm::Own), true),
                b"trans" | b"vlist" | b"guess-small" | [b'0'..=b'9', ..] => {}
                _ => continue,
            }
            mode.knows_lists = true;
        }
        mode
    }
}

/// Chooses among `variants`. Of those that are as good as each other the first is taken.
pub fn choose(variants: &[Variant], wishes: &Wishes<'_>, terms: &Terms<'_>, transparency: Transparency) -> Verdict {
    let mode = Mode::new(transparency, wishes);
    let is_remote = mode.algorithm == Algorithm::Remote;
    let weights = Weights::new(variants, wishes, *terms, mode);
    let mut ratings = vec![Rating::default(); variants.len()];
    let mut best = Best::default();
    let mut language = wishes.prefer_language;
    loop {
        best.restart();
        for (number, (variant, rating)) in variants.iter().zip(&mut ratings).enumerate() {
            if is_left_out(variant, wishes.codings) || language.is_some_and(|language| !speaks(variant, language)) {
                continue;
            }
            rating.is_rated = true;
            weights.rate(variant, rating, language.is_some());
            let may_choose = mode.algorithm != Algorithm::None;
            if may_choose && best.gives_way_to(variants, variant, rating, is_remote) {
                best.take(number, rating);
            }
        }
        // Where nothing has the language that a variable asks for, the client's own wishes count.
        if language.is_none() || best.is_choice(is_remote) {
            break;
        }
        language = None;
    }
    let choice = match best.number() {
        Some(number) if best.is_choice(is_remote) => Choice::Variant(number),
        _ if mode.knows_lists => Choice::List,
        _ => Choice::None,
    };
    Verdict {
        choice,
        ratings,
        sends_alternates: mode.knows_lists || !matches!(choice, Choice::Variant(_)),
        is_remote,
    }
}

fn speaks(variant: &Variant, language: &[u8]) -> bool {
    variant.languages.iter().any(|known| known == language)
}

fn is_left_out(variant: &Variant, codings: Codings) -> bool {
    let is_plain = is_identity(&variant.encoding) || variant.encoding == b"identity";
    match codings {
        Codings::All => false,
        Codings::OfHtml => !is_plain && !variant.media_type.starts_with(b"text/html"),
        Codings::None => !is_plain,
    }
}

/// Whether a coding is none. The old words are from mail.
fn is_identity(encoding: &[u8]) -> bool {
    matches!(encoding, b"" | b"7bit" | b"8bit" | b"binary")
}

/// A field of preferences; a field without members is not a missing one.
fn read(field: Option<&[u8]>) -> Option<Vec<Preference>> {
    field.map(preferences)
}
