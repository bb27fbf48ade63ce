//! Rules at work, with what Apache's manual and real sites say of them.

use std::borrow::Cow;
use std::net::IpAddr;

use super::{Ahead, Cond, Decision, Host, InDirectory, Outcome, Pending, Rule, Subject, Variable, directory, server};
use crate::lang::expr::Trust;
use crate::lang::vars::testing::Table;
use crate::lang::vars::{self, FileTest, Vars};

/// A request to `http://www.example/`, whose files are those of the table.
#[derive(Default)]
pub(super) struct Site {
    pub(super) table: Table,
    pub(super) is_subrequest: bool,
}

impl Vars for Site {
    fn request_field(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.table.request_field(name)
    }
    fn response_field(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.table.response_field(name)
    }
    fn env(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.table.env(name)
    }
    fn variable(&self, variable: vars::Variable) -> Option<Cow<'_, [u8]>> {
        self.table.variable(variable)
    }
    fn client_ip(&self) -> Option<IpAddr> {
        self.table.client_ip()
    }
    fn file_is(&self, test: FileTest, path: &[u8]) -> bool {
        self.table.file_is(test, path)
    }
}

impl Host for Site {
    fn is_subrequest(&self) -> bool {
        self.is_subrequest
    }
    fn is_own(&self, host: &[u8], port: Option<u16>) -> bool {
        host == b"www.example" && matches!(port, None | Some(80))
    }
    fn own_url(&self, path: &[u8]) -> Vec<u8> {
        [b"http://www.example", path].concat()
    }
    fn server_address(&self) -> Option<Vec<u8>> {
        Some(b"192.0.2.1".to_vec())
    }
    fn map(&self, map: &[u8], key: &[u8]) -> Result<Option<Vec<u8>>, Pending> {
        match map {
            b"upper" => Ok(Some(key.to_ascii_uppercase())),
            b"slow" => Err(Pending),
            _ => Ok((key == b"a").then(|| b"found".to_vec())),
        }
    }
    fn ahead(&self, ahead: Ahead, path: &[u8], variable: &Variable) -> Option<Vec<u8>> {
        let how = if ahead == Ahead::Url { "url" } else { "file" };
        Some(format!("{how}:{}:{}", String::from_utf8_lossy(path), variable.told()).into_bytes())
    }
}

/// Lines of `RewriteCond` and `RewriteRule` without their names: a line of a condition begins with `?`.
pub(super) fn rules(lines: &[&str]) -> Vec<Rule> {
    let (mut rules, mut conds) = (Vec::new(), Vec::new());
    for line in lines {
        let words: Vec<&[u8]> = line
            .split(' ')
            .filter(|word| !word.is_empty())
            .map(str::as_bytes)
            .collect();
        match words.as_slice() {
            [b"?", input, pattern, flags @ ..] => {
                conds.push(Cond::parse(input, pattern, flags.first().copied(), Trust::Full).expect(line));
            }
            [pattern, substitution, flags @ ..] => {
                let conds = std::mem::take(&mut conds);
                rules.push(Rule::parse(conds, pattern, substitution, flags.first().copied()).expect(line));
            }
            _ => panic!("{line}"),
        }
    }
    rules
}

pub(super) fn subject(filename: &[u8], query: &[u8]) -> Subject {
    Subject {
        filename: filename.into(),
        path_info: Vec::new(),
        query: (!query.is_empty()).then(|| query.into()),
    }
}

fn in_server(site: &Site, lines: &[&str], url: &str) -> Outcome {
    let rules = rules(lines);
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    server(
        site,
        &rules.iter().collect::<Vec<_>>(),
        subject(path.as_bytes(), query.as_bytes()),
    )
    .expect("no map is slow")
}

