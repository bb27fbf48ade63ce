//! The manual pages that are made from the tables: lychgate.conf(5), what lychgate has, and lychgate-apache(7), what it
//! does with every name of Apache's. The language is mdoc(7); `mandoc -T lint` has nothing to say about them.

mod differences;
mod sections;
mod trees;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::config::directives;
use crate::config::directives::foreign::{self, Answer};
use crate::config::table::{Directive, Override, Set};

/// The date of both pages: of the last change to what they say that is not in a table.
const DATE: &str = "November 20, 2026";
/// How long a line of text may be.
const WIDTH: usize = 76;

const MADE: &str =
    ".\\\" Made from the tables in src/config/directives; change those, and run the tests with BLESS=1.\n";

const CONF_HEAD: &str = ".Sh NAME
.Nm lychgate.conf
.Nd configuration of the lychgate web server
.Sh DESCRIPTION
.Xr lychgate 8
is configured as Apache httpd is, in the same language.
This page lists the directives it has;
.Xr lychgate-apache 7
says what becomes of the others.
.Pp
A line holds one directive: its name, in any case, and words after it.
A backslash at the end of a line continues it.
A line whose first character that is not white space is
.Ql #
is a comment; there are no comments behind a directive.
What stands behind the
.Cm On
or
.Cm Off
of most directives that take no more is passed over, with a warning.
.Pp
White space divides words.
A word in single or double quotes may contain it; inside of quotes a
backslash stands before that quote or a backslash.
.Pp
Sections begin with
.Ql <Name word>
and end with
.Ql </Name> ,
each on a line of its own.
The
.Em place
of a directive is where it may stand: outside of all sections (server
config), in
.Ql <VirtualHost>
(virtual host), in a section for files or URLs (directory), or in a
.Pa .htaccess
file.
.Pp
Durations are seconds, or have a unit as in
.Ql 500ms .
Relative file names are below
.Ic ServerRoot .
.Sh DIRECTIVES
.Bl -tag -width Ds
";

const CONF_TAIL: &str = ".El
.Sh SECTIONS
What a request gets is put together in this order; what comes later wins:
.Bl -enum -compact
.It
.Ic <Directory> ,
from the root down to the directory that the file is in, and, as a last
one, the file's own name;
.It
.Ic <DirectoryMatch> ,
which looks once at the whole name that the request came to: a file's, or
a directory's with the final slash that the request had;
.It
.Ic <Files>
and
.Ic <FilesMatch> ;
.It
.Ic <Location>
and
.Ic <LocationMatch> .
.El
.Pp
Within a group the sections of the main server come before those of the
virtual host, and otherwise those that stand first before those that
stand later.
.Ic <Location>
without wildcards covers what is below it; with wildcards it covers
what it matches and nothing more, as
.Ic <Directory>
does for a directory's name.
.Pp
Two places are closed unless a section opens them: files whose names
begin with
.Pa .ht ,
and everything in a directory called
.Pa .git ,
.Pa .svn ,
.Pa .hg
or
.Pa .bzr .
.Sh VARIABLES
Of the variables that
.Ic SetEnv ,
.Ic SetEnvIf
and their like can set, the server itself minds one:
.Bl -tag -width nokeepalive
.It Ev nokeepalive
the connection is closed behind the response.
.El
.Pp
The others of Apache's
.Pq Ev downgrade-1.0 , force-response-1.0 , force-no-vary , redirect-carefully , no-gzip
have no effect.
.Sh SIZING
Apache sizes itself in workers, each of which has one request: how many
there are at first
.Pq Ic StartServers , MinSpareThreads ,
in one process
.Pq Ic ThreadsPerChild
and in all
.Pq Ic MaxRequestWorkers , ServerLimit .
Here a thread serves thousands of connections, so that these numbers have no
counterpart; they are taken without effect.
What there is to size:
.Bl -tag -width Ds
.It Ic ServerThreads
for processors: there is a thread for each, unless it says otherwise.
.It Ic MaxConnections
for descriptors and memory: a connection that waits for a request takes one
descriptor and about 2 KiB, over TLS 9 KiB.
Without it there may be as many as the limit of open files
.Po Ql ulimit -n ,
.Ql LimitNOFILE=
.Pc ,
which the server raises for itself as far as it may, has room for.
A
.Ic MaxRequestWorkers
that was set to keep the number of clients down is written so.
.It Ic CGIMaxScripts , CGIQueueLength , CGIQueueTime
for scripts, which take processes and memory of their own: how many run at
once, and who waits how long for a turn.
A
.Ic MaxRequestWorkers
that was set because of what scripts take is written so.
.El
.Sh SEE ALSO
.Xr lychgate-apache 7 ,
.Xr lychgate 8
";

