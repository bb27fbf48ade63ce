//! What may be opened, and what is found under a name.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use super::{Kind, OpenError, Seen, Symlinks, extent, look, stat};

struct Tree(PathBuf);

impl Tree {
    fn new(name: &str) -> Tree {
        let dir = std::env::temp_dir().join(format!("lychgate-open-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(dir.join("a/b")).unwrap();
        std::fs::write(dir.join("a/f.txt"), "text").unwrap();
        std::os::unix::fs::symlink("f.txt", dir.join("a/link")).unwrap();
        std::os::unix::fs::symlink("/proc/self", dir.join("a/magic")).unwrap();
        nix::unistd::mkfifo(&dir.join("a/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        Tree(dir)
    }

    fn at(&self, name: &str) -> Vec<u8> {
        self.0.join(name).as_os_str().as_bytes().to_vec()
    }
}

fn look_at(name: &[u8], policies: &[(usize, Symlinks)]) -> Result<Seen, OpenError> {
    look(name, stat(name)?, policies)
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn links_are_followed_only_where_the_policy_says_so() {
    let tree = Tree::new("links");
    let link = tree.at("a/link");
    assert!(look_at(&link, &[(1, Symlinks::Follow)]).unwrap().open().is_ok());
    assert_eq!(
        look_at(&link, &[(1, Symlinks::Follow), (tree.at("a").len(), Symlinks::Refuse)]).unwrap_err(),
        OpenError::Link
    );
    assert!(
        look_at(
            &link,
            &[(1, Symlinks::Follow), (tree.at("a").len(), Symlinks::OwnerMatch)]
        )
        .unwrap()
        .open()
        .is_ok()
    );
    assert!(
        look_at(
            &tree.at("a/f.txt"),
            &[(1, Symlinks::Follow), (tree.at("a").len(), Symlinks::Refuse)]
        )
        .is_ok()
    );
}

#[test]
fn a_fifo_is_never_opened() {
    let tree = Tree::new("fifo");
    assert_eq!(
        look_at(&tree.at("a/fifo"), &[(1, Symlinks::Follow)]).unwrap_err(),
        OpenError::Kind
    );
}

#[test]
fn a_file_that_became_a_fifo_is_refused_without_waiting() {
    let tree = Tree::new("swap");
    let seen = look_at(&tree.at("a/f.txt"), &[(1, Symlinks::Follow)]).unwrap();
    std::fs::remove_file(tree.0.join("a/f.txt")).unwrap();
    nix::unistd::mkfifo(&tree.0.join("a/f.txt"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(seen.open().unwrap_err(), OpenError::Kind);
}

#[test]
fn a_name_that_changes_between_file_and_link_never_shows_what_the_link_leads_to() {
    let tree = Tree::new("race");
    std::fs::write(tree.0.join("secret"), "secret").unwrap();
    let name = tree.at("a/f.txt");
    let policies = [(1, Symlinks::Follow), (tree.at("a").len(), Symlinks::Refuse)];
    let directory = tree.0.join("a");
    let over = std::sync::atomic::AtomicBool::new(false);
    let mut opened = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                std::os::unix::fs::symlink("../secret", directory.join("new")).unwrap();
                std::fs::rename(directory.join("new"), directory.join("f.txt")).unwrap();
                std::fs::write(directory.join("new"), "text").unwrap();
                std::fs::rename(directory.join("new"), directory.join("f.txt")).unwrap();
            }
        });
        // The other thread may be held up while the name is a link; then this one has longer to ask.
        let patience = std::time::Instant::now() + Duration::from_secs(20);
        let mut asked = 0;
        while (asked < 5000 || opened == 0) && std::time::Instant::now() < patience {
            asked += 1;
            let Ok(file) = look_at(&name, &policies).and_then(|seen| seen.open()) else {
                continue;
            };
            let mut text = [0; 6];
            let read = file.read_at(&mut text, 0).unwrap();
            assert_eq!(&text[..read], b"text");
            opened += 1;
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(opened > 0);
}

#[test]
fn the_extent_of_a_name_is_its_longest_existing_part() {
    let tree = Tree::new("extent");
    for (name, exists, kind) in [
        ("a/f.txt", "a/f.txt", Kind::File),
        ("a/f.txt/x/y", "a/f.txt", Kind::File),
        ("a/b/", "a/b", Kind::Directory),
        ("a/none/x", "a", Kind::Directory),
    ] {
        let found = extent(&tree.at(name)).unwrap();
        let name = if name.ends_with('/') {
            [tree.at(name.trim_end_matches('/')), b"/".to_vec()].concat()
        } else {
            tree.at(name)
        };
        assert_eq!(&name[..found.length], tree.at(exists));
        assert_eq!(found.meta.kind, kind);
    }
}
