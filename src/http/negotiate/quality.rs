//! How much a client likes a variant: its media type, language, charset and coding, each for itself.

use crate::http::accept::{PARSED_HTML, Preference};
use crate::http::negotiate::{
    Algorithm, Mode, Rating, SCRIPT_TYPE, Scripts, Terms, Variant, Wishes, is_identity, read,
};

/// What a request says, read once for all variants.
pub(super) struct Weights<'a> {
    media_types: Vec<Preference>,
    charsets: Option<Vec<Preference>>,
    encodings: Option<Vec<Preference>>,
    languages: Option<Vec<Preference>>,
    terms: Terms<'a>,
    /// Wildcards are worth little: the client weighs nothing, and may have listed them without a thought.
    wildcards_are_poor: bool,
    /// What a variant without a language is worth.
    no_language: f32,
    mode: Mode,
}

/// What the settings add to what the client does not take (`Fallback`), and a variant without a language among others.
const LEAST: f32 = 0.0001;

impl<'a> Weights<'a> {
    pub(super) fn new(variants: &[Variant], wishes: &Wishes<'_>, terms: Terms<'a>, mode: Mode) -> Weights<'a> {
        let said = read(wishes.accept);
        let weighs = said.iter().flatten().any(|one| one.quality < 1.0);
        let simple = |name: &[u8], quality| Preference {
            name: name.to_vec(),
            quality,
            level: 0.0,
            charset: Vec::new(),
        };
        let mut media_types = said.unwrap_or_else(|| vec![simple(b"*/*", 1.0)]);
        media_types.push(simple(
            SCRIPT_TYPE,
            match wishes.scripts {
                _ if mode.algorithm == Algorithm::Remote => 0.0,
                Scripts::First => 2.0,
                Scripts::Last => 0.001,
            },
        ));
        let has_languages = variants.iter().any(|variant| !variant.languages.is_empty());
        Weights {
            media_types,
            charsets: read(wishes.accept_charset),
            encodings: read(wishes.accept_encoding),
            languages: read(wishes.accept_language),
            terms,
            wildcards_are_poor: !mode.is_literal && !weighs,
            no_language: if has_languages && !mode.is_literal { LEAST } else { 1.0 },
            mode,
        }
    }

    /// Rates a variant; its language is not asked where it is the one that a variable prefers.
    pub(super) fn rate(&self, variant: &Variant, rating: &mut Rating, is_preferred: bool) {
        self.rate_media_type(variant, rating);
        if is_preferred {
            rating.language = 1.0;
            rating.is_definite = true;
        } else {
            self.rate_language(variant, rating);
        }
        rating.encoding = self.encoding(variant);
        self.rate_charset(variant, rating);
    }

    fn rate_media_type(&self, variant: &Variant, rating: &mut Rating) {
        let (mut quality, mut is_definite) = (0.0, true);
        for range in &self.media_types {
            let before = rating.closeness;
            if !takes(range, variant, rating) || rating.closeness == before {
                continue;
            }
            quality = match rating.closeness {
                1 if self.wildcards_are_poor => 0.01,
                2 if self.wildcards_are_poor => 0.02,
                _ => range.quality,
            };
            is_definite = rating.closeness == 3;
        }
        rating.media_type = quality;
        rating.is_definite &= is_definite;
    }

    fn rate_language(&self, variant: &Variant, rating: &mut Rating) {
        if variant.languages.is_empty() {
            if !self.mode.is_literal {
                rating.language = self.no_language;
            }
            return;
        }
        match &self.languages {
            None => rating.is_definite = false,
            Some(ranges) => {
                let (quality, is_definite) = self.language(variant, ranges);
                rating.language = quality;
                rating.is_definite &= is_definite;
            }
        }
        let by_priority = self.terms.prefer && rating.priority.is_none();
        let by_fallback = self.terms.fallback && rating.language == 0.0;
        if !by_priority && !by_fallback {
            return;
        }
        let indexes = variant.languages.iter().filter_map(|tag| self.priority(tag));
        let Some(first) = indexes.min() else { return };
        if rating.language != 0.0 {
            if self.terms.prefer {
                rating.priority = Some(first);
            }
        } else if self.terms.fallback {
            rating.priority = Some(first);
            rating.language = LEAST;
            rating.is_definite = false;
        }
    }

    /// The quality of the best of a variant's languages, each by the longest range that covers it, and whether it was named.
    fn language(&self, variant: &Variant, ranges: &[Preference]) -> (f32, bool) {
        let mut best: Option<&Preference> = None;
        let (mut star, mut by_star, mut by_prefix) = (None, false, false);
        for tag in &variant.languages {
            let mut longest: Option<&Preference> = None;
            for range in ranges {
                if range.name == b"*" {
                    star = star.or(Some(range));
                    continue;
                }
                let length = longest.map_or(0, |known| known.name.len());
                if covers(&range.name, tag) && range.name.len() > length {
                    longest = Some(range);
                }
                // Who asks for en-US mostly takes English, too; RFC 4647 says otherwise.
                if longest.is_none() && !self.mode.is_literal {
                    let dash = range.name.iter().position(|byte| *byte == b'-');
                    let prefix = dash.and_then(|at| range.name.get(..at));
                    by_prefix |= prefix.is_some_and(|prefix| tag.starts_with(prefix));
                }
            }
            best = match (best, longest) {
                (None, longest) => longest,
                (Some(best), Some(longest)) if longest.quality > best.quality => Some(longest),
                (best, _) => best,
            };
            by_star |= longest.is_none() && star.is_some();
        }
        if let Some(star) = star.filter(|star| by_star && best.is_none_or(|best| star.quality > best.quality)) {
            return (star.quality, false);
        }
        let fallback = if by_prefix { 0.001 } else { 0.0 };
        (best.map_or(fallback, |best| best.quality), true)
    }

    /// Where LanguagePriority names a language, or the beginning of its tag.
    fn priority(&self, tag: &[u8]) -> Option<usize> {
        self.terms.priority.iter().position(|named| {
            tag.get(..named.len())
                .is_some_and(|beginning| beginning.eq_ignore_ascii_case(named))
        })
    }

    fn encoding(&self, variant: &Variant) -> f32 {
        let is_plain = is_identity(&variant.encoding);
        let Some(codings) = &self.encodings else {
            return if is_plain { 1.0 } else { 0.5 };
        };
        let (coding, otherwise) = match variant.encoding.as_slice() {
            _ if is_plain => (&b"identity"[..], LEAST),
            coding => (without_x(coding), 0.0),
        };
        let mut star = None;
        for said in codings {
            let name = without_x(&said.name);
            if name == coding {
                return said.quality;
            }
            if name == b"*" {
                star = Some(said.quality);
            }
        }
        star.unwrap_or(otherwise)
    }

    fn rate_charset(&self, variant: &Variant, rating: &mut Rating) {
        let Some(charsets) = &self.charsets else {
            if !variant.charset.is_empty() {
                rating.is_definite = false;
            }
            return;
        };
        let charset = match variant.charset.as_slice() {
            b"" if self.mode.is_literal => return,
            b"" if variant.media_type.starts_with(b"text/") => OLD_DEFAULT,
            b"" => return,
            charset => charset,
        };
        let mut star = None;
        for said in charsets {
            if said.name == charset {
                rating.charset = said.quality;
                return;
            }
            if said.name == b"*" {
                star = Some(said.quality);
            }
        }
        rating.charset = match star {
            Some(quality) => {
                rating.is_definite = false;
                quality
            }
            None if charset == OLD_DEFAULT => 1.0,
            None => 0.0,
        };
    }
}

