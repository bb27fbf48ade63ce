//! The script that a request's variables name, and the environment that it gets: what a FastCGI client says of a request is what
//! a CGI script is told (RFC 3875 section 4.1), but for names that decide what runs in it.

use std::collections::BTreeMap;
use std::fmt;

use crate::gateway::fastcgi::params::Pair;
use crate::gateway::refused::is_refused;
use crate::gateway::request::Origin;

/// The variables of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variables(BTreeMap<Vec<u8>, Vec<u8>>);

/// What a script is told besides.
#[derive(Clone, Copy, Debug)]
pub struct Besides<'a> {
    /// PATH.
    pub path: Option<&'a [u8]>,
    /// TZ.
    pub time_zone: Option<&'a [u8]>,
    /// UNIQUE_ID, where the client has not given the request a name.
    pub unique_id: &'a [u8],
}

/// Why variables name no script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Those that would are not there.
    Unnamed,
    /// The name is not that of a file from the root on.
    Relative,
    /// The name has a segment `..`.
    DotSegment,
    /// A variable has a NUL in it.
    Nul,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unfit::Unnamed => {
                "the client does not say what to run: SCRIPT_FILENAME, or DOCUMENT_ROOT and SCRIPT_NAME, must be among its \
                 variables"
            }
            Unfit::Relative => "the script's name does not begin with a slash",
            Unfit::DotSegment => "the script's name has a segment `..`",
            Unfit::Nul => "a variable has a NUL in it",
        })
    }
}

impl Variables {
    /// Those that may become a script's environment; of a name that comes twice the last. Others are left out.
    pub fn of(params: Vec<Pair>) -> Result<Variables, Unfit> {
        if params.iter().any(|(_, value)| value.contains(&0)) {
            return Err(Unfit::Nul);
        }
        let fit = |name: &[u8]| !name.is_empty() && !name.iter().any(|byte| matches!(byte, 0 | b'='));
        let params = params.into_iter();
        Ok(Variables(
            params
                .filter(|(name, _)| fit(name) && !is_refused(name, Origin::Htaccess))
                .collect(),
        ))
    }

    /// The value of a variable, if it has one that is not empty.
    pub fn find(&self, name: &[u8]) -> Option<&[u8]> {
        self.0.get(name).map(Vec::as_slice).filter(|value| !value.is_empty())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// The script's absolute name, without empty segments and those that are `.`.
    pub fn script(&self) -> Result<Vec<u8>, Unfit> {
        let named = if let Some(name) = self.find(b"SCRIPT_FILENAME") {
            behind_scheme(name).to_vec()
        } else {
            let root = self.find(b"DOCUMENT_ROOT").ok_or(Unfit::Unnamed)?;
            let name = self.find(b"SCRIPT_NAME").ok_or(Unfit::Unnamed)?;
            [root, b"/", name].concat()
        };
        if named.first() != Some(&b'/') {
            return Err(Unfit::Relative);
        }
        let mut script = Vec::with_capacity(named.len());
        for segment in named.split(|byte| *byte == b'/') {
            match segment {
                b"" | b"." => {}
                b".." => return Err(Unfit::DotSegment),
                segment => {
                    script.push(b'/');
                    script.extend_from_slice(segment);
                }
            }
        }
        if script.is_empty() {
            Err(Unfit::Unnamed)
        } else {
            Ok(script)
        }
    }

    /// Says that only the beginning of the name was the script, and `rest` (which begins with a slash) is PATH_INFO.
    pub fn split(&mut self, rest: &[u8]) {
        let mut set = |name: &[u8], value: Vec<u8>| self.0.insert(name.to_vec(), value);
        set(b"PATH_INFO", rest.to_vec());
        let script_name = self
            .find(b"SCRIPT_NAME")
            .and_then(|name| name.strip_suffix(rest))
            .map(<[u8]>::to_vec);
        if let Some(name) = script_name {
            self.0.insert(b"SCRIPT_NAME".to_vec(), name);
        }
        if let Some(root) = self.find(b"DOCUMENT_ROOT") {
            let translated = [root, rest].concat();
            self.0.insert(b"PATH_TRANSLATED".to_vec(), translated);
        }
    }

    /// The whole environment of `script`. What `configured` has is added where the client says nothing.
    pub fn environment<'a>(
        mut self,
        script: &[u8],
        besides: Besides<'_>,
        configured: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Vec<Pair> {
        let mut default = |name: &[u8], value: &[u8]| {
            self.0.entry(name.to_vec()).or_insert_with(|| value.to_vec());
        };
        for (name, value) in configured {
            default(name, value);
        }
        default(b"GATEWAY_INTERFACE", b"CGI/1.1");
        default(b"UNIQUE_ID", besides.unique_id);
        for (name, value) in [("PATH", besides.path), ("TZ", besides.time_zone)] {
            if let Some(value) = value {
                default(name.as_bytes(), value);
            }
        }
        self.0.insert(b"SCRIPT_FILENAME".to_vec(), script.to_vec());
        self.0.into_iter().collect()
    }
}

/// A file's name as Apache says it: `proxy:fcgi://host:port/srv/x.cgi`.
fn behind_scheme(name: &[u8]) -> &[u8] {
    let Some(rest) = name.strip_prefix(b"proxy:") else {
        return name;
    };
    let authority = rest
        .strip_prefix(b"fcgi://")
        .or_else(|| rest.strip_prefix(b"balancer://"));
    authority
        .and_then(|rest| {
            rest.iter()
                .position(|byte| *byte == b'/')
                .and_then(|slash| rest.get(slash..))
        })
        .unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::{Besides, Unfit, Variables};
    use crate::gateway::fastcgi::params::Pair;

    const BESIDES: Besides<'_> = Besides {
        path: Some(b"/bin"),
        time_zone: None,
        unique_id: b"id",
    };

