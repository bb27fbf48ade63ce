//! The tables side by side, as lychgate-privileges(7) shows them: a column for each setting, `x` where the script got
//! through.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use libtest_mimic::Trial;

use super::blessing;
use super::settings::SETTINGS;
use crate::trial;

const PAGE: &str = include_str!("../../man/lychgate-privileges.7");
const BEGIN: &str = ".\\\" The tables of tests/probe; BLESS=1 writes them.\n";
const END: &str = ".\\\" End of the tables.\n";

/// The letter of a column, its setting, and what that is.
struct Column(char, &'static str, &'static str);

const COLUMNS: &[Column] = &[
    Column(
        'A',
        "apache-cgid",
        "Apache, started by root: scripts of both sites run as\n.Ic User ,\nby mod_cgid",
    ),
    Column(
        'B',
        "apache-suexec",
        "Apache, started by root: each site has a user by\n.Ic SuexecUserGroup ,\nunder mod_cgi",
    ),
    Column(
        'C',
        "root",
        "lychgate, started by root: scripts of both sites run as\n.Ic User",
    ),
    Column(
        'D',
        "root-suexec",
        "the same, but that each site has a user by\n.Ic SuexecUserGroup",
    ),
    Column(
        'E',
        "root-sandbox",
        "as C, with\n.Ic ScriptSandbox Cm basic ,\nand\n.Ic ScriptSandboxWrite\nfor the data of the site",
    ),
    Column(
        'F',
        "root-suexec-sandbox",
        "the same with\n.Ic SuexecUserGroup ;\nD and E together",
    ),
    Column('G', "root-chroot", "as C, in\n.Ic ChrootDir"),
    Column('H', "root-limits", "as C, with limits and\n.Ic CGIProcessTree Cm kill"),
    Column('I', "user", "lychgate, started by another user, whose all of it is"),
    Column('J', "user-sandbox", "as I, with\n.Ic ScriptSandbox\nas in E"),
    Column(
        'K',
        "user-sandbox-loopback",
        "as J, with\n.Ic ScriptSandboxTCP Cm loopback",
    ),
    Column('L', "user-sandbox-any", "as J, with\n.Ic ScriptSandboxTCP Cm any"),
];

const HEADINGS: &[(&str, &str)] = &[
    ("00", "What it needs"),
    ("01", "Other sites"),
    ("02", "Files of the server"),
    ("03", "What its own site serves, and the logs"),
    ("04", "Sources of scripts"),
    ("05", "Other processes"),
    ("06", "Connections of others"),
    ("07", "Ports"),
    ("08", "The network, and sockets of other programs"),
    ("09", "Privileges"),
    ("10", "Much of everything"),
    ("11", "After the request"),
    ("15", "The error log"),
    ("16", "What stays"),
];

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![trial("probe::the_manual_shows_the_tables", the_manual_shows_the_tables)]
}

fn the_manual_shows_the_tables() {
    let (before, rest) = PAGE.split_once(BEGIN).expect("the page has a place for the tables");
    let (there, after) = rest.split_once(END).expect("and its end");
    let made = made();
    if blessing() {
        let page = [before, BEGIN, &made, END, after].concat();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("man/lychgate-privileges.7");
        fs::write(path, page).expect("the source directory can be written to");
    } else {
        assert!(
            there == made,
            "lychgate-privileges(7) is out of date; run the tests with BLESS=1, twice where tables have changed"
        );
    }
}

