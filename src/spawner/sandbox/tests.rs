//! Cages as the settings want them: made once, made anew when what they stand for is another, and refused where they cannot be.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Cage, Cages, expanded};
use crate::config::directives::sandbox::{Chosen, Hold, Level, Sandbox};
use crate::process::seccomp::{Filter, Refused, When};

/// A directory of our own.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str) -> Tree {
        let root = std::env::temp_dir().join(format!("lychgate-cages-{name}-{}", std::process::id()));
        let _left_by_a_run_before = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("bin")).expect("there is room");
        Tree(root)
    }

    fn bin(&self) -> Vec<u8> {
        bytes(&self.0.join("bin"))
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _not_there = fs::remove_dir_all(&self.0);
    }
}

fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

fn sandbox(level: Level, hold: Hold) -> Sandbox {
    let mut sandbox = Sandbox::default();
    sandbox.chosen.set(Chosen { level, hold });
    sandbox
}

fn made(cages: &mut Cages, sandbox: &Sandbox, tree: &Tree) -> Arc<Cage> {
    let cage = cages.cage(sandbox, tree.bin());
    cage.expect("the tests' kernel has Landlock").expect("it is wanted")
}

#[test]
fn scripts_of_one_tree_share_a_cage() {
    let (tree, mut cages) = (Tree::new("share"), Cages::new());
    let basic = sandbox(Level::Basic, Hold::AsFarAsPossible);
    let (one, other) = (made(&mut cages, &basic, &tree), made(&mut cages, &basic, &tree));
    assert!(Arc::ptr_eq(&one, &other));
    let mut wider = basic.clone();
    wider.read.push(b"/opt".to_vec());
    assert!(!Arc::ptr_eq(&one, &made(&mut cages, &wider, &tree)));
    let off = sandbox(Level::Off, Hold::AsFarAsPossible);
    assert!(cages.cage(&off, tree.bin()).expect("nothing is made").is_none());
}

#[test]
fn a_name_that_leads_elsewhere_by_now_makes_a_cage_anew() {
    let (tree, mut cages) = (Tree::new("anew"), Cages::new());
    let mut basic = sandbox(Level::Basic, Hold::AsFarAsPossible);
    let later = tree.0.join("later");
    basic.read.push(bytes(&later));
    let change = [
        |tree: &Path| fs::create_dir(tree.join("later")),
        |tree: &Path| fs::rename(tree.join("later"), tree.join("former")).and(fs::create_dir(tree.join("later"))),
        |tree: &Path| fs::rename(tree.join("bin"), tree.join("old")).and(fs::create_dir(tree.join("bin"))),
        |tree: &Path| fs::remove_dir(tree.join("later")),
    ];
    for change in change {
        let before = made(&mut cages, &basic, &tree);
        assert!(cages.is_current(&before));
        change(&tree.0).expect("ours");
        assert!(!cages.is_current(&before));
        assert!(!Arc::ptr_eq(&before, &made(&mut cages, &basic, &tree)));
    }
}

#[test]
fn the_systems_own_files_are_looked_at_again_after_a_while() {
    let (tree, mut cages) = (Tree::new("system"), Cages::new());
    let basic = sandbox(Level::Basic, Hold::AsFarAsPossible);
    let before = made(&mut cages, &basic, &tree);
    let system = cages.system.as_mut().expect("a cage was made");
    let seen = system.seen.iter_mut().flatten().next().expect("/bin is there");
    *seen = (0, 0); // what was there when we looked
    assert!(cages.is_current(&before), "not looked yet");
    let long_ago = Instant::now().checked_sub(Duration::from_secs(2));
    let system = cages.system.as_mut().expect("a cage was made");
    system.looked = long_ago.expect("the machine runs for longer");
    assert!(!cages.is_current(&before));
    let after = made(&mut cages, &basic, &tree);
    assert!(!Arc::ptr_eq(&before, &after) && cages.is_current(&after));
}

#[test]
fn where_landlock_is_missing_a_cage_has_no_rules_and_a_required_one_is_not_made() {
    let told = std::thread::spawn(|| {
        rustix::thread::set_no_new_privs(true).expect("never refused");
        let absent = Refused {
            call: libc::SYS_landlock_create_ruleset,
            when: When::Always,
            errno: libc::ENOSYS,
        };
        Filter::refusing(&[absent])
            .enter()
            .expect("the tests' kernel has seccomp");
        let (tree, mut cages) = (Tree::new("missing"), Cages::new());
        let cage = made(&mut cages, &sandbox(Level::Basic, Hold::AsFarAsPossible), &tree);
        assert!(cage.ruleset.is_none());
        cages
            .cage(&sandbox(Level::Basic, Hold::Required), tree.bin())
            .map(|_| ())
            .expect_err("it is required")
    });
    assert_eq!(
        told.join().expect("no panic"),
        "ScriptSandbox: this kernel has no Landlock"
    );
}

#[test]
fn rules_that_cannot_be_made_let_nothing_run() {
    let told = std::thread::spawn(|| {
        rustix::thread::set_no_new_privs(true).expect("never refused");
        let full = Refused {
            call: libc::SYS_landlock_add_rule,
            when: When::Always,
            errno: libc::ENOMEM,
        };
        Filter::refusing(&[full])
            .enter()
            .expect("the tests' kernel has seccomp");
        let (tree, mut cages) = (Tree::new("failed"), Cages::new());
        let cage = cages.cage(&sandbox(Level::Basic, Hold::AsFarAsPossible), tree.bin());
        cage.map(|_| ()).expect_err("there is no room")
    });
    let told = told.join().expect("no panic");
    assert!(told.starts_with("ScriptSandbox: "), "{told}");
}

#[test]
fn a_name_with_a_star_stands_for_what_begins_so() {
    let tree = Tree::new("star");
    for name in ["bin/a-1", "bin/a-2", "bin/b"] {
        fs::write(tree.0.join(name), "").expect("there is room");
    }
    let mut found = expanded(&tree.0.join("bin/a-*").to_string_lossy());
    found.sort();
    assert_eq!(found, [tree.0.join("bin/a-1"), tree.0.join("bin/a-2")]);
    assert_eq!(expanded("/no/such/*"), Vec::<PathBuf>::new());
    assert_eq!(expanded("/no/such"), [PathBuf::from("/no/such")]);
}
