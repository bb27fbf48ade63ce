//! Rules: any set of them is read or refused, and what is read can be applied to any request and comes to an end. The first
//! line of the input is the path, the second the query, the third the host and what fields, variables and maps say; the rest
//! are the lines of an access file, whose rules are applied as a directory's and as the server's.

#![no_main]

use std::borrow::Cow;
use std::fmt::Arguments;
use std::net::IpAddr;
use std::path::Path;
use std::sync::LazyLock;
use std::time::SystemTime;

use libfuzzer_sys::fuzz_target;

use lychgate::config::directives::rewrite::{Function, Map, RewriteOptions, Rules};
use lychgate::config::setting::Mapped;
use lychgate::config::site::Config;
use lychgate::config::{htaccess, load};
use lychgate::lang::rewrite::{self, Ahead, Decision, Host, InDirectory, Outcome, Pending, Subject, Variable};
use lychgate::lang::vars::{self, Accessible, FileTest, Vars};

const HEAD: &str = "TypesConfig /dev/null\n<Directory />\nAllowOverride FileInfo\n</Directory>\n\
    RewriteMap l int:tolower\nRewriteMap u int:toupper\nRewriteMap e int:escape\nRewriteMap d int:unescape\n\
    RewriteMap t txt:/nonexistent\nRewriteMap p prg:/nonexistent\n";

/// A server with these maps.
static SERVER: LazyLock<Config> =
    LazyLock::new(|| load::load_text("fuzz.conf", HEAD.as_bytes(), Path::new("/nonexistent")).config);

fuzz_target!(|input: &[u8]| {
    let mut lines = input.splitn(4, |byte| *byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let (path, query, said, text) = (next(), next(), next(), next());
    // Nothing else is asked here.
    let text: Vec<u8> = text
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| {
            line.get(..7)
                .is_some_and(|start| start.eq_ignore_ascii_case(b"rewrite"))
        })
        .flatten()
        .copied()
        .collect();
    let site = &SERVER.sites[0];
    let overrides = &site.directories[0].conf.overrides;
    let name = Path::new("/srv/.htaccess");
    let file = htaccess::read(name, &text, b"/srv/", b"/nonexistent", overrides);
    let rules = &file.conf.rewrite;
    let list = rules.list();
    let host = Sent {
        said,
        maps: &site.settings.rewrite.maps,
        rules,
    };
    let subject = |start: &[u8]| Subject {
        filename: [start, path].concat(),
        path_info: Vec::new(),
        query: (!query.is_empty()).then(|| query.to_vec()),
    };
    let in_server = || rewrite::server(&host, &list, subject(b"/"));
    if let Ok(outcome) = in_server() {
        judge(&outcome);
        assert_eq!(Ok(outcome), in_server());
    }
    let options = if rules.options().has(RewriteOptions::IGNORE_CONTEXT_INFO) {
        InDirectory::IgnoreContext
    } else {
        InDirectory::ByContext
    };
    if let Ok(outcome) = rewrite::directory(&host, &list, b"/srv/", rules.base(), options, subject(b"/srv/")) {
        judge(&outcome);
        // What goes through the server again is a path, and no request can have brought its bytes into the query raw.
        if let Decision::Again(path) = &outcome.decision {
            assert!(path.starts_with(b"/"));
            assert!(!outcome.query.unwrap_or_default().iter().any(|byte| *byte <= b' '));
        }
    }
});

/// What holds of any outcome.
fn judge(outcome: &Outcome) {
    match &outcome.decision {
        Decision::Redirect { status, location } => {
            assert!((300..400).contains(status), "{status}");
            assert!(!location.is_empty());
        }
        Decision::Status(status) => assert!((100..1000).contains(status) && !(300..400).contains(status)),
        Decision::File(path) | Decision::BelowDocumentRoot(path) => assert!(path.starts_with(b"/")),
        Decision::Proxy(_) => panic!("there is no proxy"),
        _ => {}
    }
}

/// A request whose every part is what the client sent.
struct Sent<'a> {
    said: &'a [u8],
    maps: &'a Mapped<Vec<u8>, Map>,
    rules: &'a Rules,
}

impl Vars for Sent<'_> {
    fn request_field(&self, _name: &str) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(self.said))
    }

    fn response_field(&self, _name: &str) -> Option<Cow<'_, [u8]>> {
        None
    }

    fn env(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        (name.len() % 2 == 0).then_some(Cow::Borrowed(self.said))
    }

    fn variable(&self, variable: vars::Variable) -> Option<Cow<'_, [u8]>> {
        match variable {
            vars::Variable::DocumentRoot => Some(Cow::Borrowed(b"/srv")),
            vars::Variable::ContextPrefix => Some(Cow::Borrowed(b"/a/")),
            _ => Some(Cow::Borrowed(self.said)),
        }
    }

    fn client_ip(&self) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, 7]))
    }

    fn file_is(&self, _test: FileTest, path: &[u8]) -> bool {
        path.len() % 2 == 0
    }

    fn is_accessible(&self, _what: Accessible, name: &[u8]) -> bool {
        name.len() % 2 == 0
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
}

impl Host for Sent<'_> {
    fn is_subrequest(&self) -> bool {
        self.said.first() == Some(&b's')
    }

    fn is_own(&self, host: &[u8], _port: Option<u16>) -> bool {
        host == b"a"
    }

    fn own_url(&self, path: &[u8]) -> Vec<u8> {
        [b"http://a", path].concat()
    }

    fn own_urls_name_files(&self) -> bool {
        self.rules.options().has(RewriteOptions::LEGACY_PREFIX_DOC_ROOT)
    }

    fn server_address(&self) -> Option<Vec<u8>> {
        None
    }

    fn map(&self, map: &[u8], key: &[u8]) -> Result<Option<Vec<u8>>, Pending> {
        Ok(match self.maps.find(map) {
            None => None,
            Some(Map::Internal(Function::ToLower)) => Some(key.to_ascii_lowercase()),
            Some(Map::Internal(_)) => Some([key, b"?%&"].concat()),
            Some(Map::Program { .. }) if key == b"later" => return Err(Pending),
            Some(_) => (key.len() % 2 == 0).then(|| self.said.to_vec()),
        })
    }

    fn base(&self) -> Option<&[u8]> {
        self.rules.base()
    }

    fn ahead(&self, _ahead: Ahead, path: &[u8], _variable: &Variable) -> Option<Vec<u8>> {
        Some(path.to_vec())
    }

    fn trace(&self, _level: u8, _directory: Option<&[u8]>, text: Arguments<'_>) {
        assert!(!text.to_string().is_empty());
    }
}