/// The charset of text that says nothing of its own, once.
const OLD_DEFAULT: &[u8] = b"iso-8859-1";

fn without_x(coding: &[u8]) -> &[u8] {
    coding.strip_prefix(b"x-").unwrap_or(coding)
}

/// Whether a range covers a tag: all of it, or up to a dash (RFC 4647 section 3.3.1).
fn covers(range: &[u8], tag: &[u8]) -> bool {
    let Some(rest) = tag.strip_prefix(range) else {
        return false;
    };
    matches!(rest.first(), None | Some(b'-'))
}

/// Whether a media range takes the variant; how closely is noted.
fn takes(range: &Preference, variant: &Variant, rating: &mut Rating) -> bool {
    let name = range.name.as_slice();
    if matches!(name, b"*" | b"*/*") {
        rating.closeness = rating.closeness.max(1);
        return true;
    }
    if let Some(kind) = name.strip_suffix(b"/*") {
        let rest = variant.media_type.strip_prefix(kind);
        if rest.and_then(<[u8]>::first) == Some(&b'/') {
            rating.closeness = rating.closeness.max(2);
            return true;
        }
    }
    let is_named =
        name == variant.media_type || name == b"text/html" && PARSED_HTML.contains(&variant.media_type.as_slice());
    if !is_named || range.level < variant.level {
        return false;
    }
    rating.level_taken = variant.level;
    rating.closeness = 3;
    true
}
