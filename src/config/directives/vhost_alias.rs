//! Virtual hosts by directory: the name or the address that is asked for says where the site lies (mod_vhost_alias).

use crate::config::setting::{Setting, settings};
use crate::config::table::{Directive, Override, SITES, Set, Words};
use crate::config::words::{Args, Said, shown};

settings! {
    /// Virtual hosts by directory.
    pub struct VirtualHosts {
        /// `VirtualDocumentRoot` and `VirtualDocumentRootIP`; nothing is `none`.
        root: Setting<Option<Pattern>>,
        /// `VirtualScriptAlias` and `VirtualScriptAliasIP`; nothing is `none`.
        scripts: Setting<Option<Pattern>>,
    }
}

/// A directory's name with parts of a host's in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// What is filled in.
    pub by: By,
    parts: Vec<Part>,
}

/// What a pattern is filled in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The name of the host that is asked for.
    Name,
    /// The address of the server that the connection came to.
    Address,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    /// `%p`
    Port,
    /// `%N.M`
    Name(Pick, Pick),
}

/// Which labels of a name, or letters of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pick {
    /// From 1; 0 is all of them.
    number: usize,
    counted: Counted,
    /// Those that follow too; counted from the end, those before.
    and_more: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted {
    FromBeginning,
    FromEnd,
}

const ALL: Pick = Pick {
    number: 0,
    counted: Counted::FromBeginning,
    and_more: false,
};

/// A name has at most so many labels; what follows belongs to the last, as in Apache.
const LABELS: usize = 19;

impl Pattern {
    /// Reads a pattern.
    fn parse(text: &[u8], by: By) -> Option<Pattern> {
        let (mut parts, mut plain, mut rest) = (Vec::new(), Vec::new(), text);
        while let [byte, behind @ ..] = rest {
            rest = behind;
            if *byte != b'%' {
                plain.push(*byte);
                continue;
            }
            let part = match rest {
                [b'%', behind @ ..] => {
                    rest = behind;
                    plain.push(b'%');
                    continue;
                }
                [b'p', behind @ ..] => {
                    rest = behind;
                    Part::Port
                }
                _ => {
                    let labels = pick(&mut rest)?;
                    let letters = match rest {
                        [b'.', behind @ ..] => {
                            rest = behind;
                            pick(&mut rest)?
                        }
                        _ => ALL,
                    };
                    Part::Name(labels, letters)
                }
            };
            parts.push(Part::Text(std::mem::take(&mut plain)));
            parts.push(part);
        }
        parts.push(Part::Text(plain));
        Some(Pattern { by, parts })
    }

    /// The directory for a host, which has no slash in its name, and a port.
    pub fn directory(&self, host: &[u8], port: u16) -> Vec<u8> {
        let host = host.to_ascii_lowercase();
        let mut directory = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => directory.extend_from_slice(text),
                Part::Port => directory.extend_from_slice(port.to_string().as_bytes()),
                Part::Name(labels, letters) => {
                    let picked = letters.of_letters(labels.of_labels(&host));
                    // A dot alone, of a name's letters, would lead to another directory than one of that name.
                    let is_dots = !picked.is_empty() && picked.iter().all(|byte| *byte == b'.');
                    directory.extend_from_slice(if is_dots { b"_" } else { picked });
                }
            }
        }
        directory
    }

    /// The directory above all that the pattern can name.
    pub fn known_part(&self) -> &[u8] {
        let Some(Part::Text(text)) = self.parts.first() else {
            return b"/";
        };
        if self.parts.len() == 1 {
            return text;
        }
        let slash = text.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        text.get(..slash.max(1)).unwrap_or(b"/")
    }

    /// How much of a file's name is the directory, if the pattern can have named it.
    pub fn length_in(&self, path: &[u8]) -> Option<usize> {
        crate::base::path::below(path, self.known_part())?;
        let slashes = |text: &[u8]| memchr::memchr_iter(b'/', text).count();
        let mut depth = 0;
        for part in &self.parts {
            if let Part::Text(text) = part {
                depth += slashes(text);
            }
        }
        if let Some(Part::Text(text)) = self.parts.last()
            && text.ends_with(b"/")
        {
            depth -= 1;
        }
        let mut ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        ends.nth(depth).map(|(at, _)| at)
    }
}

