//! Tests: what is read from a file.

use super::{Language, Origin, Reading, read_server, read_text};
use crate::config::condition::Modules;
use crate::config::define::Defines;
use crate::config::dump::dump;

/// The modules of the tests.
pub(crate) struct Few;

impl Modules for Few {
    fn has(&self, module: &str) -> bool {
        ["mod_env.c", "env_module"].contains(&module)
    }
    fn has_directive(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case("SetEnv") || name == "<Files"
    }
}

pub(crate) fn with_language<T>(origin: Origin, run: impl FnOnce(&Language) -> T) -> T {
    let environment = |name: &[u8]| match name {
        b"HOME" => Some(b"/root".to_vec()),
        b"LINES" => Some(b"a\n b".to_vec()),
        _ => None,
    };
    run(&Language {
        modules: &Few,
        environment: &environment,
        version: [2, 4, 71],
        server_root: b"/nowhere".to_vec(),
        defines: Defines::from_names(["GIVEN"]),
        origin,
    })
}

pub(crate) fn read(text: &str) -> Reading {
    with_language(Origin::Server, |language| {
        read_text("t.conf", text.as_bytes(), language)
    })
}

/// The tree without places, one node a line.
fn shape(reading: &Reading) -> Vec<String> {
    let text = String::from_utf8(dump(&reading.settings.nodes)).expect("tests write UTF-8");
    let keep = |line: &&str| !line.trim_start().starts_with('#');
    text.lines()
        .filter(keep)
        .map(|line| line.trim_start().to_owned())
        .collect()
}

fn complaints(reading: &Reading) -> Vec<String> {
    reading.complaints.iter().map(ToString::to_string).collect()
}

/// Name, text, and the tree's lines.
const GOOD: &[(&str, &str, &[&str])] = &[
    ("plain", "A b \"c d\"\na", &["A b \"c d\"", "a"]),
    ("a quoted name", "\"SetEnv\" A b\n\"\" foo", &["SetEnv A b"]),
    (
        "a section",
        "<Directory />\nA\n</DIRECTORY>",
        &["<Directory />", "A", "</Directory>"],
    ),
    (
        "space before >",
        "<Directory \"/a b\" >\n</Directory>",
        &["<Directory \"/a b\">", "</Directory>"],
    ),
    (
        "> in the pattern",
        "<Files ~ \"a>b\">\n</Files>",
        &["<Files ~ \"a>b\">", "</Files>"],
    ),
    (
        "no arguments",
        "<RequireAll>\n</RequireAll>",
        &["<RequireAll>", "</RequireAll>"],
    ),
    (
        "tab after the name",
        "<Directory\t/>\n</Directory>",
        &["<Directory />", "</Directory>"],
    ),
    (
        "values are words",
        "Define X \"a b\"\nA ${X} \"${X}\"",
        &["A a b \"a b\""],
    ),
    (
        "values are those of the time",
        "Define X 1\nA ${X}\nDefine X 2\nA ${x}",
        &["A 1", "A 2"],
    ),
    ("environment", "A ${HOME}/x", &["A /root/x"]),
    ("define by value", "Define D ${HOME}\nA ${D}", &["A /root"]),
    (
        "if module",
        "<IfModule mod_env.c>\nA\n</IfModule>\n<IfModule env_module>\nB\n</IfModule>",
        &["A", "B"],
    ),
    ("case of modules", "<IfModule MOD_ENV.c>\nA\n</IfModule>", &[]),
    (
        "not that module",
        "<ifmodule ! mod_env.c>\nA\n</ifmodule>\n<IfModule !x>\nB\n</IfModule>",
        &["B"],
    ),
    ("a quoted ! is a name", "<IfModule \"!mod_env.c\">\nA\n</IfModule>", &[]),
    (
        "only the first word",
        "<IfModule mod_env.c nope.c>\nA\n</IfModule>",
        &["A"],
    ),
    (
        "-D",
        "<IfDefine GIVEN>\nA\n</IfDefine>\n<IfDefine given>\nB\n</IfDefine>",
        &["A"],
    ),
    ("undefine", "UnDefine GIVEN\n<IfDefine !GIVEN>\nA\n</IfDefine>", &["A"]),
    ("if version", "<IfVersion >= 2.4>\nA\n</IfVersion>", &["A"]),
    (
        "if file",
        "<IfFile /dev/null>\nA\n</IfFile>\n<IfFile !x>\nB\n</IfFile>",
        &["A", "B"],
    ),
    (
        "if directive",
        "<IfDirective setenv>\nA\n</IfDirective>\n<IfDirective No>\nB\n</IfDirective>",
        &["A"],
    ),
    (
        "if section",
        "<IfSection Files>\nA\n</IfSection>\n<IfSection No>\nB\n</IfSection>",
        &["A"],
    ),
    (
        "skipped sections nest",
        "<IfDefine no>\n<Directory x>\n<IfDefine no>\n</IfDefine>\n</Directory> x\n<bad\n</bad>\n</IfDefine>\nA",
        &["A"],
    ),
    (
        "conditions inside sections",
        "<Location /x>\n<IfModule mod_env.c>\nA\n</IfModule>\nB\n</Location>",
        &["<Location /x>", "A", "B", "</Location>"],
    ),
    (
        "a macro",
        "<Macro V $n @p>\n<Files $n>\n\nA @p\n</Files>\n</Macro>\nUse v x 'y\"z'\nUse V q r",
        &[
            "<Files x>",
            "A \"y\\\"z\"",
            "</Files>",
            "<Files q>",
            "A \"r\"",
            "</Files>",
        ],
    ),
    (
        "a macro that uses another",
        "<Macro In $x>\nA $x\n</Macro>\n<Macro Out $y>\nUse In $y\nB\n</Macro>\nUse Out 1\nC",
        &["A 1", "B", "C"],
    ),
    (
        "a macro opens what the file closes",
        "<Macro O>\n<Files x>\n</Macro>\nUse O\nA\n</Files>",
        &["<Files x>", "A", "</Files>"],
    ),
    (
        "variables in a macro are those of its use",
        "<Macro M>\nA ${X}\n</Macro>\nDefine X 1\nUse M",
        &["A 1"],
    ),
    (
        "a macro in a macro",
        "<Macro M>\n<Macro N>\nA\n</Macro>\n</Macro>\nUse M\nUse N",
        &["A"],
    ),
    (
        "a macro that is not used",
        "<Macro M>\n</Directory>\n</Macro>\nUndefMacro M\nA",
        &["A"],
    ),
    (
        "include of nothing",
        "Include /dev/null\nIncludeOptional /no/where/*.conf\nIncludeOptional no.conf",
        &[],
    ),
];