fn made() -> String {
    let columns: Vec<BTreeMap<&str, &str>> = COLUMNS.iter().map(|column| lines(column.1)).collect();
    let order: Vec<&str> = SETTINGS[0]
        .expected
        .lines()
        .filter_map(|l| Some(l.split_once(": ")?.0))
        .collect();
    let letters = in_columns(COLUMNS.iter().map(|column| column.0));
    let mut text = String::from(".Pp\n.Bl -tag -width A -compact\n");
    for Column(letter, _, what) in COLUMNS {
        let _infallible = writeln!(text, ".It {letter}\n{what}");
    }
    text.push_str(".El\n");
    for (number, heading) in HEADINGS {
        let _infallible = writeln!(text, ".Ss {heading}\n.Bd -literal\n{:WIDTH$}{letters}", "");
        for (name, cells) in rows(&order, number, &columns) {
            let cells = in_columns(cells.into_iter());
            let line = format!("{name:WIDTH$}{cells}");
            let _infallible = writeln!(text, "{}", line.trim_end());
        }
        text.push_str(".Ed\n");
    }
    text
}

/// How wide the names are.
const WIDTH: usize = 38;

fn in_columns(cells: impl Iterator<Item = char>) -> String {
    cells.flat_map(|cell| [' ', ' ', cell]).collect()
}

fn lines(setting: &str) -> BTreeMap<&'static str, &'static str> {
    let found = SETTINGS.iter().find(|one| one.name == setting);
    let found = found.unwrap_or_else(|| panic!("no setting is called {setting}"));
    found
        .expected
        .lines()
        .filter_map(|line| line.split_once(": "))
        .collect()
}

/// The rows of one number. Of what can be done to a process, attempts that go alike under every setting share a row.
fn rows(order: &[&str], number: &str, columns: &[BTreeMap<&str, &str>]) -> Vec<(String, Vec<char>)> {
    let mut rows: Vec<(String, String, Vec<char>)> = Vec::new();
    for line in order.iter().filter(|line| line.starts_with(number)) {
        let outcomes = columns
            .iter()
            .map(|column| column.get(line).copied().unwrap_or_default());
        let Some(cells) = outcomes.map(|outcome| cell(line, outcome)).collect::<Option<Vec<_>>>() else {
            continue;
        };
        let name = line.get(3..).unwrap_or_default();
        let (what, whose) = name
            .rsplit_once(" the ")
            .filter(|_| number == "05")
            .unwrap_or((name, ""));
        match rows
            .iter_mut()
            .find(|row| number == "05" && row.1 == whose && row.2 == cells)
        {
            Some(row) => row.0 = format!("{}, {}", row.0, what.trim_end_matches(" of")),
            None => rows.push((what.trim_end_matches(" of").to_owned(), whose.to_owned(), cells)),
        }
    }
    let told = |(what, whose, cells): (String, String, Vec<char>)| match whose.as_str() {
        "" => vec![(what, cells)],
        whose => wrapped(&format!("{whose}: {what}"), &cells),
    };
    rows.into_iter().flat_map(told).collect()
}

/// A long name on several lines, the cells on the last.
fn wrapped(name: &str, cells: &[char]) -> Vec<(String, Vec<char>)> {
    let mut lines = vec![String::new()];
    for word in name.split(' ') {
        let line = lines.last_mut().expect("there is one");
        if line.len() + word.len() + 1 >= WIDTH {
            lines.push(format!("  {word}"));
        } else {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    let last = lines.len() - 1;
    let with_cells = |(at, line)| (line, if at == last { cells.to_vec() } else { Vec::new() });
    lines.into_iter().enumerate().map(with_cells).collect()
}

/// Did it get through? Nothing for lines that tell something else.
fn cell(line: &str, outcome: &str) -> Option<char> {
    let through = match line {
        "06 inherited descriptors" => outcome != "0 1 2",
        "04 read a script's source by URL" => outcome != "in no spelling",
        "15 forge lines of the log" => outcome == "stand in it as the server's",
        "11 leave a process behind" => outcome == "lives on",
        "09 run a set-user-id program" => outcome == "euid changed",
        "09 its capabilities" => outcome != "none",
        "09 no_new_privs" | "09 seccomp" | "10 umask" | "10 nice" | "14 names in the environment" => return None,
        _ if line.starts_with("09 its ") || line.starts_with("10 limit ") => return None,
        _ => outcome == "allowed",
    };
    Some(if through { 'x' } else { '-' })
}
