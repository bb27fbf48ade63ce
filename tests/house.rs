//! The walls of the house, kept by a test: who may import whom, how long a file may be, which words do not occur.
//!
//! The rooms and what each may import are the table in `src/lib.rs`; a new room needs a line here.

use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;
use lychgate::config::directives;
use regex::Regex;

use crate::support::case;
use crate::trial;

/// A room and the rooms that it may import.
type Wall = (&'static str, &'static [&'static str]);

const PURE: &[&str] = &["base", "http", "gateway", "lang", "auth", "tls", "process", "config"];
const LIVE: &[&str] = &["fs", "net", "log", "scripts", "backend", "wasm"];
const REQUEST: &[&str] = &["exchange"];
const STEPS: &[&str] = &["phases", "handlers", "filters"];

const WALLS: &[Wall] = &[
    ("base", &[]),
    ("http", &["base"]),
    ("gateway", &["base", "http"]),
    ("lang", &["base", "http"]),
    ("auth", &["base"]),
    ("tls", &["base"]),
    ("process", &["base"]),
    ("config", &["base", "http", "lang", "auth", "tls"]),
    ("fs", &["base", "http", "config"]),
    ("net", &["base", "tls", "config", "process"]),
    ("log", &["base", "http", "lang", "config", "process"]),
    (
        "backend",
        &["base", "http", "gateway", "tls", "config", "net", "process"],
    ),
    ("wasm", &["base", "config"]),
    ("scripts", &["base", "gateway", "config", "net", "process", "log"]),
    (
        "spawner",
        &["base", "http", "gateway", "lang", "auth", "process", "config"],
    ),
];

/// What a room may import: its own line above, or everything below its layer.
fn allowed(room: &str) -> Option<Vec<&'static str>> {
    if let Some((_, rooms)) = WALLS.iter().find(|(name, _)| *name == room) {
        return Some(rooms.to_vec());
    }
    let below: &[&[&str]] = match room {
        "exchange" | "launcher" => &[PURE, LIVE],
        "phases" | "handlers" | "filters" => &[PURE, LIVE, REQUEST],
        "worker" => &[PURE, LIVE, REQUEST, STEPS],
        "commands" => &[PURE, LIVE, REQUEST, STEPS, &["worker", "spawner"]],
        "cli" => &[
            PURE,
            LIVE,
            REQUEST,
            STEPS,
            &["worker", "commands", "launcher", "spawner"],
        ],
        "lib" | "main" => &[&["cli"]],
        _ => return None,
    };
    Some(below.concat())
}

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![
        trial("house::a_room_imports_only_from_below", a_room_imports_only_from_below),
        trial("house::a_file_has_at_most_600_lines", a_file_has_at_most_600_lines),
        trial("house::a_file_says_what_it_is_for", a_file_says_what_it_is_for),
        trial("house::nothing_is_left_undone", nothing_is_left_undone),
        trial(
            "house::unsafe_lives_in_process_and_says_why",
            unsafe_lives_in_process_and_says_why,
        ),
        trial("house::names_are_plain", names_are_plain),
        trial("house::imports_name_what_they_use", imports_name_what_they_use),
        trial("house::exchange_stays_slim", exchange_stays_slim),
        trial(
            "house::every_dependency_has_its_paragraph",
            every_dependency_has_its_paragraph,
        ),
        trial("house::every_case_names_its_source", every_case_names_its_source),
        trial("house::every_directive_has_a_case", every_directive_has_a_case),
    ]
}

fn a_room_imports_only_from_below() {
    let path = Regex::new(r"\bcrate::(\{[^}]*\}|[a-z_]+)").expect("well-formed");
    let word = Regex::new(r"(?:^|[{,])\s*([a-z_]+)").expect("well-formed");
    let mut broken = Vec::new();
    for (file, text) in sources("src") {
        let room = room_of(&file);
        let Some(allowed) = allowed(&room) else {
            broken.push(format!("{}: no wall is known for room `{room}`", file.display()));
            continue;
        };
        for found in path.captures_iter(&code(&text)) {
            for other in word.captures_iter(&found[1]).map(|c| c[1].to_string()) {
                if other != room && !allowed.contains(&other.as_str()) {
                    broken.push(format!("{}: `{room}` imports `{other}`", file.display()));
                }
            }
        }
    }
    none(&broken);
}