/// `-N+`
fn pick(rest: &mut &[u8]) -> Option<Pick> {
    let counted = match rest {
        [b'-', behind @ ..] => {
            *rest = behind;
            Counted::FromEnd
        }
        _ => Counted::FromBeginning,
    };
    let [digit @ b'0'..=b'9', behind @ ..] = *rest else {
        return None;
    };
    *rest = behind;
    let and_more = rest.first() == Some(&b'+');
    if and_more {
        *rest = rest.get(1..).unwrap_or_default();
    }
    Some(Pick {
        number: usize::from(digit - b'0'),
        counted,
        and_more,
    })
}

impl Pick {
    /// The labels of a name; an underscore where it has none such.
    fn of_labels(self, host: &[u8]) -> &[u8] {
        let mut ends: Vec<usize> = host
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'.')
            .map(|(at, _)| at)
            .take(LABELS - 1)
            .collect();
        ends.push(host.len());
        let begins = |label: usize| match label.checked_sub(1) {
            Some(before) => ends.get(before).map_or(host.len(), |end| end + 1),
            None => 0,
        };
        let range = self.range(ends.len(), |label| {
            (begins(label), ends.get(label).copied().unwrap_or(host.len()))
        });
        match range {
            Some((begin, end)) => host.get(begin..end).unwrap_or_default(),
            None => b"_",
        }
    }

    /// The letters of labels; an underscore where they have none such.
    fn of_letters(self, labels: &[u8]) -> &[u8] {
        match self.range(labels.len(), |letter| (letter, letter + 1)) {
            Some((begin, end)) => labels.get(begin..end).unwrap_or_default(),
            None => b"_",
        }
    }

    /// From where to where, of `count` things that each lie where `of` says.
    fn range(self, count: usize, of: impl Fn(usize) -> (usize, usize)) -> Option<(usize, usize)> {
        if self.number == 0 {
            return Some((0, count.checked_sub(1).map_or(0, |last| of(last).1)));
        }
        let from_end = count.checked_sub(self.number)?;
        let last = count.saturating_sub(1);
        Some(match (self.counted, self.and_more) {
            (Counted::FromBeginning, false) => of(self.number - 1),
            (Counted::FromBeginning, true) => (of(self.number - 1).0, of(last).1),
            (Counted::FromEnd, false) => of(from_end),
            (Counted::FromEnd, true) => (0, of(from_end).1),
        })
    }
}

fn pattern(args: &Args, by: By) -> Said<Option<Pattern>> {
    let word = args.bytes(0);
    if args.keyword(0) == "none" {
        return Ok(None);
    }
    if word.first() != Some(&b'/') {
        return Err(format!("{} is not an absolute path; write one, or `none`", shown(word)));
    }
    let wrong = || {
        format!(
            "{} has a `%` that means nothing; write `%0`, `%1`, `%-1`, `%2+`, `%1.1`, `%p` or `%%`",
            shown(word)
        )
    };
    Pattern::parse(word, by).map(Some).ok_or_else(wrong)
}

/// An entry of this file's.
const fn entry(name: &'static str, summary: &'static str, manual: &'static str, set: Set) -> Directive {
    Directive {
        name,
        module: "mod_vhost_alias",
        syntax: "pattern|none",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "none",
        summary,
        manual,
        set,
    }
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    entry(
        "VirtualDocumentRoot",
        "Serve each host from a directory with its name.",
        "In the pattern %0 is the name that the client asks for, or ServerName with UseCanonicalName On; %1 is its first part between \
dots, %-1 the last, %2+ the second and what follows, %-2+ the last but one and what is before; %1.1 is the first letter of the first \
part, and so on; %p is the port, %% a percent sign. A part that the name has not is an underscore. Names are in lower case.\n\nA \
directory that is made is a site at once; one that is not there is answered with 404. Alias, ScriptAlias and UserDir come first. \
DOCUMENT_ROOT is the directory, but for rewriting rules outside of <Directory>, as in Apache. With ConfineReading, name the directory \
above all of them there.",
        Set::Site(|site, args| {
            site.virtual_hosts.root.set(pattern(args, By::Name)?);
            Ok(())
        }),
    ),
    entry(
        "VirtualDocumentRootIP",
        "Serve each address from a directory with its number.",
        "The same as VirtualDocumentRoot with the address that the connection came to: %1 is the first number of an IPv4 address.",
        Set::Site(|site, args| {
            site.virtual_hosts.root.set(pattern(args, By::Address)?);
            Ok(())
        }),
    ),
    entry(
        "VirtualScriptAlias",
        "Run what is below /cgi-bin/ from a directory with the host's name.",
        "The pattern is that of VirtualDocumentRoot.",
        Set::Site(|site, args| {
            site.virtual_hosts.scripts.set(pattern(args, By::Name)?);
            Ok(())
        }),
    ),
    entry(
        "VirtualScriptAliasIP",
        "Run what is below /cgi-bin/ from a directory with the address.",
        "The pattern is that of VirtualDocumentRootIP.",
        Set::Site(|site, args| {
            site.virtual_hosts.scripts.set(pattern(args, By::Address)?);
            Ok(())
        }),
    ),
];