#[test]
fn what_apache_reads_is_read_alike() {
    for (name, text, want) in GOOD {
        let reading = read(text);
        assert!(!reading.is_fatal(), "{name}: {:?}", complaints(&reading));
        assert_eq!(shape(&reading), *want, "{name}");
    }
}

/// Name, text, and the complaints.
const BAD: &[(&str, &str, &[&str])] = &[
    (
        "end without begin",
        "A\n</Directory>",
        &["t.conf:2: </Directory>: no section is open here; write `<Directory ...>` before it"],
    ),
    (
        "missing >",
        "<Directory /\n</Directory>",
        &["t.conf:1: <Directory>: the closing `>` is missing; write `<Directory />`"],
    ),
    (
        "missing > at the end",
        "<Directory />\n</Directory",
        &["t.conf:2: `</Directory` has no closing `>`; write `</Directory>`"],
    ),
    (
        "wrong end",
        "<Directory />\n</Location>\n</Directory>",
        &[
            "t.conf:2: </Location>: no section of that name is open; the innermost is `<Directory>` of line 1, which `</Directory>` ends",
        ],
    ),
    (
        "misspelt end closes all the same",
        "<Directory />\n</Diretory>\nA",
        &[
            "t.conf:2: </Diretory>: no section of that name is open; the innermost is `<Directory>` of line 1, which `</Directory>` ends",
        ],
    ),
    (
        "crossed",
        "<Directory />\n<Files x>\n</Directory>",
        &["t.conf:2: <Files>: the section is not closed before `</Directory>` in line 3; write `</Files>` before that"],
    ),
    (
        "open at the end",
        "<VirtualHost *>\n<Files x>",
        &[
            "t.conf:2: <Files>: the section is not closed; write `</Files>` where it ends",
            "t.conf:1: <VirtualHost>: the section is not closed; write `</VirtualHost>` where it ends",
        ],
    ),
    (
        "a true condition open at the end is what Apache takes",
        "<IfDefine GIVEN>\nA",
        &["t.conf:1: warning: <IfDefine>: the section is not closed; write `</IfDefine>` where it ends"],
    ),
    (
        "a false condition open at the end",
        "<IfDefine no>\nA",
        &["t.conf:1: <IfDefine>: the section is not closed; write `</IfDefine>` where it ends"],
    ),
    (
        "wrong end in a skipped section",
        "<IfDefine no>\n</Directory>\n</IfDefine>",
        &["t.conf:2: </Directory>: no section of that name is open; the innermost is `<ifdefine>`"],
    ),
    (
        "no word",
        "<IfModule>\n</IfModule>",
        &["t.conf:1: <IfModule>: no module is named; write for example `<IfModule mod_alias.c>`"],
    ),
    (
        "two tags in a line",
        "<Files x>\n</Files></Files>\n</Files>",
        &[
            "t.conf:2: </Files></Files>: no section of that name is open; the innermost is `<Files>` of line 1, which `</Files>` ends",
        ],
    ),
    (
        "text after >",
        "<Files x> # why\n</Files> y",
        &[
            "t.conf:1: warning: <Files>: `# why` after the `>` is ignored; write it on a line of its own",
            "t.conf:2: warning: </Files>: `y` after the section's end is ignored; write it on a line of its own",
        ],
    ),
    (
        "strange names",
        "Ünï x\n<Dir/ectory>\n< Directory />",
        &[
            "t.conf:1: `Ünï` is not the name of a directive; names are letters and digits",
            "t.conf:2: `<Dir/ectory` is not the name of a section; names are letters and digits",
            "t.conf:3: `<` is not the name of a section; names are letters and digits",
        ],
    ),
    (
        "unknown variable, twice",
        "A ${X}\nB ${X}",
        &[
            "t.conf:1: warning: `${X}` is not defined and stays as it is; write `Define X VALUE` before it",
            "t.conf:2: warning: `${X}` is not defined and stays as it is; write `Define X VALUE` before it",
        ],
    ),
    (
        "error and warning",
        "Error \"no ${HOME} here\"\nWarning a b",
        &["t.conf:1: Error: no /root here", "t.conf:2: warning: Warning: a b"],
    ),
    (
        "define",
        "Define\nDefine a b c\nDefine a:b c\nUnDefine",
        &[
            "t.conf:1: Define: it takes a name and perhaps a value; put a value with spaces in quotes",
            "t.conf:2: Define: it takes a name and perhaps a value; put a value with spaces in quotes",
            "t.conf:3: Define: `a:b` has a `:`; write a name without it",
            "t.conf:4: UnDefine: it takes one name",
        ],
    ),
    (
        "server root",
        "ServerRoot\nServerRoot /dev/null",
        &[
            "t.conf:1: ServerRoot: it takes one directory",
            "t.conf:2: ServerRoot: `/dev/null` is not a directory; name one that is there",
        ],
    ),
    (
        "macros",
        "Use\nUse Nope\n<Macro Foo>\nUse Foo\n</Macro>\nUse Foo\nUse Fo\nUse Foo x\nUndefMacro Bar\n<Macro M>\nA",
        &[
            "t.conf:1: Use: it takes the name of a macro and its arguments",
            "t.conf:2: Use: there is no macro `Nope`; define it before with `<Macro Nope>`",
            "macro 'foo' (defined on line 3 of \"t.conf\") used on line 6 of \"t.conf\":1: Use: the macro `foo` uses itself",
            "t.conf:7: Use: there is no macro `Fo`; define it before with `<Macro Fo>`",
            "t.conf:8: Use: the macro `foo` (t.conf:3) takes 0 arguments and gets 1",
            "t.conf:9: UndefMacro: there is no macro `Bar`",
            "t.conf:10: <Macro>: the section is not closed; write `</Macro>` where it ends",
        ],
    ),
    (
        "include",
        "Include\nInclude /no/file.conf\nInclude /dev/zero\nInclude /dev/nope*",
        &[
            "t.conf:1: Include: it takes one file, directory or pattern",
            "t.conf:2: Include: `/no/file.conf` cannot be read: No such file or directory (os error 2)",
            "t.conf:3: Include: `/dev/zero` cannot be read: it is not a regular file",
            "t.conf:4: Include: nothing in `/dev` matches `nope*`; write IncludeOptional if that is no error",
        ],
    ),
    (
        "nul",
        "A\0b\nB",
        &["t.conf:1: the line has a NUL byte; write the file as plain text (UTF-8, not UTF-16)"],
    ),
];

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (name, text, want) in BAD {
        assert_eq!(complaints(&read(text)), *want, "{name}");
    }
}

