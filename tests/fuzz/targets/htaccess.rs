//! Access files: any bytes under any AllowOverride are read or complained about, never a panic; and whatever they say, it is
//! only of their own directory and of what their words were allowed to be about.

#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

use lychgate::config::site::Config;
use lychgate::config::{htaccess, load};

const OVERRIDES: [&str; 8] = [
    "AllowOverride All",
    "AllowOverride None Nonfatal=All",
    "AllowOverride FileInfo",
    "AllowOverride AuthConfig Limit",
    "AllowOverride Options=ExecCGI,Indexes",
    "AllowOverride Indexes Nonfatal=Unknown",
    "AllowOverride None\nAllowOverrideList Options RewriteRule <If",
    "AllowOverride Options FileInfo Nonfatal=Override",
];

/// A server's settings for each of them.
static CONFIGS: LazyLock<Vec<Config>> = LazyLock::new(|| {
    let servers = OVERRIDES.iter().map(|overrides| {
        let text = format!("TypesConfig /dev/null\n<Directory />\n{overrides}\n</Directory>\n");
        load::load_text("fuzz.conf", text.as_bytes(), Path::new("/nonexistent")).config
    });
    servers.collect()
});

fuzz_target!(|input: &[u8]| {
    let Some((first, text)) = input.split_first() else {
        return;
    };
    let config = &CONFIGS[usize::from(*first) % OVERRIDES.len()];
    let overrides = &config.sites[0].directories[0].conf.overrides;
    let file = htaccess::read(Path::new("/d/.htaccess"), text, b"/d/", b"/nonexistent", overrides);
    for complaint in file.errors.iter().chain(&file.notes) {
        assert!(complaint.to_string().contains(".htaccess"), "{complaint}");
    }
    // These are never an access file's to say.
    assert!(file.conf.suexec.target.value().is_none());
    assert!(file.conf.overrides.classes.value().is_none());
    assert!(file.conf.overrides.list.value().is_none());
});
