//! Who can read a file besides root and its owner, by the permissions of the file and of the directories that lead to it.

use std::fmt;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Gid, Group};

/// Who can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Readers {
    /// Every user of the machine.
    Everybody,
    /// The members of a group.
    Group(String),
}

/// The group that Debian has for programs that may read private keys.
const KEYS: &str = "ssl-cert";

const GROUP: u32 = 0o40;
const OTHERS: u32 = 0o4;

/// Those who can read this file and should not; `None` is nobody. Behind links it is the file itself that counts.
pub(super) fn readers(path: &Path) -> Option<Readers> {
    let path = path.canonicalize().ok()?;
    let file = fs::metadata(&path).ok()?;
    let way: Vec<Metadata> = path
        .ancestors()
        .skip(1)
        .filter_map(|above| fs::metadata(above).ok())
        .collect();
    if admits(&file, &way, None) {
        return Some(Readers::Everybody);
    }
    let group = file.gid();
    let name = name_of(group);
    (group != 0 && name != KEYS && admits(&file, &way, Some(group))).then_some(Readers::Group(name))
}

/// The name of a group, or its number as User and Group take it.
fn name_of(group: u32) -> String {
    let known = Group::from_gid(Gid::from_raw(group)).ok().flatten();
    known.map_or_else(|| format!("#{group}"), |group| group.name)
}

/// Whether the members of a group, or all others, may read the file and pass through the directories.
fn admits(file: &Metadata, way: &[Metadata], group: Option<u32>) -> bool {
    let bit = if group.is_some() { GROUP } else { OTHERS };
    let passes = |directory: &Metadata| {
        let theirs = group.is_some_and(|group| directory.gid() == group);
        let right = if theirs { 0o10 } else { 0o1 };
        directory.mode() & right != 0
    };
    file.mode() & bit != 0 && way.iter().all(passes)
}

impl fmt::Display for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Readers::Everybody => f.write_str("every user of this machine"),
            Readers::Group(name) => write!(f, "the group {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::{Readers, name_of, readers};

    #[test]
    fn permissions_of_the_file_and_of_its_directories_tell() {
        let top = std::env::temp_dir().join(format!("lychgate-openness-{}", std::process::id()));
        let directory = top.join("live");
        fs::create_dir_all(&directory).expect("a name of our own");
        let key = directory.join("key.pem");
        fs::write(&key, "key").expect("ours");
        std::os::unix::fs::symlink(&key, top.join("link")).expect("ours");
        let mode = |path: &std::path::Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
        };
        let group = rustix::process::getegid().as_raw();
        let of_group = (group != 0).then(|| Readers::Group(name_of(group)));
        for (above, file, expected) in [
            (0o755, 0o600, None),
            (0o755, 0o644, Some(Readers::Everybody)),
            (0o711, 0o604, Some(Readers::Everybody)),
            (0o700, 0o644, None),
            (0o755, 0o640, of_group.clone()),
            (0o750, 0o644, of_group),
            (0o701, 0o640, None),
        ] {
            mode(&directory, above);
            mode(&key, file);
            assert_eq!(readers(&key), expected, "{above:o} {file:o}");
            assert_eq!(readers(&top.join("link")), expected, "{above:o} {file:o}, by a link");
        }
        fs::remove_dir_all(top).expect("ours");
    }
}