const APACHE_HEAD: &str = ".Sh NAME
.Nm lychgate-apache
.Nd what lychgate does with Apache's directives
.Sh DESCRIPTION
.Xr lychgate 8
knows every directive of Apache httpd 2.4, those that older versions had,
and those of well-known modules.
This page says what becomes of each.
.Pp
What only tunes Apache, or has no effect without something that is
refused, is ignored with a note.
What would change who may see what, or what is seen, is refused: the
server does not start, and names the line.
A name that ends with
.Ql *
stands for every name with that beginning.
.Pp
Directives of modules that lychgate does not have can stay where they are
inside of
.Ic <IfModule> ,
which leaves them out.
";

/// lychgate.conf(5).
pub fn conf_page() -> String {
    let mut page = head("LYCHGATE.CONF 5");
    page.push_str(CONF_HEAD);
    let mut directives: Vec<&Directive> = supported().collect();
    directives.sort_by_key(|directive| sort_key(directive.name));
    for directive in directives {
        describe(directive, &mut page);
    }
    page.push_str(CONF_TAIL);
    page
}

/// lychgate-apache(7).
pub fn apache_page() -> String {
    let mut page = head("LYCHGATE-APACHE 7");
    page.push_str(APACHE_HEAD);
    page.push_str(".Sh SUPPORTED\nThese do what they do in Apache;\n.Xr lychgate.conf 5\nhas the details.\n.Pp\n");
    let mut own: Vec<&str> = supported().filter(|d| d.module != "lychgate").map(|d| d.name).collect();
    names(&mut own, &mut page);
    page.push_str(".Pp\nThese are lychgate's own.\n.Pp\n");
    let mut own: Vec<&str> = supported().filter(|d| d.module == "lychgate").map(|d| d.name).collect();
    names(&mut own, &mut page);

    let mut groups: BTreeMap<Kind, BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
    for (kind, why, name) in answers() {
        groups.entry(kind).or_default().entry(why).or_default().push(name);
    }
    for (kind, by_reason) in groups {
        page.push_str(kind.heading());
        let mut items: Vec<(&str, Vec<&str>)> = by_reason.into_iter().collect();
        for (_, names) in &mut items {
            names.sort_by_key(|name| sort_key(name));
        }
        items.sort_by_key(|(_, names)| names.first().map(|name| sort_key(name)));
        page.push_str(".Bl -tag -width Ds\n");
        for (why, mut group) in items {
            page.push_str(".It Xo\n");
            names(&mut group, &mut page);
            page.push_str(".Xc\n");
            text(&sentence(why), &mut page);
        }
        page.push_str(".El\n");
    }
    page.push_str(trees::SHIPPED);
    page.push_str(sections::DIFFERENCES);
    page.push_str(differences::APACHE_TAIL);
    page
}

/// What becomes of a name that is not supported.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Ignored,
    Warned,
    Depends,
    Refused,
}