fn in_directory(site: &Site, base: Option<&str>, lines: &[&str], file: &str) -> Outcome {
    let rules = rules(lines);
    let (path, query) = file.split_once('?').unwrap_or((file, ""));
    let base = base.map(str::as_bytes);
    let rules = rules.iter().collect::<Vec<_>>();
    directory(
        site,
        &rules,
        b"/srv/www/",
        base,
        InDirectory::ByContext,
        subject(path.as_bytes(), query.as_bytes()),
    )
    .expect("no map is slow")
}

/// The decision in a line, with the query where the request goes on.
fn told(outcome: &Outcome) -> String {
    let query = outcome
        .query
        .as_deref()
        .map(|query| format!("?{}", String::from_utf8_lossy(query)));
    let query = query.unwrap_or_default();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match &outcome.decision {
        Decision::Declined => "declined".into(),
        Decision::Stays => "stays".into(),
        Decision::Status(status) => status.to_string(),
        Decision::TooManyRounds => "rounds".into(),
        Decision::Unsafe3F => "3f".into(),
        Decision::UnsafeQuery => "unsafe query".into(),
        Decision::TooLong(_) => "too long".into(),
        Decision::NoPath(path) => format!("no path {}", text(path)),
        Decision::Redirect { status, location } => format!("{status} {}", text(location)),
        Decision::File(path) => format!("file {}{query}", text(path)),
        Decision::BelowDocumentRoot(path) => format!("root {}{query}", text(path)),
        Decision::Url(path) => format!("url {}{query}", text(path)),
        Decision::Again(path) => format!("again {}{query}", text(path)),
        Decision::Proxy(url) | Decision::ProxyAsItIs(url) | Decision::Renamed(url) => {
            format!("proxy {}{query}", text(url))
        }
    }
}

#[test]
fn the_servers_rules_see_the_url_and_make_a_name_below_the_root() {
    let table: &[(&[&str], &str, &str)] = &[
        (&["^/a$ /b"], "/a", "root /b"),
        (&["^/a$ /b"], "/c", "declined"),
        (&["^/(.*)$ /x/$1?y=$1"], "/a?q", "root /x/a?y=a"),
        (&["^/a$ /b [QSA]"], "/a?q=1", "root /b?q=1"),
        (&["^/a$ /b?x=1 [QSA]"], "/a?q=1", "root /b?x=1&q=1"),
        (&["^/a$ /b [QSD]"], "/a?q=1", "root /b"),
        (&["^/a$ /b? [L]"], "/a?q=1", "root /b"),
        (&["^/a$ /b?c?d [QSL]"], "/a", "root /b?c?d"),
        (&["^/a$ /b [PT]"], "/a?q", "url /b?q"),
        (&["^/a$ b"], "/a", "root /b"),
        (&["^/a - [F]"], "/a", "403"),
        (&["^/a - [G]"], "/a", "410"),
        (&["^/a /b [R=404]"], "/a", "404"),
        (&["!^/a /b"], "/c", "root /b"),
        (&["!^/a /b"], "/a", "declined"),
        (&["^/A$ /b [NC]"], "/a", "root /b"),
        (&["^/a /b [L]", "^/b /c"], "/a", "root /b"),
        (&["^/a /b", "^/b /c"], "/a", "root /c"),
        (&["^/a /b [END]", "^/b /c"], "/a", "root /b"),
    ];
    for (lines, url, want) in table {
        assert_eq!(told(&in_server(&Site::default(), lines, url)), *want, "{lines:?} {url}");
    }
}

#[test]
fn chains_skips_and_rounds() {
    let table: &[(&[&str], &str, &str)] = &[
        (&["^/x - [C]", "^/a /b", "^/a /c"], "/a", "root /c"),
        (&["^/x - [C]", "^/a /b [C]", "^/a /d", "^/a /c"], "/a", "root /c"),
        (&["^/a - [S=1]", "^/a /b", "^/a /c"], "/a", "root /c"),
        (&["^/a - [S=9]", "^/a /b"], "/a", "declined"),
        (&["^(.*)A(.*)$ $1B$2 [N]"], "/AAA", "root /BBB"),
        (&["^(.*)$ $1x [N=5]"], "/a", "rounds"),
    ];
    for (lines, url, want) in table {
        assert_eq!(told(&in_server(&Site::default(), lines, url)), *want, "{lines:?} {url}");
    }
}

