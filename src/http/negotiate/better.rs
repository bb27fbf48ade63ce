//! Which of two variants is better: the order in which their qualities are compared.

use std::cmp::Ordering;

use crate::http::negotiate::{Rating, Variant};

/// The best variant so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Best {
    found: Option<(usize, Rating)>,
    quality: f32,
}

impl Best {
    /// Begins again; as in Apache, what is found must still be as good as what was found before.
    pub(super) fn restart(&mut self) {
        self.found = None;
    }

    pub(super) fn number(&self) -> Option<usize> {
        self.found.as_ref().map(|(number, _)| *number)
    }

    /// Whether it may be sent.
    pub(super) fn is_choice(&self, is_remote: bool) -> bool {
        let Some((_, rating)) = &self.found else { return false };
        self.quality > 0.0 && (rating.is_definite || !is_remote)
    }

    pub(super) fn take(&mut self, number: usize, rating: &Rating) {
        self.found = Some((number, rating.clone()));
    }

    /// Whether a variant is better than it; then its quality is the new one.
    pub(super) fn gives_way_to(
        &mut self,
        variants: &[Variant],
        variant: &Variant,
        rating: &Rating,
        is_remote: bool,
    ) -> bool {
        let Some(quality) = quality(variant, rating, is_remote) else {
            return false;
        };
        let best = self
            .found
            .as_ref()
            .and_then(|(number, best)| Some((variants.get(*number)?, best)));
        let is_better = match (quality.partial_cmp(&self.quality), best) {
            (Some(Ordering::Greater), _) => true,
            (Some(Ordering::Equal), None) => !is_remote,
            (Some(Ordering::Equal), Some((_, known))) if is_remote => rating.encoding > known.encoding,
            (Some(Ordering::Equal), Some(known)) => order((variant, rating), known) == Ordering::Greater,
            _ => false,
        };
        if is_better {
            self.quality = quality;
        }
        is_better
    }
}

/// The quality of a variant as a whole; nothing where it is not acceptable.
pub(super) fn quality(variant: &Variant, rating: &Rating, is_remote: bool) -> Option<f32> {
    let quality = if is_remote {
        remote_quality(variant, rating)
    } else {
        own_quality(variant, rating)
    };
    quality.filter(|quality| *quality > 0.0 && rating.is_rated)
}

/// RFC 2296 section 3.4, which knows no codings: one only counts where it is ruled out.
fn remote_quality(variant: &Variant, rating: &Rating) -> Option<f32> {
    let quality = rating.media_type * variant.source_quality * rating.charset * rating.language;
    (rating.encoding != 0.0).then_some(quality)
}

/// Apache's own: what the client rules out in one dimension is out, and media type and source come first.
fn own_quality(variant: &Variant, rating: &Rating) -> Option<f32> {
    let all = [
        rating.encoding,
        rating.language,
        variant.source_quality,
        rating.charset,
        rating.media_type,
    ];
    let is_acceptable = all.iter().all(|quality| *quality != 0.0);
    is_acceptable.then_some(rating.media_type * variant.source_quality)
}

/// How variants of the same quality are compared: by language, its priority, the level of the media type, charset, coding and
/// length.
fn order(one: (&Variant, &Rating), other: (&Variant, &Rating)) -> Ordering {
    let ((variant, rating), (best, known)) = (one, other);
    let by = |one: f32, other: f32| one.partial_cmp(&other).unwrap_or(Ordering::Equal);
    by(rating.language, known.language)
        .then_with(|| priority(known).cmp(&priority(rating)))
        .then_with(|| level(one, other))
        .then_with(|| charset(one, other))
        .then_with(|| by(rating.encoding, known.encoding))
        // An unknown length is the shortest.
        .then_with(|| best.length.cmp(&variant.length))
}

/// Another charset than the old default is preferred to it; nothing is said the other way round.
pub(super) fn charset(one: (&Variant, &Rating), other: (&Variant, &Rating)) -> Ordering {
    let ((variant, rating), (best, known)) = (one, other);
    let is_usual = |variant: &Variant| matches!(variant.charset.as_slice(), b"" | b"iso-8859-1");
    let by_quality = rating.charset.partial_cmp(&known.charset).unwrap_or(Ordering::Equal);
    by_quality.then_with(|| {
        if !is_usual(variant) && is_usual(best) {
            Ordering::Greater
        } else {
            Ordering::Equal
        }
    })
}

/// What has no priority comes last.
pub(super) fn priority(rating: &Rating) -> usize {
    rating.priority.unwrap_or(usize::MAX)
}

/// Of the same media type the highest level that the client takes is best; where it named none, the lowest.
pub(super) fn level(one: (&Variant, &Rating), other: (&Variant, &Rating)) -> Ordering {
    let ((variant, rating), (best, known)) = (one, other);
    let is_comparable = if variant.is_html() {
        best.is_html()
    } else {
        variant.media_type == best.media_type
    };
    if !is_comparable {
        return Ordering::Equal;
    }
    let by = |one: f32, other: f32| one.partial_cmp(&other).unwrap_or(Ordering::Equal);
    by(rating.level_taken, known.level_taken).then_with(|| by(best.level, variant.level))
}
