//! Why a variant was chosen, for people.

use std::cmp::Ordering;

use crate::http::negotiate::{Choice, Rating, Variant, Verdict, better};

type Rated<'v> = (&'v Variant, &'v Rating);

/// How the chosen one compares with a rival, and what is said where that decides.
type Comparison<'c> = (&'static str, &'c dyn Fn(Rated<'_>) -> Ordering);

/// How much the client likes a variant, in one line.
pub fn qualities(variant: &Variant, rating: &Rating) -> String {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    if !rating.is_rated {
        return "left out by prefer-language, no-gzip or gzip-only-text/html".to_owned();
    }
    let named = |what: &str, value: &[u8], quality: f32| match value {
        [] => format!("{what} {quality}"),
        value => format!("{what} {} {quality}", text(value)),
    };
    let mut said = vec![named("type", &variant.media_type, rating.media_type)];
    if variant.source_quality.total_cmp(&1.0) != Ordering::Equal {
        said.push(format!("source {}", variant.source_quality));
    }
    said.push(named("language", &variant.languages.join(&b','), rating.language));
    if let Some(priority) = rating.priority {
        said.push(format!("LanguagePriority {}", priority + 1));
    }
    said.push(named("charset", &variant.charset, rating.charset));
    said.push(named("coding", &variant.encoding, rating.encoding));
    said.join(", ")
}

/// What was chosen, and what it was that decided.
pub fn of(variants: &[Variant], verdict: &Verdict) -> String {
    let number = match verdict.choice {
        Choice::Variant(number) => number,
        Choice::List => return "the client chooses itself, as its field Negotiate asks: 300".to_owned(),
        Choice::None => return "none is acceptable: 406".to_owned(),
    };
    let Some(chosen) = variants.get(number).zip(verdict.ratings.get(number)) else {
        return String::new();
    };
    let name = String::from_utf8_lossy(&chosen.0.name);
    let others = variants.iter().zip(&verdict.ratings).enumerate();
    let rivals: Vec<Rated<'_>> = others
        .filter(|(other, (variant, rating))| {
            *other != number && better::quality(variant, rating, verdict.is_remote).is_some()
        })
        .map(|(_, rated)| rated)
        .collect();
    format!("{name} is chosen: {}", decisive(chosen, rivals, verdict.is_remote))
}

/// The comparison that left no rival.
fn decisive(chosen: Rated<'_>, mut rivals: Vec<Rated<'_>>, is_remote: bool) -> &'static str {
    if rivals.is_empty() {
        return "no other is acceptable";
    }
    let whole = |rated: Rated<'_>| better::quality(rated.0, rated.1, is_remote).unwrap_or_default();
    let by = |one: f32, other: f32| one.partial_cmp(&other).unwrap_or(Ordering::Equal);
    let own: [Comparison<'_>; 7] = [
        ("its media type, with its source quality, is best", &|rival| {
            by(whole(chosen), whole(rival))
        }),
        ("its language is best", &|rival| by(chosen.1.language, rival.1.language)),
        ("LanguagePriority has its language first", &|rival| {
            better::priority(rival.1).cmp(&better::priority(chosen.1))
        }),
        ("the level of its media type is best", &|rival| {
            better::level(chosen, rival)
        }),
        ("its charset is best", &|rival| better::charset(chosen, rival)),
        ("its coding is best", &|rival| by(chosen.1.encoding, rival.1.encoding)),
        ("it is the shortest", &|rival| rival.0.length.cmp(&chosen.0.length)),
    ];
    let remote: [Comparison<'_>; 2] = [
        ("the product of its qualities is best (RFC 2296)", &|rival| {
            by(whole(chosen), whole(rival))
        }),
        ("its coding is best", &|rival| by(chosen.1.encoding, rival.1.encoding)),
    ];
    let comparisons = if is_remote { &remote[..] } else { &own[..] };
    for (reason, compare) in comparisons {
        rivals.retain(|rival| compare(*rival) != Ordering::Greater);
        if rivals.is_empty() {
            return reason;
        }
    }
    "it is the first of those that are as good"
}