fn a_file_has_at_most_600_lines() {
    let long = |(file, text): &(PathBuf, String)| {
        let lines = text.lines().count();
        (lines > 600).then(|| format!("{}: {lines} lines", file.display()))
    };
    none(&everything().iter().filter_map(long).collect::<Vec<_>>());
}

fn a_file_says_what_it_is_for() {
    let silent = |(file, text): &(PathBuf, String)| {
        (!text.starts_with("//! ")).then(|| format!("{}: does not start with `//! `", file.display()))
    };
    none(&everything().iter().filter_map(silent).collect::<Vec<_>>());
}

fn nothing_is_left_undone() {
    let words = Regex::new(
        &[
            "todo!",
            "unimplemented!",
            "dbg!",
            r"\bTODO\b",
            r"\bFIXME\b",
            r"\bXXX\b",
            r"#\[ignore",
        ]
        .join("|"),
    );
    none(&occurrences(&everything(), &words.expect("well-formed")));
}

fn unsafe_lives_in_process_and_says_why() {
    let word = Regex::new(r"\bunsafe\b").expect("well-formed");
    let text_in_quotes = Regex::new(r#""[^"]*""#).expect("well-formed");
    let mut broken = Vec::new();
    for (file, text) in everything() {
        let lines: Vec<&str> = text.lines().collect();
        let said = |line: &str| text_in_quotes.replace_all(&code(line), "").into_owned();
        for (at, _) in lines.iter().enumerate().filter(|(_, l)| word.is_match(&said(l))) {
            let place = format!("{}:{}", file.display(), at + 1);
            let mut above = lines[..at]
                .iter()
                .rev()
                .take_while(|l| l.trim().starts_with("//") || l.trim().starts_with("#["));
            if !file.starts_with("src/process") {
                broken.push(format!("{place}: `unsafe` outside of process/"));
            } else if !above.any(|l| l.contains("SAFETY:")) && !lines[at].contains("SAFETY:") {
                broken.push(format!("{place}: `unsafe` without SAFETY"));
            }
        }
    }
    none(&broken);
}

fn names_are_plain() {
    let words = "[Mm]anager|[Hh]elper|[Uu]tils?";
    let shape = format!(
        r"\bfn get_|\b(struct|enum|trait|mod|type|fn) [A-Za-z_]*({words})\b|\bmod (common|data|info|context|misc)\b|\b(struct|enum|trait) \w*(Data|Info)\b"
    );
    let mut broken = occurrences(&everything(), &Regex::new(&shape).expect("well-formed"));
    // The standard's own word (RFC 3875 §4.1.5).
    broken.retain(|hit| !hit.contains("PathInfo"));
    let stem = Regex::new(&format!("^({words}|common|data|info|context|misc)$")).expect("well-formed");
    let named_badly = |file: &PathBuf| {
        file.components()
            .any(|c| stem.is_match(&Path::new(&c).file_stem().unwrap_or_default().to_string_lossy()))
    };
    broken.extend(
        everything()
            .iter()
            .map(|(f, _)| f)
            .filter(|f| named_badly(f))
            .map(|f| format!("{}: its name", f.display())),
    );
    none(&broken);
}

fn imports_name_what_they_use() {
    let globs = occurrences(&everything(), &Regex::new(r"\buse .*::\*;").expect("well-formed"));
    // A file of tests may look at all that its parent has.
    none(
        &globs
            .into_iter()
            .filter(|hit| !hit.ends_with("use super::*;"))
            .collect::<Vec<_>>(),
    );
}

/// `Exchange` has fewer than 20 fields.
fn exchange_stays_slim() {
    let field = Regex::new(r"^    (pub(\(crate\))? )?[a-z_]+: ").expect("well-formed");
    for (file, text) in sources("src/exchange") {
        let inside = text
            .lines()
            .skip_while(|l| !l.starts_with("pub struct Exchange"))
            .skip(1)
            .take_while(|l| *l != "}");
        let fields = inside.filter(|l| field.is_match(l)).count();
        assert!(fields < 20, "{}: Exchange has {fields} fields", file.display());
    }
}

/// Every dependency is named in CONTRIBUTING.md, which says what it saves and who keeps it.
fn every_dependency_has_its_paragraph() {
    let Ok(paragraphs) = fs::read_to_string(home().join("CONTRIBUTING.md")) else {
        return;
    };
    let manifest = fs::read_to_string(home().join("Cargo.toml")).expect("the manifest is there");
    let mut section = "";
    let mut broken = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]")
            && let Some((name, _)) = line.split_once('=')
            && !paragraphs.contains(&format!("`{}`", name.trim()))
        {
            broken.push(format!("CONTRIBUTING.md does not name `{}`", name.trim()));
        }
    }
    none(&broken);
}