#[test]
fn redirects_are_whole_urls_and_escaped() {
    let table: &[(&[&str], &str, &str)] = &[
        (&["^/a$ /b [R]"], "/a", "302 http://www.example/b"),
        (&["^/a$ /b [R=301,L]"], "/a?x=%20", "301 http://www.example/b?x=%20"),
        (&["^/a$ b [R]"], "/a", "302 http://www.example/b"),
        (&["^/a$ /b#c [R]"], "/a", "302 http://www.example/b%23c"),
        (&["^/a$ /b#c [R,NE]"], "/a", "302 http://www.example/b#c"),
        (&["^/(.*)$ https://other/$1"], "/a b", "302 https://other/a%20b"),
        (&["^/a$ http://www.example/b"], "/a", "root /b"),
        (&["^/a$ http://www.example:80/b"], "/a", "root /b"),
        (&["^/a$ http://www.example:81/b"], "/a", "302 http://www.example:81/b"),
        (&["^/a$ mailto:a@b"], "/a", "302 mailto:a@b"),
        (&["^/a$ http://b/c [P]"], "/a", "proxy http://b/c"),
        (&["^/a$ /b [R=303]", "^/b /c"], "/a", "303 http://www.example/b"),
    ];
    for (lines, url, want) in table {
        assert_eq!(told(&in_server(&Site::default(), lines, url)), *want, "{lines:?} {url}");
    }
}

#[test]
fn conditions_decide_and_their_groups_are_for_the_rule() {
    let site = Site {
        table: Table {
            request: vec![("Host", b"a.example"), ("User-Agent", b"Bot/2")],
            files: vec![("/srv/f", b"text"), ("/srv/d/", b""), ("/srv/empty", b"")],
            variables: vec![("REMOTE_ADDR", b"192.0.2.7"), ("HTTPS", b"off"), ("REQUEST_URI", b"/a")],
            env: vec![("mode", b"x")],
            ..Table::default()
        },
        ..Site::default()
    };
    let table: &[(&[&str], &str)] = &[
        (&["? %{HTTP_HOST} ^(.*)\\.example$", "^ /%1"], "root /a"),
        (&["? %{HTTP_HOST} ^b", "^ /x"], "declined"),
        (&["? %{HTTP_HOST} !^b", "^ /x%1"], "root /x"),
        (
            &["? %{HTTP_HOST} ^b [OR]", "? %{HTTP:User-Agent} bot [NC]", "^ /x"],
            "root /x",
        ),
        (
            &["? %{HTTP_HOST} ^a [OR]", "? %{HTTP_HOST} ^z", "? %{HTTPS} =on", "^ /x"],
            "declined",
        ),
        (
            &["? %{HTTPS} !=on", "^ https://%{HTTP_HOST}%{REQUEST_URI} [R=301,L]"],
            "301 https://a.example/a",
        ),
        (
            &[
                "? /srv/f -f",
                "? /srv/d/ -d",
                "? /srv/no !-e [OR]",
                "? /srv/no !-f",
                "^ /x",
            ],
            "root /x",
        ),
        (&["? /srv/empty !-s", "? /srv/f -s", "^ /x"], "root /x"),
        (&["? %{ENV:mode} =x", "^ /x"], "root /x"),
        (&["? %{ENV:none} =\"\"", "^ /x"], "root /x"),
        (
            &[
                "? abc <abd",
                "? abc >abb",
                "? abc <=abc",
                "? ab <abc",
                "? b <aa",
                "^ /x",
            ],
            "root /x",
        ),
        (
            &[
                "? 10 -gt9",
                "? 10 -ge10",
                "? 10 -lt11",
                "? 10 -le10",
                "? 10 -eq10",
                "? 10 -ne9",
                "^ /x",
            ],
            "root /x",
        ),
        (&["? expr %{HTTP_HOST}=='a.example'", "^ /x"], "root /x"),
        (&["? expr %{REMOTE_ADDR}=~/(\\d+)$/", "^ /%1"], "root /7"),
        // It turns the whole expression round; a file that cannot be read is never in favour of a rule.
        (&["? expr !1==2&&1==2", "^ /x"], "root /x"),
        (&["? expr !1==1||1==1", "^ /x"], "declined"),
        (&["? expr !file('/none')=='x'", "^ /x"], "declined"),
        (&["? $1 ^(.)", "^/(.*)$ /%1$1"], "root /aa"),
        (&["- -", "^ - [E=v:1]", "? %{ENV:v} =1", "^ /x"], "root /x"),
        (&["^ - [E=mode:y,E=!gone]", "? %{ENV:mode} =y", "^ /x"], "root /x"),
    ];
    for (lines, want) in table {
        assert_eq!(told(&in_server(&site, lines, "/a")), *want, "{lines:?}");
    }
}

