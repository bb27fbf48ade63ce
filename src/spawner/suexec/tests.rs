//! suexec's list, a row for each thing that can be wrong. What needs files of others is tried as root alone.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::PathBuf;

use super::{Floor, Unfit, judge, owner};
use crate::config::directives::suexec::SuexecRules;
use crate::config::site::{ScriptLinks, ScriptPlace};
use crate::process::identity::Identity;
use crate::spawner::place::{Found, find};

/// A user and a group that no system has.
const USER: u32 = 41_001;
const OTHER: u32 = 41_002;

struct Tree(PathBuf);

impl Tree {
    fn new(name: &str) -> Tree {
        let root = std::env::temp_dir().join(format!("lychgate-suexec-{name}-{}", std::process::id()));
        fs::create_dir_all(&root).expect("there is room");
        Tree(root)
    }

    /// The script `dir/s` with these owners and modes; `None` leaves an owner as it is.
    fn script(&self, name: &str, directory: Look, script: Look) -> Found {
        let path = self.0.join(name);
        fs::create_dir(&path).expect("a new one");
        fs::write(path.join("s"), "#!/bin/sh\n").expect("there is room");
        script.put_on(&path.join("s"));
        directory.put_on(&path);
        self.found(&format!("{name}/s"))
    }

    fn found(&self, path: &str) -> Found {
        let place = ScriptPlace {
            site: 0,
            root: self.0.as_os_str().as_bytes().to_vec(),
            links: ScriptLinks::Follow,
        };
        find(&place, path.as_bytes()).expect("it is there")
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

#[derive(Clone, Copy)]
struct Look {
    uid: u32,
    gid: u32,
    mode: u32,
}

impl Look {
    fn put_on(self, path: &std::path::Path) {
        if Identity::process_is_root() {
            chown(path, Some(self.uid), Some(self.gid)).expect("root may");
        }
        fs::set_permissions(path, fs::Permissions::from_mode(self.mode)).expect("ours");
    }
}

fn look(uid: u32, gid: u32, mode: u32) -> Look {
    Look { uid, gid, mode }
}

/// Who the scripts of these tests run as: USER where we can give files away, or we.
fn target() -> Identity {
    let (uid, gid) = if Identity::process_is_root() {
        (USER, USER)
    } else {
        let gid = rustix::process::getegid().as_raw();
        (rustix::process::geteuid().as_raw(), gid)
    };
    Identity {
        uid,
        gid,
        groups: vec![gid],
    }
}

#[test]
fn modes_that_let_others_in_are_refused() {
    let (tree, identity) = (Tree::new("modes"), target());
    let his = |mode| look(identity.uid, identity.gid, mode);
    let table: [(&str, u32, u32, Result<(), Unfit>); 16] = [
        ("good", 0o755, 0o755, Ok(())),
        ("private", 0o700, 0o700, Ok(())),
        ("group", 0o750, 0o750, Ok(())),
        ("unreadable", 0o755, 0o711, Ok(())),
        ("sticky", 0o1755, 0o755, Ok(())),
        ("set-group-id directory", 0o2755, 0o755, Ok(())),
        ("directory: group", 0o775, 0o755, Err(Unfit::DirectoryMode(0o775))),
        ("directory: others", 0o757, 0o755, Err(Unfit::DirectoryMode(0o757))),
        (
            "directory: sticky and open",
            0o1777,
            0o755,
            Err(Unfit::DirectoryMode(0o1777)),
        ),
        ("group may write", 0o755, 0o775, Err(Unfit::Mode(0o775))),
        ("others may write", 0o755, 0o757, Err(Unfit::Mode(0o757))),
        ("all may write", 0o755, 0o777, Err(Unfit::Mode(0o777))),
        ("set-user-id", 0o755, 0o4755, Err(Unfit::SetId(0o4755))),
        ("set-group-id", 0o755, 0o2755, Err(Unfit::SetId(0o2755))),
        ("for others alone", 0o755, 0o655, Err(Unfit::NotExecutable(0o655))),
        ("the directory first", 0o777, 0o4777, Err(Unfit::DirectoryMode(0o777))),
    ];
    for (name, directory, script, expected) in table {
        let found = tree.script(name, his(directory), his(script));
        assert_eq!(judge(&found, &identity), expected, "{name}");
    }
}

/// Name, owner and group of the directory, of the script, verdict.
type Owners<'a> = (&'a str, (u32, u32), (u32, u32), Result<(), Unfit>);

#[test]
fn owners_must_be_those_the_script_runs_as() {
    if !Identity::process_is_root() {
        return; // nobody else can give files away
    }
    let (tree, identity) = (Tree::new("owners"), target());
    let table: [Owners<'_>; 10] = [
        ("his", (USER, USER), (USER, USER), Ok(())),
        ("another's", (USER, USER), (OTHER, USER), Err(Unfit::Owner(OTHER, USER))),
        (
            "another group's",
            (USER, USER),
            (USER, OTHER),
            Err(Unfit::Owner(USER, OTHER)),
        ),
        ("root's", (USER, USER), (0, 0), Err(Unfit::Owner(0, 0))),
        ("root's, his group", (USER, USER), (0, USER), Err(Unfit::Owner(0, USER))),
        (
            "directory: another's",
            (OTHER, USER),
            (USER, USER),
            Err(Unfit::DirectoryOwner(OTHER, USER)),
        ),
        (
            "directory: another group's",
            (USER, OTHER),
            (USER, USER),
            Err(Unfit::DirectoryOwner(USER, OTHER)),
        ),
        (
            "directory: root's",
            (0, 0),
            (USER, USER),
            Err(Unfit::DirectoryOwner(0, 0)),
        ),
        (
            "both another's",
            (OTHER, OTHER),
            (OTHER, OTHER),
            Err(Unfit::DirectoryOwner(OTHER, OTHER)),
        ),
        ("both root's", (0, 0), (0, 0), Err(Unfit::DirectoryOwner(0, 0))),
    ];
    for (name, directory, script, expected) in table {
        let found = tree.script(
            name,
            look(directory.0, directory.1, 0o755),
            look(script.0, script.1, 0o755),
        );
        assert_eq!(judge(&found, &identity), expected, "{name}");
    }
}

#[test]
fn a_link_is_no_script_and_neither_is_what_took_its_place() {
    let (tree, identity) = (Tree::new("links"), target());
    let his = look(identity.uid, identity.gid, 0o755);
    tree.script("d", his, his);
    symlink("s", tree.0.join("d/link")).expect("there is room");
    assert_eq!(judge(&tree.found("d/link"), &identity), Err(Unfit::Link));
    let found = tree.found("d/s");
    fs::rename(tree.0.join("d/s"), tree.0.join("d/old")).expect("ours");
    fs::write(tree.0.join("d/s"), "#!/bin/sh\nanother\n").expect("there is room");
    his.put_on(&tree.0.join("d/s"));
    assert_eq!(judge(&found, &identity), Err(Unfit::Link), "exchanged");
    fs::remove_file(tree.0.join("d/s")).expect("ours");
    assert_eq!(
        judge(&found, &identity),
        Err(Unfit::System(rustix::io::Errno::NOENT)),
        "removed"
    );
}

#[test]
fn the_directory_that_was_opened_counts_not_its_name() {
    let (tree, identity) = (Tree::new("renamed"), target());
    let his = look(identity.uid, identity.gid, 0o755);
    let found = tree.script("d", his, his);
    tree.script("evil", look(identity.uid, identity.gid, 0o777), his);
    fs::rename(tree.0.join("d"), tree.0.join("away")).expect("ours");
    fs::rename(tree.0.join("evil"), tree.0.join("d")).expect("ours");
    assert_eq!(judge(&found, &identity), Ok(()));
    assert_eq!(judge(&tree.found("d/s"), &identity), Err(Unfit::DirectoryMode(0o777)));
}

#[test]
fn root_and_the_users_of_the_system_are_refused() {
    let identity = |uid, gid| Identity {
        uid,
        gid,
        groups: vec![gid],
    };
    let mut low = SuexecRules::default();
    low.min_uid.set(1);
    low.min_gid.set(30);
    let (usual, low) = (Floor::of(&SuexecRules::default()), Floor::of(&low));
    for (floor, uid, gid, expected) in [
        (usual, 100, 100, Ok(())),
        (usual, 1000, 1000, Ok(())),
        (usual, 0, 100, Err(Unfit::Superuser)),
        (usual, 100, 0, Err(Unfit::SuperGroup)),
        (usual, 0, 0, Err(Unfit::Superuser)),
        (usual, 99, 100, Err(Unfit::LowUser(100))),
        (usual, 100, 99, Err(Unfit::LowGroup(100))),
        (low, 1, 30, Ok(())),
        (low, 0, 30, Err(Unfit::Superuser)),
        (low, 1, 29, Err(Unfit::LowGroup(30))),
    ] {
        assert_eq!(floor.judge(&identity(uid, gid)), expected, "{uid} {gid}");
    }
}

#[test]
fn an_owner_is_one_of_the_database_and_in_the_files_group() {
    assert_eq!(owner((USER, USER)).err(), Some(Unfit::UnknownOwner(USER)));
    assert_eq!(owner((0, USER)).err(), Some(Unfit::Superuser));
    let nobody = nix::unistd::User::from_name("nobody")
        .expect("readable")
        .expect("there");
    let (uid, gid) = (nobody.uid.as_raw(), nobody.gid.as_raw());
    let identity = owner((uid, gid)).expect("of the database");
    assert_eq!((identity.uid, identity.gid), (uid, gid));
    assert_eq!(owner((uid, USER)).err(), Some(Unfit::ForeignGroup(uid, USER)));
    assert_eq!(owner((uid, 0)).err(), Some(Unfit::ForeignGroup(uid, 0)));
}

#[test]
fn refusals_name_what_is_wrong_and_what_mends_it() {
    let tree = Tree::new("words");
    let his = look(USER, USER, 0o755);
    let found = tree.script("a b", his, his);
    let at = tree.0.display();
    let identity = Identity {
        uid: USER,
        gid: OTHER,
        groups: vec![OTHER],
    };
    for (unfit, expected) in [
        (
            Unfit::DirectoryOwner(0, 0),
            format!(
                "the directory '{at}/a b' belongs to root and root, and its scripts are to run as user 41001 and group 41002; \
`chown 41001:41002 '{at}/a b'`"
            ),
        ),
        (
            Unfit::Owner(0, 0),
            format!(
                "the script belongs to root and root, and is to run as user 41001 and group 41002; `chown 41001:41002 '{at}/a b/s'`"
            ),
        ),
        (
            Unfit::SetId(0o6755),
            format!("the script is set-user-id or set-group-id (mode 6755); `chmod ug-s '{at}/a b/s'`"),
        ),
        (
            Unfit::NotExecutable(0o644),
            format!("the script has no execute permission for user 41001 (mode 0644); `chmod u+x '{at}/a b/s'`"),
        ),
        (
            Unfit::Link,
            "the script is a symbolic link; put the script itself there".to_owned(),
        ),
    ] {
        assert_eq!(unfit.told(&found, Some(&identity)), expected);
    }
}