#[test]
fn htaccess_makes_no_files_variables_or_macros() {
    let text =
        "Include /etc/passwd\nDefine A\nServerRoot /\n<Macro M>\nA\n</Macro>\n<IfModule mod_env.c>\nB\n</IfModule>";
    let reading = with_language(Origin::Htaccess, |language| {
        read_text(".htaccess", text.as_bytes(), language)
    });
    let not_here = "it is not allowed in .htaccess; write it in the server's own configuration";
    let want = [(1, "Include"), (2, "Define"), (3, "ServerRoot"), (4, "<Macro>")]
        .map(|(n, name)| format!(".htaccess:{n}: {name}: {not_here}"));
    assert_eq!(complaints(&reading), want);
    assert_eq!(shape(&reading), ["B"]);
    assert_eq!(reading.settings.server_root, b"/nowhere");
}

/// A directory that goes away with its value.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str, files: &[(&str, &str)]) -> Scratch {
        let root = std::env::temp_dir().join(format!("lychgate-config-{name}-{}", std::process::id()));
        for (file, text) in files {
            let path = root.join(file);
            std::fs::create_dir_all(path.parent().expect("a file has a directory"))
                .expect("the scratch directory is ours");
            std::fs::write(path, text).expect("the scratch directory is ours");
        }
        Scratch(root)
    }

    fn read(&self, before: &[&str], after: &[&str]) -> (Reading, String) {
        let bytes = |lines: &[&str]| lines.iter().map(|line| line.as_bytes().to_vec()).collect::<Vec<_>>();
        let reading = with_language(Origin::Server, |language| {
            let root = self.0.to_string_lossy().into_owned().into_bytes();
            let language = Language {
                server_root: root,
                defines: Defines::default(),
                ..*language
            };
            read_server(
                std::path::Path::new("httpd.conf"),
                &bytes(before),
                &bytes(after),
                &language,
            )
        });
        let text = String::from_utf8(dump(&reading.settings.nodes)).expect("tests write UTF-8");
        let text = text.replace(&*self.0.to_string_lossy(), "ROOT");
        (reading, text)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn included_files_come_in_apaches_order() {
    let scratch = Scratch::new(
        "include",
        &[
            (
                "httpd.conf",
                "Include d\nInclude d*/*.conf\nInclude d/*\nInclude [d]/s/*.conf\nServerRoot d\nInclude s\n",
            ),
            ("d/.hidden", "A hidden\n"),
            ("d/b.conf", "A b\n"),
            ("d/Z", "A Z\n"),
            ("d/s/s.conf", "A s\n"),
            ("dd/c.conf", "A c\n"),
        ],
    );
    let (reading, text) = scratch.read(&["Define X"], &["<Files a>", "</Files>"]);
    assert_eq!(complaints(&reading), Vec::<String>::new());
    let args: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("A ")).collect();
    assert_eq!(args, ["hidden", "Z", "b", "s", "b", "c", "Z", "b", "s", "s", "s"]);
    assert!(text.contains("# In file: ROOT/d/s/s.conf\n#   1:\nA s\n"), "{text}");
    assert!(
        text.ends_with("# In file: command line\n#   1:\n<Files a>\n</Files>\n"),
        "{text}"
    );
    assert_eq!(reading.included.len(), 12);
}