impl Kind {
    fn heading(self) -> &'static str {
        match self {
            Kind::Ignored => {
                ".Sh IGNORED\nThese are taken without effect, with a note when the configuration is checked.\n"
            }
            Kind::Warned => {
                ".Sh IGNORED WITH A WARNING\nThese are taken without effect too, but somebody may miss them.\n"
            }
            Kind::Depends => {
                ".Sh REFUSED UNLESS HARMLESS\nThese are taken where they ask for what holds anyway, mostly with\n.Ql off .\nOtherwise:\n"
            }
            Kind::Refused => ".Sh REFUSED\nThe server does not start with these.\n",
        }
    }
}

/// Every name that is not supported: what becomes of it, why, and the name.
fn answers() -> impl Iterator<Item = (Kind, &'static str, &'static str)> {
    let own = directives::all().filter_map(|directive| match directive.set {
        Set::Ignored(why) => Some((Kind::Ignored, why, directive.name)),
        _ => None,
    });
    let foreign = foreign::all().map(|foreign| match (foreign.answer, foreign.answer(&[b"?".to_vec()])) {
        (Answer::By(_), Answer::Ignored(why) | Answer::Warned(why) | Answer::Refused(why)) => {
            (Kind::Depends, why, foreign.name)
        }
        (Answer::Ignored(why), _) => (Kind::Ignored, why, foreign.name),
        (Answer::Warned(why), _) => (Kind::Warned, why, foreign.name),
        (Answer::Refused(why), _) => (Kind::Refused, why, foreign.name),
        (Answer::By(_), Answer::By(_)) => (Kind::Depends, "", foreign.name),
    });
    own.chain(foreign)
}

fn supported() -> impl Iterator<Item = &'static Directive> {
    directives::all().filter(|directive| !matches!(directive.set, Set::Ignored(_)))
}

fn head(title: &str) -> String {
    format!("{MADE}.Dd {DATE}\n.Dt {title}\n.Os\n")
}

/// Sections stand among directives by their letters.
fn sort_key(name: &str) -> String {
    name.trim_matches(['<', '>']).to_ascii_lowercase()
}

/// One directive as an item of a list.
fn describe(directive: &Directive, page: &mut String) {
    let name = directive.name;
    let _never_fails = match (name.strip_suffix('>'), directive.syntax) {
        (Some(name), "") => writeln!(page, ".It Ic {name}>"),
        (Some(name), syntax) => writeln!(page, ".It Ic {name} Ar {} Ic >", argument(syntax)),
        (None, "") => writeln!(page, ".It Ic {name}"),
        (None, syntax) => writeln!(page, ".It Ic {name} Ar {}", argument(syntax)),
    };
    text(directive.summary, page);
    for paragraph in directive.manual.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
        page.push_str(".Pp\n");
        text(paragraph, page);
    }
    let mut facts = vec![format!("Place: {}.", directive.allowed.names().join(", "))];
    if let Some(class) = class(directive.overrides) {
        facts.push(format!("Class: {class}."));
    }
    if !directive.default.is_empty() {
        facts.push(format!("Default: {}", directive.default));
    }
    facts.push(match directive.module {
        "lychgate" => "Apache does not have it.".to_owned(),
        module => format!("Module: {module}."),
    });
    page.push_str(".Pp\n");
    for (at, fact) in facts.iter().enumerate() {
        page.push_str(if at > 0 { ".br\n" } else { "" });
        text(fact, page);
    }
}

/// The class as AllowOverride has it.
fn class(overrides: Override) -> Option<&'static str> {
    match overrides {
        Override::None => None,
        Override::AuthConfig => Some("AuthConfig"),
        Override::FileInfo => Some("FileInfo"),
        Override::Indexes => Some("Indexes"),
        Override::Limit => Some("Limit"),
        Override::Options => Some("Options"),
        Override::Access => Some("AuthConfig or Limit"),
        Override::Any => Some("any"),
    }
}