/// A case's title ends with the text that it follows, in parentheses.
fn every_case_names_its_source() {
    let source = Regex::new(r"\((RFC \d|Apache|mod_|NCSA|HOUSE|ours|TRAPS|LINEAGE|POSIX|CVE|OCC)[^()]*\)$")
        .expect("well-formed");
    let mut files = Vec::new();
    collect(&home().join("tests/cases"), "case", &mut files);
    let unnamed = files.iter().filter_map(|file| match case::load(file) {
        Err(e) => Some(e),
        Ok(case) if !source.is_match(&case.title) => Some(format!("{}: no source in its title", file.display())),
        Ok(_) => None,
    });
    none(&unnamed.collect::<Vec<_>>());
}

/// Every directive of the table stands in at least one case: in its configuration, or in what it runs.
fn every_directive_has_a_case() {
    let mut files = Vec::new();
    collect(&home().join("tests/cases"), "case", &mut files);
    collect(&home().join("tests/beside"), "pair", &mut files);
    let word = Regex::new(r"[A-Za-z][A-Za-z0-9_]*").expect("well-formed");
    let mut named = std::collections::BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let lines = text
            .lines()
            .filter(|l| ["config ", "| ", "arguments ", "run "].iter().any(|b| l.starts_with(b)));
        named.extend(
            lines
                .flat_map(|l| word.find_iter(l))
                .map(|m| m.as_str().to_ascii_lowercase()),
        );
    }
    let bare = |name: &str| name.trim_matches(['<', '>']).to_ascii_lowercase();
    let without = directives::all()
        .map(|d| d.name)
        .filter(|name| !named.contains(&bare(name)));
    none(&without.map(|name| format!("{name}: in no case")).collect::<Vec<_>>());
}

fn none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(below: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    collect(&home().join(below), "rs", &mut files);
    files.sort();
    let read = |file: PathBuf| {
        let text = fs::read_to_string(&file).unwrap_or_default();
        (file.strip_prefix(home()).unwrap_or(&file).to_path_buf(), text)
    };
    files.into_iter().map(read).collect()
}

/// All our sources but this file, which must name what it forbids.
fn everything() -> Vec<(PathBuf, String)> {
    let mut all = sources("src");
    all.extend(
        sources("tests")
            .into_iter()
            .filter(|(file, _)| !file.ends_with("house.rs")),
    );
    all
}

fn collect(directory: &Path, extension: &str, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, extension, files);
        } else if path.extension().is_some_and(|e| e == extension) {
            files.push(path);
        }
    }
}

/// `src/http/head/tests.rs` → `http`; `src/cli.rs` → `cli`.
fn room_of(file: &Path) -> String {
    let inside = file.strip_prefix("src").unwrap_or(file);
    let first = inside
        .components()
        .next()
        .map(|c| c.as_os_str().to_string_lossy().into_owned())
        .unwrap_or_default();
    first.trim_end_matches(".rs").to_string()
}

/// A text without its comments (strings that hold `//` lose their tail, which does no harm here).
fn code(text: &str) -> String {
    text.lines()
        .map(|l| l.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

fn occurrences(files: &[(PathBuf, String)], pattern: &Regex) -> Vec<String> {
    let mut found = Vec::new();
    for (file, text) in files {
        let hits = text.lines().enumerate().filter(|(_, line)| pattern.is_match(line));
        found.extend(hits.map(|(at, line)| format!("{}:{}: {}", file.display(), at + 1, line.trim())));
    }
    found
}