#[test]
fn fields_that_decided_are_told() {
    let site = Site {
        table: Table {
            request: vec![("Host", b"a"), ("User-Agent", b"Bot"), ("Accept", b"x")],
            ..Table::default()
        },
        ..Site::default()
    };
    let vary = |lines: &[&str]| in_server(&site, lines, "/a").effects.vary;
    assert_eq!(vary(&["? %{HTTP_USER_AGENT} Bot", "^ /x"]), ["User-Agent"]);
    assert_eq!(vary(&["? %{HTTP_USER_AGENT} Bot [NV]", "^ /x"]), [""; 0]);
    assert_eq!(vary(&["? %{HTTP_USER_AGENT} No", "^ /x"]), [""; 0]);
    assert_eq!(vary(&["? %{HTTP_HOST} a", "^ /x"]), [""; 0]);
    assert_eq!(
        vary(&["? %{HTTP_USER_AGENT} No [OR]", "? %{HTTP_ACCEPT} x", "^ /x"]),
        ["Accept"]
    );
}

#[test]
fn a_directorys_rules_see_what_is_below_it_and_go_round_again() {
    let site = Site {
        table: Table {
            variables: vec![("DOCUMENT_ROOT", b"/srv/www")],
            files: vec![("/srv/www/index.php", b"x")],
            ..Table::default()
        },
        ..Site::default()
    };
    let front: &[&str] = &[
        "^index\\.php$ - [L]",
        "? %{REQUEST_FILENAME} !-f",
        "? %{REQUEST_FILENAME} !-d",
        ". /index.php [L]",
    ];
    let table: &[(Option<&str>, &[&str], &str, &str)] = &[
        (None, front, "/srv/www/blog/post?a=1", "again /index.php?a=1"),
        (Some("/"), front, "/srv/www/blog/post", "again /index.php"),
        (None, front, "/srv/www/index.php", "declined"),
        (None, &["^a$ b"], "/srv/www/a", "again /b"),
        (Some("/base"), &["^a$ b"], "/srv/www/a", "again /base/b"),
        (None, &["^a$ /b"], "/srv/www/a", "again /b"),
        (None, &["^a$ a"], "/srv/www/a", "stays"),
        (None, &["^a$ a?x=1 [QSA]"], "/srv/www/a", "stays"),
        (
            Some("/base/"),
            &["^a$ b [R]"],
            "/srv/www/a",
            "302 http://www.example/base/b",
        ),
        (None, &["^a$ b [PT]"], "/srv/www/a", "again /b"),
        (None, &["^a$ http://other/"], "/srv/www/a", "302 http://other/"),
        (None, &["^/a$ /b"], "/srv/www/a", "declined"),
        (None, &["^$ - [F]"], "/srv/www/", "403"),
    ];
    for (base, lines, file, want) in table {
        assert_eq!(
            told(&in_directory(&site, *base, lines, file)),
            *want,
            "{base:?} {lines:?} {file}"
        );
    }
}

