//! Tests: settings written down and read back.

use super::{dump, from_text, to_text};
use crate::config::define::Defines;
use crate::config::node::Settings;
use crate::config::reader::tests::{read, with_language};
use crate::config::reader::{Origin, read_text};

/// Reads the text, and its text again: both must be the same tree.
fn round(text: &[u8]) {
    let settings = with_language(Origin::Server, |language| read_text("t.conf", text, language)).settings;
    let written = to_text(&settings);
    let again = from_text(&written).unwrap_or_else(|e| panic!("{e}\n{}", String::from_utf8_lossy(&written)));
    assert_eq!(again, settings, "{}", String::from_utf8_lossy(&written));
    assert_eq!(to_text(&again), written);
}

/// A text that has something of everything.
const RICH: &str = "Define X \"a ${HOME} \\\"q\\\"\"\nDefine E\nServerRoot /\n\
    A ${X} \"${X}\" '${X}' $${X} ${NO}\n<VirtualHost *:80 [::1]:80>\n  ServerName x\\\n.y\n\
    <Directory ~ \"/a>b\">\n# c\nOptions +A -B\\\n\\\n -C\n</Directory>\n<IfModule mod_env.c>\nB \"${LINES}\" x\n\
    <Files \"${LINES}\">\n</Files>\n</IfModule>\n</VirtualHost>\n<Macro M $a @b>\n<Location /$a>\nC @b\n</Location>\n\
    </Macro>\nUse M 1 \"2 \\\" 3\"\n<If \"%{X} > 3\">\n</If>\nD";

#[test]
fn the_text_reads_back_to_the_same_tree() {
    round(RICH.as_bytes());
    let reading = read(RICH);
    assert_eq!(reading.settings.nodes.len(), 5);
    assert_eq!(reading.complaints.len(), 1, "{:?}", reading.complaints);
}

#[test]
fn every_cut_of_a_rich_text_reads_back() {
    for end in 0..=RICH.len() {
        round(&RICH.as_bytes()[..end]);
        round(&RICH.as_bytes()[end..]);
    }
}

#[test]
fn every_cut_of_the_written_text_is_taken_or_refused() {
    let written = to_text(&read(RICH).settings);
    for end in 0..=written.len() {
        let _either = from_text(&written[..end]);
        let _either = from_text(&written[end..]);
    }
}

#[test]
fn random_texts_read_back() {
    const PIECES: [&[u8]; 32] = [
        b"A",
        b" ",
        b"\n",
        b"\\",
        b"\"",
        b"'",
        b"<",
        b">",
        b"</",
        b"<Files",
        b"</Files>\n",
        b"<IfDefine GIVEN>\n",
        b"<IfDefine !GIVEN>\n",
        b"</IfDefine>\n",
        b"<Macro m $a>\n",
        b"</Macro>\n",
        b"Use m ",
        b"$a",
        b"${",
        b"}",
        b"${X}",
        b"Define X ",
        b"UnDefine X\n",
        b"#",
        b"\r\n",
        b"\0",
        b"\xff",
        b"\t",
        b"${LINES}",
        b"Include ",
        b"\nError ",
        b"!",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % 1_000_003).unwrap_or(0) % below
    };
    for _ in 0..4000 {
        let mut text = Vec::new();
        for _ in 0..next(60) {
            text.extend_from_slice(PIECES[next(PIECES.len())]);
        }
        round(&text);
    }
}

#[test]
fn what_is_defined_is_carried_over() {
    let mut defines = Defines::from_names(["A b", "C\n%"]);
    defines.define(b"V", Some(b"x y\n%\xff"));
    let settings = Settings {
        nodes: Vec::new(),
        defines,
        server_root: b"/a b".to_vec(),
    };
    assert_eq!(from_text(&to_text(&settings)), Ok(settings));
}

#[test]
fn the_dump_is_apaches() {
    // Written by apache2 2.4.71 with mod_info, `-t -D DUMP_CONFIG`, from the same file.
    let file = include_bytes!("apache.conf");
    let want = include_str!("apache.dump");
    let reading = with_language(Origin::Server, |language| {
        read_text("/etc/t/apache.conf", file, language)
    });
    assert_eq!(reading.complaints, []);
    assert_eq!(String::from_utf8_lossy(&dump(&reading.settings.nodes)), want);
}
