//! Configuration files: any bytes are read or complained about, never a panic; the tree survives the way through its
//! text, and a configuration without a fatal complaint is one for the roles too.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

use lychgate::config::{dump, load};

/// What would read files outside of the fuzzer's reach, `/dev/zero` among them.
const FILES: [&[u8]; 2] = [b"include", b"typesconfig"];

fuzz_target!(|input: &[u8]| {
    let lower = input.to_ascii_lowercase();
    if FILES
        .iter()
        .any(|name| lower.windows(name.len()).any(|window| window == *name))
    {
        return;
    }
    // Without it every run reads a thousand lines of types.
    let text = [b"TypesConfig /dev/null\n", input].concat();
    let loaded = load::load_text("fuzz.conf", &text, Path::new("/nonexistent"));
    for complaint in &loaded.complaints {
        assert!(!complaint.to_string().is_empty());
    }
    let text = dump::to_text(&loaded.settings);
    match dump::from_text(&text) {
        Ok(again) => assert_eq!(again, loaded.settings, "{}", String::from_utf8_lossy(&text)),
        Err(error) => panic!("{error}\n{}", String::from_utf8_lossy(&text)),
    }
    if !loaded.is_fatal()
        && let Err(error) = load::from_text(&loaded.to_text())
    {
        panic!("{error}\n{}", String::from_utf8_lossy(&text));
    }
});