#[test]
fn path_info_is_seen_until_it_is_discarded() {
    let site = Site::default();
    let run = |lines: &[&str]| {
        let rules = rules(lines);
        let rules: Vec<&Rule> = rules.iter().collect();
        let subject = Subject {
            filename: b"/srv/www/app".to_vec(),
            path_info: b"/x".to_vec(),
            query: None,
        };
        directory(&site, &rules, b"/srv/www/", Some(b"/"), InDirectory::ByContext, subject).expect("no map")
    };
    assert_eq!(told(&run(&["^app/x$ one"])), "again /one");
    assert_eq!(told(&run(&["^app one", "^one/x$ two"])), "again /two");
    assert_eq!(told(&run(&["^app one [DPI]", "^one$ two"])), "again /two");
}

#[test]
fn back_references_are_escaped_as_the_flags_say() {
    for (flags, want) in [
        ("[B]", "root /s?q=x+%26%c3%a9%2fz_"),
        ("[B,BNP]", "root /s?q=x%20%26%c3%a9%2fz_"),
        ("[B=&]", "unsafe query"),
        ("[BCTLS]", "root /s?q=x+&\u{e9}/z_"),
        ("[B,BNE=/]", "root /s?q=x+%26%c3%a9/z_"),
    ] {
        let outcome = in_server(
            &Site::default(),
            &[&format!("^/(.*)$ /s?q=$1 {flags}")],
            "/x &\u{e9}/z_",
        );
        assert_eq!(told(&outcome), want, "{flags}");
    }
}

#[test]
fn an_encoded_question_mark_makes_no_query() {
    let outcome = |flags: &str| {
        let rules = rules(&[&format!("^/(.*)$ /x/$1 {flags}")]);
        let rules: Vec<&Rule> = rules.iter().collect();
        told(&server(&Site::default(), &rules, subject(b"/a?b", b"")).expect("no map"))
    };
    assert_eq!(outcome("[L]"), "3f");
    assert_eq!(outcome("[UnsafeAllow3F]"), "root /x/a?b");
    assert_eq!(outcome("[B]"), "root /x/a%3fb");
}

#[test]
fn only_a_name_that_was_written_down_leaves_the_root() {
    let site = Site {
        table: Table {
            files: vec![("/etc", b"x")],
            ..Table::default()
        },
        ..Site::default()
    };
    for (rule, want) in [
        ("^/a$ /etc/passwd", "file /etc/passwd"),
        ("^/(.*)$ /$1", "root /etc/passwd"),
        ("^(.*)$ $1", "root /etc/passwd"),
        ("^(.*)$ $1 [UnsafePrefixStat]", "file /etc/passwd"),
        ("^/(.*)$ http://www.example/$1", "root /etc/passwd"),
        ("^/a$ /none/passwd", "root /none/passwd"),
    ] {
        let url = if rule.starts_with("^/a$") { "/a" } else { "/etc/passwd" };
        assert_eq!(told(&in_server(&site, &[rule], url)), want, "{rule}");
    }
}

#[test]
fn maps_are_asked_and_one_that_is_slow_stops_the_rules() {
    let table: &[(&str, &str)] = &[
        ("^/(.*)$ /${m:$1}", "root /found"),
        ("^/(.)(.*)$ /${m:$1$2x|none-$1}", "root /none-a"),
        ("^/(.*)$ /${upper:${m:$1}}", "root /FOUND"),
        ("^/(.*)$ /${m:zzz}x", "root /x"),
    ];
    for (rule, want) in table {
        assert_eq!(told(&in_server(&Site::default(), &[rule], "/a")), *want, "{rule}");
    }
    let rules = rules(&["^ /${slow:x}"]);
    let rules: Vec<&Rule> = rules.iter().collect();
    assert_eq!(
        server(&Site::default(), &rules, subject(b"/a", b"")).err(),
        Some(Pending)
    );
}

