//! Tests: what is remembered of an access file is never older than the file.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{COARSE, SETTLED, has_settled, see};
use crate::config::directives::overrides::Overrides;
use crate::config::load::load_text;
use crate::config::site::Config;

fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("lychgate-access-{name}-{}", std::process::id()));
    let _not_there = fs::remove_dir_all(&path);
    fs::create_dir_all(path.join("d")).expect("there is room");
    path
}

/// What `AllowOverride` with these words allows.
fn overrides(words: &str) -> Overrides {
    let text = format!("<Directory />\nAllowOverride {words}\n</Directory>\n");
    let config = load_text("a.conf", text.as_bytes(), Path::new("/")).config;
    config.sites[0].directories[0].conf.overrides.clone()
}

/// Long after anything has changed, so that everything is remembered.
fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(3600)
}

/// The type that the access file of the directory `d` forces, or the error.
fn type_of(root: &Path, overrides: &Overrides, now: SystemTime) -> Result<String, String> {
    let directory = [root.as_os_str().as_bytes(), b"/d/"].concat();
    let config = Config::default();
    let path = [directory.as_slice(), b".htaccess"].concat();
    let seen = see(&path, &directory, &config, overrides, now).map_err(|error| error.to_string())?;
    let Some(seen) = seen else {
        return Ok("none".to_owned());
    };
    let file = seen.read?;
    let forced = file.conf.core.force_type.value().cloned().flatten();
    Ok(String::from_utf8(forced.unwrap_or_default()).expect("text"))
}

/// Writes the file, so that its time of change is another than before: some kernels count in ticks.
fn write(root: &Path, name: &str, media_type: &str) {
    let path = root.join(name);
    let changed = || fs::metadata(&path).map(|meta| (meta.ctime(), meta.ctime_nsec())).ok();
    let before = changed();
    loop {
        fs::write(&path, format!("ForceType {media_type}\n")).expect("there is room");
        if changed() != before {
            return;
        }
    }
}

#[test]
fn a_change_within_the_same_time_and_size_is_seen() {
    let root = directory("same");
    let all = overrides("All");
    write(&root, "d/.htaccess", "text/x-1");
    let file = fs::File::open(root.join("d/.htaccess")).expect("written");
    let time = file.metadata().and_then(|meta| meta.modified()).expect("it has a time");
    assert_eq!(type_of(&root, &all, later()).as_deref(), Ok("text/x-1"));
    write(&root, "d/.htaccess", "text/x-2");
    file.set_modified(time).expect("ours");
    assert_eq!(type_of(&root, &all, later()).as_deref(), Ok("text/x-2"));
    fs::remove_dir_all(root).expect("ours");
}

#[test]
fn what_has_just_changed_is_not_remembered() {
    let root = directory("fresh");
    let all = overrides("All");
    for number in 0..100 {
        let media_type = format!("text/x-{number:02}");
        write(&root, "d/.htaccess", &media_type);
        assert_eq!(type_of(&root, &all, SystemTime::now()), Ok(media_type));
    }
    fs::remove_dir_all(root).expect("ours");
}

#[test]
fn a_file_renamed_over_and_a_link_turned_are_seen() {
    let root = directory("renamed");
    let all = overrides("All");
    write(&root, "d/.htaccess", "text/x-1");
    assert_eq!(type_of(&root, &all, later()).as_deref(), Ok("text/x-1"));
    write(&root, "new", "text/x-2");
    fs::rename(root.join("new"), root.join("d/.htaccess")).expect("ours");
    assert_eq!(type_of(&root, &all, later()).as_deref(), Ok("text/x-2"));
    write(&root, "three", "text/x-3");
    write(&root, "four", "text/x-4");
    for (target, want) in [
        ("../three", "text/x-3"),
        ("../four", "text/x-4"),
        ("../three", "text/x-3"),
    ] {
        fs::remove_file(root.join("d/.htaccess")).expect("ours");
        symlink(target, root.join("d/.htaccess")).expect("there is room");
        assert_eq!(type_of(&root, &all, later()).as_deref(), Ok(want));
    }
    write(&root, "three", "text/x-5");
    assert_eq!(type_of(&root, &all, later()).as_deref(), Ok("text/x-5"));
    fs::remove_file(root.join("d/.htaccess")).expect("ours");
    assert_eq!(type_of(&root, &all, later()).as_deref(), Ok("none"));
    fs::remove_dir_all(root).expect("ours");
}

#[test]
fn a_directory_put_in_the_place_of_another_is_seen() {
    let root = directory("moved");
    let all = overrides("All");
    fs::create_dir(root.join("e")).expect("there is room");
    write(&root, "d/.htaccess", "text/x-d");
    write(&root, "e/.htaccess", "text/x-e");
    assert_eq!(type_of(&root, &all, later()).as_deref(), Ok("text/x-d"));
    fs::rename(root.join("d"), root.join("was-d")).expect("ours");
    fs::rename(root.join("e"), root.join("d")).expect("ours");
    assert_eq!(type_of(&root, &all, later()).as_deref(), Ok("text/x-e"));
    fs::rename(root.join("d"), root.join("e")).expect("ours");
    assert_eq!(type_of(&root, &all, later()).as_deref(), Ok("none"));
    fs::rename(root.join("was-d"), root.join("d")).expect("ours");
    assert_eq!(type_of(&root, &all, later()).as_deref(), Ok("text/x-d"));
    fs::remove_dir_all(root).expect("ours");
}

#[test]
fn what_one_place_allows_is_not_remembered_for_another() {
    let root = directory("classes");
    let (all, indexes) = (overrides("All"), overrides("Indexes"));
    write(&root, "d/.htaccess", "text/x-1");
    for _ in 0..2 {
        assert_eq!(type_of(&root, &all, later()).as_deref(), Ok("text/x-1"));
        let refused = type_of(&root, &indexes, later()).expect_err("FileInfo is not allowed");
        assert!(
            refused.contains(".htaccess:1: ForceType: not allowed here"),
            "{refused}"
        );
    }
    fs::remove_dir_all(root).expect("ours");
}

#[test]
fn times_without_fractions_take_longer_to_settle() {
    let at = |seconds, nanos| (1, 2, 3, (seconds, nanos), (seconds, nanos));
    let since = |duration| SystemTime::UNIX_EPOCH + Duration::from_secs(1000) + duration;
    let moment = Duration::from_millis(1);
    for (nanos, age, settled) in [
        (5, SETTLED, false),
        (5, SETTLED + moment, true),
        (0, COARSE, false),
        (0, COARSE + moment, true),
    ] {
        assert_eq!(has_settled(&at(1000, nanos), since(age)), settled, "{nanos} {age:?}");
    }
    assert!(!has_settled(&at(2000, 5), since(moment)), "a time to come");
}