/// Names in a row, a macro line each.
fn names(names: &mut [&str], page: &mut String) {
    names.sort_by_key(|name| sort_key(name));
    for (at, name) in names.iter().enumerate() {
        let comma = if at + 1 < names.len() { " ," } else { "" };
        let _never_fails = writeln!(page, ".Ic {}{comma}", escaped(name));
    }
}

/// A reason as a sentence of its own.
fn sentence(why: &str) -> String {
    let mut letters = why.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", letters.as_str())
}

/// Words for the argument of a macro, all in one.
fn argument(words: &str) -> String {
    format!("\"\\&{}\"", escaped(words).replace('"', "\\(dq"))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\e")
}

/// Lines of text, each sentence on a new one.
fn text(paragraph: &str, page: &mut String) {
    let mut column = 0;
    let mut ended = false;
    for word in escaped(paragraph).split_whitespace() {
        let width = word.chars().count();
        if column > 0 {
            let breaks = ended || column + 1 + width > WIDTH;
            page.push(if breaks { '\n' } else { ' ' });
            column = if breaks { 0 } else { column + 1 };
        }
        if column == 0 && word.starts_with(['.', '\'']) {
            page.push_str("\\&");
        }
        page.push_str(word);
        column += width;
        ended = word.ends_with(['.', '!', '?']) || word.ends_with(".)");
    }
    page.push('\n');
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::{apache_page, conf_page, text};

    #[test]
    fn sentences_begin_lines_and_dots_do_not() {
        let mut page = String::new();
        text("One two. Three \\4 .htaccess. .5 x", &mut page);
        assert_eq!(page, "One two.\nThree \\e4 .htaccess.\n\\&.5 x\n");
    }

    #[test]
    fn the_pages_on_disk_are_those_of_the_tables() {
        let man = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
        for (file, made) in [("lychgate.conf.5", conf_page()), ("lychgate-apache.7", apache_page())] {
            let path = man.join(file);
            if std::env::var_os("BLESS").is_some() {
                std::fs::create_dir_all(&man).expect("the source directory can be written to");
                std::fs::write(&path, &made).expect("the source directory can be written to");
            }
            let there = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(there == made, "man/{file} is out of date; run the tests with BLESS=1");
        }
    }

    #[test]
    fn mandoc_has_nothing_to_say_about_the_pages() {
        let privileges = include_str!("../../man/lychgate-privileges.7").to_owned();
        let written = include_str!("../../man/lychgate.8").to_owned();
        let fcgiwrap = include_str!("../../man/lychgate-fcgiwrap.8").to_owned();
        let handoff = include_str!("../../man/lychgate-handoff.7").to_owned();
        for (file, made) in [
            ("lychgate.8", written),
            ("lychgate-fcgiwrap.8", fcgiwrap),
            ("lychgate-handoff.7", handoff),
            ("lychgate-privileges.7", privileges),
            ("lychgate.conf.5", conf_page()),
            ("lychgate-apache.7", apache_page()),
        ] {
            match lint(&made) {
                Ok(said) => assert_eq!(said, Vec::<String>::new(), "{file}"),
                Err(_) if std::env::var_os("CI").is_none() => {
                    println!("mandoc is not installed: {file} is not checked");
                }
                Err(error) => panic!("mandoc: {error}"),
            }
        }
    }

    /// What mandoc says about a page, but for pages it looks for in the system.
    fn lint(page: &str) -> std::io::Result<Vec<String>> {
        let mut child = Command::new("mandoc")
            .args(["-T", "lint", "-W", "style"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().expect("the pipe was asked for");
        std::thread::scope(|scope| {
            scope.spawn(move || stdin.write_all(page.as_bytes()));
            let said = child.wait_with_output()?.stdout;
            let said = String::from_utf8_lossy(&said).into_owned();
            let ours = said
                .lines()
                .filter(|line| !line.contains("referenced manual not found"));
            Ok(ours.map(str::to_owned).collect())
        })
    }
}