    fn pairs(list: &[(&str, &str)]) -> Vec<Pair> {
        let owned = |(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        list.iter().map(owned).collect()
    }

    fn shown(env: Vec<Pair>) -> Vec<String> {
        let line = |(name, value): Pair| String::from_utf8([name, value].join(&b'=')).expect("text");
        env.into_iter().map(line).collect()
    }

    #[test]
    fn variables_name_a_script() {
        let name = |value| vec![("SCRIPT_FILENAME", value)];
        for (list, script) in [
            (name("/srv/a.cgi"), Ok("/srv/a.cgi")),
            (name("//srv/./cgi//a.cgi/"), Ok("/srv/cgi/a.cgi")),
            (name("proxy:fcgi://localhost/srv/a.cgi"), Ok("/srv/a.cgi")),
            (name("proxy:fcgi://127.0.0.1:9000//srv/a.cgi"), Ok("/srv/a.cgi")),
            (name("proxy:balancer://scripts/srv/a.cgi"), Ok("/srv/a.cgi")),
            (name("proxy:fcgi://localhost"), Err(Unfit::Relative)),
            (name("proxy:http://x/srv/a.cgi"), Err(Unfit::Relative)),
            (name("a.cgi"), Err(Unfit::Relative)),
            (name("/srv/../etc/a.cgi"), Err(Unfit::DotSegment)),
            (name("/srv/.."), Err(Unfit::DotSegment)),
            (name("/srv/..a/...cgi"), Ok("/srv/..a/...cgi")),
            (name("//"), Err(Unfit::Unnamed)),
            (name(""), Err(Unfit::Unnamed)),
            (vec![("SCRIPT_NAME", "/a.cgi")], Err(Unfit::Unnamed)),
            (vec![("DOCUMENT_ROOT", "/srv")], Err(Unfit::Unnamed)),
            (
                vec![("DOCUMENT_ROOT", "/srv/"), ("SCRIPT_NAME", "/a.cgi")],
                Ok("/srv/a.cgi"),
            ),
            (
                vec![
                    ("SCRIPT_FILENAME", ""),
                    ("DOCUMENT_ROOT", "/srv"),
                    ("SCRIPT_NAME", "a.cgi"),
                ],
                Ok("/srv/a.cgi"),
            ),
        ] {
            let found = Variables::of(pairs(&list)).and_then(|variables| variables.script());
            assert_eq!(found, script.map(|script| script.as_bytes().to_vec()), "{list:?}");
        }
    }

    #[test]
    fn what_steers_a_script_is_left_out_and_the_last_of_a_name_counts() {
        let variables = Variables::of(pairs(&[
            ("HTTP_PROXY", "http://evil.example"),
            ("LD_PRELOAD", "/tmp/evil.so"),
            ("BASH_FUNC_x%%", "() { :;}"),
            ("PATH", "/tmp"),
            ("", "nameless"),
            ("A=B", "c"),
            ("A", "first"),
            ("A", "last"),
            ("EMPTY", ""),
            ("SCRIPT_FILENAME", "proxy:fcgi://x/srv/a.cgi"),
        ]));
        let configured = [(&b"A"[..], &b"configured"[..]), (b"B", b"configured")];
        let env = variables
            .expect("no NUL")
            .environment(b"/srv/a.cgi", BESIDES, configured.into_iter());
        assert_eq!(
            shown(env),
            [
                "A=last",
                "B=configured",
                "EMPTY=",
                "GATEWAY_INTERFACE=CGI/1.1",
                "PATH=/bin",
                "SCRIPT_FILENAME=/srv/a.cgi",
                "UNIQUE_ID=id"
            ]
        );
        let nul = Variables::of(vec![(b"A".to_vec(), b"a\0b".to_vec())]);
        assert_eq!(nul, Err(Unfit::Nul));
    }

    #[test]
    fn the_rest_of_a_name_is_path_info() {
        let mut variables = Variables::of(pairs(&[
            ("DOCUMENT_ROOT", "/srv"),
            ("SCRIPT_NAME", "/a.cgi/more/info"),
            ("PATH_INFO", ""),
        ]))
        .expect("no NUL");
        variables.split(b"/more/info");
        for (name, value) in [
            ("PATH_INFO", "/more/info"),
            ("SCRIPT_NAME", "/a.cgi"),
            ("PATH_TRANSLATED", "/srv/more/info"),
        ] {
            assert_eq!(variables.find(name.as_bytes()), Some(value.as_bytes()), "{name}");
        }
    }
}
