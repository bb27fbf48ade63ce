//! RewriteRule: a pattern, what a match becomes, and on which conditions.

use crate::lang::regex::Regex;

use super::cond::Cond;
use super::flags::{Flags, Query};
use super::template::Template;

/// One rule with its conditions.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub(super) conds: Vec<Cond>,
    pub(super) regex: Regex,
    pub(super) negated: bool,
    /// What a match becomes; nothing for `-` and where the status says it all.
    pub(super) substitution: Option<Template>,
    pub(super) flags: Flags,
    /// The substitution as it was written.
    pub(super) output: Vec<u8>,
    /// Whether it has no query, whatever question marks a match brings: it ends in one, or drops the query and has none.
    pub(super) no_query: bool,
    /// Where it stands, for traces.
    pub(super) place: Box<str>,
}

impl Rule {
    /// Reads the words of a RewriteRule; `conds` are the conditions that stand before it. The error is a sentence.
    pub fn parse(conds: Vec<Cond>, pattern: &[u8], substitution: &[u8], flags: Option<&[u8]>) -> Result<Rule, String> {
        let mut flags = flags.map(Flags::parse).transpose()?.unwrap_or_default();
        let pattern = str::from_utf8(pattern).map_err(|_| "the pattern is not UTF-8 text".to_owned())?;
        let (negated, bare) = match pattern.strip_prefix('!') {
            Some(bare) => (true, bare),
            None => (false, pattern),
        };
        let regex = Regex::new(bare, flags.no_case).map_err(|error| error.0)?;
        let stays = substitution == b"-" || flags.status.is_some();
        let appends = matches!(flags.query, Query::Appended | Query::DiscardedThenAppended);
        let (output, no_query) = match substitution.strip_suffix(b"?") {
            Some(path) if !appends => (path, true),
            Some(_) => {
                flags.query_last = true;
                (substitution, false)
            }
            None => (
                substitution,
                flags.query == Query::Discarded && !substitution.contains(&b'?'),
            ),
        };
        Ok(Rule {
            conds,
            regex,
            negated,
            substitution: (!stays).then(|| Template::parse(output)),
            flags,
            output: output.to_vec(),
            no_query,
            place: Box::default(),
        })
    }

    /// The same with the place where it stands, for traces.
    #[must_use]
    pub fn standing_at(mut self, place: String) -> Rule {
        self.place = place.into();
        self
    }

    /// What its flags say.
    pub fn flags(&self) -> &Flags {
        &self.flags
    }

    /// With `[P]`, the URL of the application server, as far as no request decides it.
    pub fn proxied(&self) -> Option<&[u8]> {
        let substitution = self.substitution.as_ref().filter(|_| self.flags.proxy)?;
        Some(substitution.literal_start())
    }

    /// The maps it and its conditions ask.
    pub fn maps(&self) -> Vec<&[u8]> {
        let flags = &self.flags;
        let templates = self.substitution.iter().chain(&flags.env).chain(&flags.cookies);
        let templates = templates.chain(&flags.media_type).chain(&flags.handler);
        let conds = self.conds.iter().flat_map(Cond::maps);
        conds.chain(templates.flat_map(Template::maps)).collect()
    }
}