#[test]
fn sections_end_in_the_file_they_begin_in() {
    let scratch = Scratch::new(
        "cross",
        &[
            ("httpd.conf", "<Files x>\nInclude end\nA\n</Files>\nInclude httpd.conf"),
            ("end", "</Files>\n"),
        ],
    );
    let (reading, text) = scratch.read(&[], &[]);
    let all = complaints(&reading)
        .join("\n")
        .replace(&*scratch.0.to_string_lossy(), "ROOT");
    assert_eq!(
        all,
        "ROOT/end:1: </Files>: no section is open here; write `<Files ...>` before it\n\
         ROOT/httpd.conf:5: Include: `ROOT/httpd.conf` cannot be read: the file includes itself, directly or through others"
    );
    assert!(text.contains("A\n</Files>"), "{text}");
}

#[test]
fn deep_nesting_is_refused_or_harmless() {
    let deep = |name: &str, n: usize| {
        format!(
            "{}{}",
            format!("<{name} x>\n").repeat(n),
            format!("</{name}>\n").repeat(n)
        )
    };
    for (name, other) in [("Files", 1), ("IfDefine !", 1), ("IfDefine", 2)] {
        let all = complaints(&read(&deep(name, 20_000)));
        let (first, rest) = all.split_first().expect("it is refused");
        assert!(
            first.ends_with("more than 200 sections stand in one another; close some"),
            "{name}: {first}"
        );
        assert!(rest.len() < other, "{name}: {rest:?}");
    }
    let mut bomb = "<Macro A>\nx\n</Macro>\n".to_owned();
    for (inner, outer) in ["AB", "BC", "CD", "DE", "EF", "FG"].map(|pair| pair.split_at(1)) {
        let uses = format!("Use {inner}\n").repeat(10);
        bomb = format!("{bomb}<Macro {outer}>\n{uses}</Macro>\n");
    }
    bomb += "Use G\n";
    assert_eq!(
        complaints(&read(&bomb))
            .first()
            .map(String::as_str)
            .map(|c| c.ends_with("macros make more than 250000 lines")),
        Some(true)
    );
}
