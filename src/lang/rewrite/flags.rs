//! The words in brackets behind a rule or a condition.

use crate::http::status::Status;

use super::template::Template;

/// What the flags of a RewriteRule say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that is there or not")]
pub struct Flags {
    /// B, BCTLS, BNE, BNP: how back-references are escaped.
    pub escape: Escape,
    /// C
    pub chain: bool,
    /// CO, each time.
    pub cookies: Vec<Template>,
    /// DPI
    pub discard_path: bool,
    /// E, each time.
    pub env: Vec<Template>,
    /// END
    pub end: bool,
    /// H
    pub handler: Option<Template>,
    /// L
    pub last: bool,
    /// N: the most rounds.
    pub next: Option<u32>,
    /// NC
    pub no_case: bool,
    /// NE
    pub no_escape: bool,
    /// NS
    pub no_subrequest: bool,
    /// P
    pub proxy: bool,
    /// PT
    pub pass_through: bool,
    /// QSA, QSD
    pub query: Query,
    /// QSL
    pub query_last: bool,
    /// R with a code of a redirect, or without one.
    pub redirect: Option<u16>,
    /// R with any code: subrequests do not see the rule.
    pub is_redirect: bool,
    /// F, G, or R with any other code.
    pub status: Option<u16>,
    /// S
    pub skip: usize,
    /// T
    pub media_type: Option<Template>,
    /// UnsafeAllow3F
    pub allow_3f: bool,
    /// UnsafePrefixStat
    pub prefix_stat: bool,
}

/// What becomes of the request's own query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Query {
    /// One in the substitution replaces it.
    #[default]
    Replaced,
    /// One in the substitution comes before it (QSA).
    Appended,
    /// It is dropped (QSD).
    Discarded,
    /// QSA and QSD: it is dropped, then appended to.
    DiscardedThenAppended,
}

/// Which bytes of a back-reference are written as `%xx`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Escape {
    /// Whether anything is.
    pub which: Which,
    /// These are not (BNE).
    pub but: Vec<u8>,
    /// A space is `%20` rather than `+` (BNP).
    pub no_plus: bool,
}

/// Which bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// None.
    #[default]
    None,
    /// All but letters, digits and the underscore (B).
    NotWords,
    /// Control characters and the space (BCTLS).
    Controls,
    /// These (B=…).
    These(Vec<u8>),
}

/// Apache's bound on the rounds of `[N]`, which `[N=n]` moves; at the bound the request fails with 500.
const ROUNDS: u32 = 32_000;

impl Flags {
    /// Reads `[flag,flag=value]`. The error is a sentence.
    pub fn parse(words: &[u8]) -> Result<Flags, String> {
        let mut flags = Flags::default();
        for flag in listed(words, "RewriteRule")? {
            flags.take(flag)?;
        }
        Ok(flags)
    }

    fn take(&mut self, flag: &[u8]) -> Result<(), String> {
        let (name, value) = match flag.iter().position(|byte| *byte == b'=') {
            Some(at) => (&flag[..at], Some(&flag[at + 1..])),
            None => (flag, None),
        };
        let given = value.unwrap_or_default();
        let needed = |what: &str| match value {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(format!("flag `{}` needs {what}", shown(name))),
        };
        match name.to_ascii_lowercase().as_slice() {
            b"b" | b"backrefescape" => {
                self.escape.which = match value {
                    Some(these) if !these.is_empty() => Which::These(these.to_vec()),
                    _ => Which::NotWords,
                };
            }
            b"bnp" | b"backrefernoplus" | b"backrefnoplus" => self.escape.no_plus = true,
            b"bctls" => self.escape.which = Which::Controls,
            b"bne" => self.escape.but = needed("the characters that are not escaped")?.to_vec(),
            b"c" | b"chain" => self.chain = true,
            b"co" | b"cookie" => self
                .cookies
                .push(Template::parse(needed("NAME:VALUE:DOMAIN and what else a cookie has")?)),
            b"dpi" | b"discardpath" => self.discard_path = true,
            b"e" | b"env" => self.env.push(Template::parse(needed("NAME:VALUE, NAME or !NAME")?)),
            b"end" => self.end = true,
            b"f" | b"forbidden" => self.status = Some(403),
            b"g" | b"gone" => self.status = Some(410),
            b"h" | b"handler" => self.handler = Some(Template::parse(needed("the name of a handler")?)),
            b"l" | b"last" => self.last = true,
            b"n" | b"next" => self.next = Some(rounds(value)?),
            b"nc" | b"nocase" => self.no_case = true,
            b"ne" | b"noescape" => self.no_escape = true,
            b"ns" | b"nosubreq" => self.no_subrequest = true,
            b"p" | b"proxy" => self.proxy = true,
            b"pt" | b"passthrough" => self.pass_through = true,
            b"qsa" | b"qsappend" => {
                self.query = match self.query {
                    Query::Replaced | Query::Appended => Query::Appended,
                    Query::Discarded | Query::DiscardedThenAppended => Query::DiscardedThenAppended,
                }
            }
            b"qsd" | b"qsdiscard" => {
                self.query = match self.query {
                    Query::Replaced | Query::Discarded => Query::Discarded,
                    Query::Appended | Query::DiscardedThenAppended => Query::DiscardedThenAppended,
                }
            }
            b"qsl" | b"qslast" => self.query_last = true,
            b"r" | b"redirect" => self.redirects(given)?,
            b"s" | b"skip" => self.skip = number(needed("how many rules to skip")?, name)?,
            b"t" | b"type" => self.media_type = Some(Template::parse(needed("a media type")?)),
            b"unsafeallow3f" => self.allow_3f = true,
            b"unsafeprefixstat" => self.prefix_stat = true,
            // It concerns other systems than Linux.
            b"unc" => {}
            _ => return Err(format!("unknown flag `{}`", shown(name))),
        }
        Ok(())
    }