#[cfg(test)]
mod tests {
    use super::{By, Pattern};

    fn parse(text: &str) -> Option<Pattern> {
        Pattern::parse(text.as_bytes(), By::Name)
    }

    /// The examples of mod_vhost_alias' manual, and what it leaves out.
    #[test]
    fn patterns_name_directories() {
        for (pattern, host, want) in [
            ("/v/%0", "www.Example.com", "/v/www.example.com"),
            (
                "/v/%3+/%2.1/%2.2/%2.3/%2",
                "www.domain.example.com",
                "/v/example.com/d/o/m/domain",
            ),
            (
                "/v/%3+/%2.-1/%2.-2/%2.-3/%2",
                "www.domain.example.com",
                "/v/example.com/n/i/a/domain",
            ),
            (
                "/v/%3+/%2.1/%2.2/%2.3/%2.4+",
                "www.domain.example.com",
                "/v/example.com/d/o/m/ain",
            ),
            ("/v/%-2.0.%-1.0", "www.example.com", "/v/example.com"),
            ("/v/%2.0.%3.0", "www.domain.example.com", "/v/domain.example"),
            ("/v/%1/%2/%3/%4/docs", "10.20.30.40", "/v/10/20/30/40/docs"),
            ("/v/%p/%%0", "a", "/v/8080/%0"),
            ("/v/%4/%-4/%1.9/%9+", "a.b", "/v/_/_/_/_"),
            ("/v/%-2+", "a.b.c", "/v/a.b"),
            ("/v/%1.-2+", "abc", "/v/ab"),
            ("/v/%12", "a.b", "/v/a2"),
            ("/v/%0+/%-0.-0+", "a.b", "/v/a.b/a.b"),
            ("/v/%19/%1", "a.b", "/v/a9/a"),
            ("/v/%0", "", "/v/"),
            ("/v/%1.1", "", "/v/_"),
            ("/v/%0.2%0.4", "a.b.c", "/v/__"),
        ] {
            let directory = parse(pattern).map(|parsed| parsed.directory(host.as_bytes(), 8080));
            assert_eq!(directory.as_deref(), Some(want.as_bytes()), "{pattern} {host}");
            for end in 0..pattern.len() {
                let _either_way = parse(&pattern[..end]);
            }
        }
        let many = "x.".repeat(30);
        assert_eq!(
            parse("/%-1").expect("good").directory(many.as_bytes(), 1).len(),
            1 + 60 - 36
        );
        for wrong in ["/%", "/%x", "/%-", "/%1.", "/%1.x", "/%+1"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_part_that_is_known_is_above_all() {
        for (pattern, known, file, length) in [
            ("/v/%0", "/v", "/v/a.b/x/y", Some(6)),
            ("/v/x%0/cgi/", "/v", "/v/xa/cgi/d/y", Some(9)),
            ("/%0", "/", "/a/b", Some(2)),
            ("/v/all", "/v/all", "/v/all/x", Some(6)),
            ("/v/%0", "/v", "/w/a/b", None),
            ("/v/%0", "/v", "/v/a", None),
        ] {
            let pattern = parse(pattern).expect("good");
            assert_eq!(pattern.known_part(), known.as_bytes());
            assert_eq!(pattern.length_in(file.as_bytes()), length, "{file}");
        }
    }
}