#[test]
fn looking_ahead_and_subrequests() {
    let outcome = in_server(&Site::default(), &["? %{LA-U:REQUEST_FILENAME} ^(.*)$", "^ /%1"], "/a");
    assert_eq!(told(&outcome), "root /url:/a:REQUEST_FILENAME");
    let site = Site {
        is_subrequest: true,
        ..Site::default()
    };
    assert_eq!(told(&in_server(&site, &["^/a /b [NS]"], "/a")), "declined");
    assert_eq!(told(&in_server(&site, &["^/a /b [R]"], "/a")), "declined");
    assert_eq!(told(&in_server(&site, &["^/a /b"], "/a")), "root /b");
}

#[test]
fn types_cookies_and_variables_are_noted() {
    let outcome = in_server(
        &Site::default(),
        &["^/(.*)$ - [T=Text/X-$1,H=CGI-Script,CO=n:$1:.example,E=v:$1:2,E=w]"],
        "/a",
    );
    let effects = outcome.effects;
    assert_eq!(effects.media_type.as_deref(), Some(&b"text/x-a"[..]));
    assert_eq!(effects.handler.as_deref(), Some(&b"cgi-script"[..]));
    assert_eq!(
        effects.cookies,
        [(b"n".to_vec(), b"n=a; path=/; domain=.example".to_vec())]
    );
    let env: Vec<_> = effects
        .env
        .iter()
        .map(|change| (&change.name[..], change.value.as_deref()))
        .collect();
    assert_eq!(env, [(&b"v"[..], Some(&b"a:2"[..])), (b"w", Some(b""))]);
}

/// A rewrite that changes nothing changes nothing.
#[test]
fn a_rule_that_makes_what_was_there_declines_or_stays() {
    for path in ["/", "/a", "/a/b.c", "/a b", "/\u{e9}", "//x", "/a$1%2"] {
        for rule in ["^ -", "^(.*)$ -", "!^x -"] {
            assert_eq!(
                told(&in_server(&Site::default(), &[rule], path)),
                "declined",
                "{rule} {path}"
            );
        }
        let file = format!("/srv/www{}", path.replace("//", "/")); // the walk has merged slashes
        let outcome = in_directory(&Site::default(), None, &["^(.*)$ $1"], &file);
        assert!(
            matches!(outcome.decision, Decision::Stays),
            "{path}: {}",
            told(&outcome)
        );
    }
}

/// Whatever the request, rules that put back what they matched leave it as it was.
#[test]
fn rewriting_a_name_to_itself_changes_nothing() {
    let names = [
        "",
        "a",
        "a/b",
        "a//b",
        "x y",
        "é",
        "%41",
        "a;b",
        "a:b",
        "index.php",
        "a.b/c.d/",
    ];
    let queries = ["", "?q", "?a=b&c=%20", "?&"];
    let same = [
        "^(.*)$ $1",
        "^(.*)$ $0",
        ".? %{REQUEST_FILENAME}",
        "^(.*)$ - [QSA]",
        "^(.*)$ $1 [QSA]",
        "^((.)(.*))?$ $2$3",
    ];
    let site = Site::default();
    for (name, query, rule) in names
        .iter()
        .flat_map(|name| queries.iter().map(move |query| (name, query)))
        .flat_map(|(name, query)| same.iter().map(move |rule| (name, query, rule)))
    {
        let outcome = in_directory(&site, None, &[rule], &format!("/srv/www/{name}{query}"));
        let told = format!("{rule} of {name}{query}");
        // An empty name has an empty substitution, which stands for the directory itself.
        assert!(
            matches!(outcome.decision, Decision::Stays | Decision::Declined),
            "{told}"
        );
        assert_eq!(
            outcome.query.unwrap_or_default(),
            query.trim_start_matches('?').as_bytes(),
            "{told}"
        );
        assert_eq!(outcome.effects, super::Effects::default(), "{told}");
    }
}