    fn redirects(&mut self, code: &[u8]) -> Result<(), String> {
        let status = match code.to_ascii_lowercase().as_slice() {
            b"" | b"temp" => 302,
            b"permanent" => 301,
            b"seeother" => 303,
            _ => str::from_utf8(code)
                .ok()
                .and_then(|code| code.parse().ok())
                .filter(|code| Status::new(*code).is_some_and(Status::is_known))
                .ok_or_else(|| format!("`{}` is not a status for flag `R`", shown(code)))?,
        };
        self.is_redirect = true;
        match status {
            300..=399 => self.redirect = Some(status),
            _ => self.status = Some(status),
        }
        Ok(())
    }
}

/// What the flags of a RewriteCond say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CondFlags {
    /// NC
    pub no_case: bool,
    /// OR
    pub or_next: bool,
    /// NV
    pub no_vary: bool,
}

impl CondFlags {
    /// Reads `[flag,flag]`. The error is a sentence.
    pub fn parse(words: &[u8]) -> Result<CondFlags, String> {
        let mut flags = CondFlags::default();
        for flag in listed(words, "RewriteCond")? {
            match flag.to_ascii_lowercase().as_slice() {
                b"nc" | b"nocase" => flags.no_case = true,
                b"or" | b"ornext" => flags.or_next = true,
                b"nv" | b"novary" => flags.no_vary = true,
                _ => return Err(format!("unknown flag `{}`", shown(flag))),
            }
        }
        Ok(flags)
    }
}

/// The flags between the brackets, without the white space around them. A comma ends a flag; spaces in a value stay.
fn listed<'w>(words: &'w [u8], directive: &str) -> Result<Vec<&'w [u8]>, String> {
    let inner = words
        .strip_prefix(b"[")
        .and_then(|words| words.strip_suffix(b"]"))
        .ok_or_else(|| format!("bad flag delimiters; the flags of {directive} stand in brackets, as `[L,NC]`"))?;
    let flags = inner.split(|byte| *byte == b',');
    Ok(flags
        .map(|flag| {
            let start = flag.iter().position(|byte| !byte.is_ascii_whitespace());
            let flag = &flag[start.unwrap_or(flag.len())..];
            // The characters of `[B= ?]` may begin with a space, and end with none.
            flag.trim_ascii_end()
        })
        .filter(|flag| !flag.is_empty())
        .collect())
}

fn rounds(value: Option<&[u8]>) -> Result<u32, String> {
    match value {
        None | Some(b"") => Ok(ROUNDS),
        Some(value) => number(value, b"N"),
    }
}

fn number<N: std::str::FromStr>(value: &[u8], flag: &[u8]) -> Result<N, String> {
    str::from_utf8(value)
        .ok()
        .and_then(|value| value.parse().ok())
        .ok_or_else(|| format!("`{}` is not a number for flag `{}`", shown(value), shown(flag)))
}

fn shown(word: &[u8]) -> String {
    word.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::{CondFlags, Flags, Query, Which};

    #[test]
    fn flags_are_read_in_both_spellings_and_any_case() {
        let short = Flags::parse(b"[r=301,l,nc,qsa,Ne]").expect("known");
        let long = Flags::parse(b"[redirect=permanent, last , NoCase,qsappend,noescape]").expect("known");
        assert_eq!(short, long);
        assert_eq!(
            (short.redirect, short.last, short.query),
            (Some(301), true, Query::Appended)
        );
    }

    #[test]
    fn a_code_that_is_no_redirect_is_a_status() {
        for (word, redirect, status) in [
            (&b"[R]"[..], Some(302), None),
            (b"[R=seeother]", Some(303), None),
            (b"[R=404]", None, Some(404)),
            (b"[F]", None, Some(403)),
            (b"[G]", None, Some(410)),
        ] {
            let flags = Flags::parse(word).expect("known");
            assert_eq!((flags.redirect, flags.status), (redirect, status), "{word:?}");
        }
    }

    #[test]
    fn escaping_names_its_bytes() {
        let flags = Flags::parse(b"[B= ?,BNP,BNE=/]").expect("known");
        assert_eq!(flags.escape.which, Which::These(b" ?".to_vec()));
        assert!(flags.escape.no_plus);
        assert_eq!(flags.escape.but, b"/");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (words, said) in [
            (&b"L"[..], "bad flag delimiters"),
            (b"[L", "bad flag delimiters"),
            (b"[X]", "unknown flag `X`"),
            (b"[R=abc]", "`abc` is not a status for flag `R`"),
            (b"[R=1000]", "`1000` is not a status"),
            (b"[S=x]", "`x` is not a number for flag `S`"),
            (b"[E]", "flag `E` needs"),
        ] {
            let error = Flags::parse(words).expect_err("wrong");
            assert!(error.starts_with(said), "{error}");
        }
        assert_eq!(CondFlags::parse(b"[XX]").expect_err("wrong"), "unknown flag `XX`");
        assert!(CondFlags::parse(b"[NC,OR]").expect("known").or_next);
    }
}
