//! Finding a script below its place: opened before it is judged, never outside.

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, RawMode, ResolveFlags};
use rustix::io::Errno;

use crate::config::links;
use crate::config::site::{ScriptLinks, ScriptPlace, Site};
use crate::process::child::Step;
use crate::process::identity::Identity;

/// A script that may be started.
#[derive(Debug)]
pub(super) struct Found {
    /// Its absolute name, for `exec`: an interpreter opens it again, and scripts look at their `$0`.
    pub(super) path: CString,
    /// The directory it is in, where it starts (as under Apache).
    pub(super) directory: OwnedFd,
    file: OwnedFd,
    mode: RawMode,
}

/// Finds the file `path` (no leading slash; empty for a place that is one file) below its place, as the place itself says of
/// links.
pub(super) fn find(place: &ScriptPlace, path: &[u8]) -> Result<Found, (Step, Errno)> {
    let (root, below) = split(place, path).ok_or(OUTSIDE)?;
    find_below(root, below, full_name(root, below)?, place.links)
}

fn find_below(root: &[u8], below: &[u8], full: CString, links: ScriptLinks) -> Result<Found, (Step, Errno)> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root =
        rustix::fs::openat(CWD, root, flags | OFlags::DIRECTORY, Mode::empty()).map_err(|errno| (Step::Open, errno))?;
    let resolve = ResolveFlags::NO_MAGICLINKS
        | match links {
            ScriptLinks::Follow => ResolveFlags::empty(),
            ScriptLinks::OwnerMatch | ScriptLinks::Beneath => ResolveFlags::BENEATH,
        };
    let file = rustix::fs::openat2(&root, below, flags, Mode::empty(), resolve).map_err(outside)?;
    let directory = match below.iter().rposition(|byte| *byte == b'/') {
        None => root,
        Some(slash) => {
            let directory = below.get(..slash).unwrap_or_default();
            rustix::fs::openat2(&root, directory, flags | OFlags::DIRECTORY, Mode::empty(), resolve).map_err(outside)?
        }
    };
    Found::judged(full, directory, file)
}

/// Finds the file as [`find`] does, but under what the site's sections say of links, each judged by the directory it lies
/// in: what the walk of a request has judged by names is here judged again by what is open.
pub(super) fn find_in(site: &Site, place: &ScriptPlace, path: &[u8]) -> Result<Found, (Step, Errno)> {
    let (root, below) = split(place, path).ok_or(OUTSIDE)?;
    let full = full_name(root, below)?;
    let policies = links::on_the_way(site, full.as_bytes());
    if policies.iter().all(|(_, policy)| *policy == ScriptLinks::Follow) {
        return find_below(root, below, full, ScriptLinks::Follow);
    }
    let parts = full.as_bytes().split(|byte| *byte == b'/');
    let parts: Vec<&[u8]> = parts.filter(|part| !part.is_empty()).collect();
    let (name, directories) = parts.split_last().ok_or(OUTSIDE)?;
    let mut directory = open(CWD, b"/", ResolveFlags::NO_MAGICLINKS).map_err(outside)?;
    let mut policies = policies.iter().map(|(_, policy)| *policy);
    let mut next = || policies.next().unwrap_or(ScriptLinks::Beneath);
    for part in directories {
        directory = step(directory.as_fd(), part, next())?;
    }
    let file = step(directory.as_fd(), name, next())?;
    Found::judged(full, directory, file)
}

/// Opens a name in a directory that says so of its links.
fn step(at: BorrowedFd<'_>, name: &[u8], links: ScriptLinks) -> Result<OwnedFd, (Step, Errno)> {
    let follow = ResolveFlags::NO_MAGICLINKS;
    if links == ScriptLinks::Follow {
        return open(at, name, follow).map_err(outside);
    }
    match open(at, name, ResolveFlags::NO_SYMLINKS) {
        Err(Errno::LOOP) if links == ScriptLinks::OwnerMatch => {}
        other => return other.map_err(outside),
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let link = rustix::fs::openat2(at, name, flags, Mode::empty(), follow).map_err(outside)?;
    // Where it leads is read from the very link whose owner is asked: another may have taken its name by now.
    let leads_to = rustix::fs::readlinkat(&link, c"", Vec::new()).map_err(outside)?;
    let target = open(at, leads_to.as_bytes(), follow).map_err(outside)?;
    let owner = |fd: &OwnedFd| rustix::fs::fstat(fd).map(|stat| stat.st_uid).map_err(outside);
    if owner(&link)? == owner(&target)? {
        Ok(target)
    } else {
        Err((Step::Place, Errno::LOOP))
    }
}

fn open(at: BorrowedFd<'_>, name: &[u8], resolve: ResolveFlags) -> rustix::io::Result<OwnedFd> {
    loop {
        match rustix::fs::openat2(at, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::INTR | Errno::AGAIN) => {}
            opened => return opened,
        }
    }
}

/// What a worker should never have asked for.
const OUTSIDE: (Step, Errno) = (Step::Place, Errno::ACCESS);

/// An error of opening; a link that may not be followed leads out of the place.
fn outside(errno: Errno) -> (Step, Errno) {
    match errno {
        Errno::XDEV | Errno::LOOP => (Step::Place, errno),
        errno => (Step::Open, errno),
    }
}

fn full_name(root: &[u8], below: &[u8]) -> Result<CString, (Step, Errno)> {
    // With room for a slash and for the end.
    let mut full = Vec::with_capacity(root.len() + below.len() + 2);
    full.extend_from_slice(root);
    if full.last() != Some(&b'/') {
        full.push(b'/');
    }
    full.extend_from_slice(below);
    CString::new(full).map_err(|_| (Step::Place, Errno::INVAL))
}

impl Found {
    /// A regular file.
    fn judged(path: CString, directory: OwnedFd, file: OwnedFd) -> Result<Found, (Step, Errno)> {
        let status = rustix::fs::fstat(&file).map_err(|errno| (Step::Open, errno))?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Err((Step::Kind, Errno::ACCESS));
        }
        Ok(Found {
            path,
            directory,
            file,
            mode: status.st_mode,
        })
    }

    /// One that somebody may execute.
    pub(super) fn executable(self) -> Result<Found, (Step, Errno)> {
        if self.mode & 0o111 == 0 {
            return Err((Step::Executable, Errno::ACCESS));
        }
        Ok(self)
    }

    /// The name of the directory it is in.
    pub(super) fn directory_name(&self) -> &[u8] {
        let path = self.path.as_bytes();
        match path.iter().rposition(|byte| *byte == b'/') {
            None | Some(0) => b"/",
            Some(slash) => path.get(..slash).unwrap_or_default(),
        }
    }

    /// Its name in that directory.
    pub(super) fn name(&self) -> &[u8] {
        let path = self.path.as_bytes();
        let slash = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        path.get(slash..).unwrap_or_default()
    }

    /// The file itself.
    pub(super) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Its first line with its end, at most 256 bytes of it; empty when it cannot be read, or when we are root and the worker
    /// could perhaps not read it.
    pub(super) fn first_line(&self) -> Vec<u8> {
        if Identity::process_is_root() && !rustix::fs::fstat(&self.file).is_ok_and(|found| found.st_mode & 0o004 != 0) {
            return Vec::new();
        }
        let mut start = [0_u8; 256];
        // Through /proc, since a descriptor opened with O_PATH cannot be read; where there is no /proc, the name does.
        let number = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&self.file.as_fd()));
        let opened = File::open(number).and_then(|mut file| file.read(&mut start));
        let read = start.get(..opened.unwrap_or(0)).unwrap_or_default();
        let end = read
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(read.len(), |newline| newline + 1);
        read.get(..end).unwrap_or_default().to_vec()
    }
}

/// The directory to start from and the name below it; `None` for a name that could lead out.
fn split<'a>(place: &'a ScriptPlace, path: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    if !path.is_empty() {
        let clean = path
            .split(|byte| *byte == b'/')
            .all(|part| !matches!(part, b"" | b"." | b".."));
        return (clean && !path.contains(&0)).then_some((&place.root, path));
    }
    let slash = place.root.iter().rposition(|byte| *byte == b'/')?;
    let (directory, name) = place.root.split_at_checked(slash)?;
    let name = name.get(1..).filter(|name| !name.is_empty())?;
    Some((if directory.is_empty() { b"/" } else { directory }, name))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    use rustix::io::Errno;

    use super::{Found, find, find_in};
    use crate::config::load::load_text;
    use crate::config::site::{ScriptLinks, ScriptPlace, Site};
    use crate::process::child::Step;

    type Refused = Option<(Step, Errno)>;

    fn tree(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("lychgate-place-{name}-{}", std::process::id()));
        fs::create_dir_all(root.join("bin/sub")).expect("there is room");
        for (name, mode) in [
            ("bin/a.cgi", 0o755),
            ("bin/sub/b.cgi", 0o755),
            ("bin/plain.txt", 0o644),
            ("out.cgi", 0o755),
        ] {
            fs::write(root.join(name), "#!/bin/sh\r\necho\n").expect("there is room");
            fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).expect("ours");
        }
        symlink("../out.cgi", root.join("bin/outside")).expect("there is room");
        symlink("sub/b.cgi", root.join("bin/inside")).expect("there is room");
        symlink("/proc/self/exe", root.join("bin/magic")).expect("there is room");
        root
    }

    #[test]
    fn files_are_found_below_their_place_only() {
        let root = tree("below");
        let (yes, place, open) = (
            None,
            Some((Step::Place, Errno::ACCESS)),
            Some((Step::Open, Errno::NOENT)),
        );
        let xdev = Some((Step::Place, Errno::XDEV));
        let cases: &[(&str, Refused, Refused)] = &[
            // path, under Beneath, under Follow
            ("a.cgi", yes, yes),
            ("sub/b.cgi", yes, yes),
            ("inside", yes, yes),
            ("outside", xdev, yes),
            ("../out.cgi", place, place),
            ("sub/../a.cgi", place, place),
            ("/bin/sh", place, place),
            ("sub//b.cgi", place, place),
            ("./a.cgi", place, place),
            ("a.cgi/", place, place),
            ("", Some((Step::Kind, Errno::ACCESS)), Some((Step::Kind, Errno::ACCESS))),
            ("a\0b", place, place),
            ("nope", open, open),
            (
                "a.cgi/x",
                Some((Step::Open, Errno::NOTDIR)),
                Some((Step::Open, Errno::NOTDIR)),
            ),
            (
                "sub",
                Some((Step::Kind, Errno::ACCESS)),
                Some((Step::Kind, Errno::ACCESS)),
            ),
            (
                "plain.txt",
                Some((Step::Executable, Errno::ACCESS)),
                Some((Step::Executable, Errno::ACCESS)),
            ),
        ];
        for (path, beneath, follow) in cases {
            for (links, expected) in [(ScriptLinks::Beneath, beneath), (ScriptLinks::Follow, follow)] {
                let place = ScriptPlace {
                    site: 0,
                    root: root.join("bin").as_os_str().as_bytes().to_vec(),
                    links,
                };
                let found = find(&place, path.as_bytes()).and_then(Found::executable);
                assert_eq!(found.err(), *expected, "{path} {links:?}");
            }
        }
        fs::remove_dir_all(root).expect("ours");
    }

    #[test]
    fn a_place_may_be_one_file() {
        let root = tree("file");
        let file = root.join("out.cgi").as_os_str().as_bytes().to_vec();
        let place = ScriptPlace {
            site: 0,
            root: file.clone(),
            links: ScriptLinks::Beneath,
        };
        let found = find(&place, b"").expect("it is there");
        assert_eq!(found.path.as_bytes(), file);
        assert_eq!(found.first_line(), b"#!/bin/sh\r\n");
        assert_eq!(find(&place, b"bin/a.cgi").err(), Some((Step::Open, Errno::NOTDIR)));
        fs::remove_dir_all(root).expect("ours");
    }

    /// A site with these options in all directories, and a place of it.
    fn site(root: &Path, options: &str) -> (Site, ScriptPlace) {
        let text = format!("<Directory />\nOptions {options}\n</Directory>\n");
        let mut config = load_text("a.conf", text.as_bytes(), Path::new("/")).config;
        let place = ScriptPlace {
            site: 0,
            root: root.join("bin").as_os_str().as_bytes().to_vec(),
            links: ScriptLinks::Beneath,
        };
        (config.sites.swap_remove(0), place)
    }

    /// A program that belongs to another user than a link of ours.
    fn of_another(root: &Path) -> PathBuf {
        if !rustix::process::geteuid().is_root() {
            return "/bin/sh".into();
        }
        let file = root.join("another.cgi");
        fs::write(&file, "#!/bin/sh\n").expect("there is room");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("ours");
        std::os::unix::fs::chown(&file, Some(65534), None).expect("we are root");
        file
    }

    #[test]
    fn a_link_is_judged_by_the_directory_it_lies_in() {
        let root = tree("links");
        symlink(of_another(&root), root.join("bin/another")).expect("there is room");
        symlink("sub", root.join("bin/directory")).expect("there is room");
        let (yes, link) = (None, Some((Step::Place, Errno::LOOP)));
        let cases: &[(&str, Refused, Refused, Refused)] = &[
            // path, under FollowSymLinks, SymLinksIfOwnerMatch, neither
            ("a.cgi", yes, yes, yes),
            ("sub/b.cgi", yes, yes, yes),
            ("inside", yes, yes, link),
            ("outside", yes, yes, link),
            ("directory/b.cgi", yes, yes, link),
            ("another", yes, link, link),
            ("magic", link, link, link),
        ];
        for (path, follow, owner, neither) in cases {
            for (options, expected) in [
                ("FollowSymLinks", follow),
                ("SymLinksIfOwnerMatch", owner),
                ("None", neither),
            ] {
                let (site, place) = site(&root, options);
                assert_eq!(
                    find_in(&site, &place, path.as_bytes()).err(),
                    *expected,
                    "{path} {options}"
                );
            }
        }
        let (site, place) = site(&root, "SymLinksIfOwnerMatch");
        let found = find_in(&site, &place, b"sub/b.cgi").expect("it is there");
        assert_eq!(found.path.as_bytes(), root.join("bin/sub/b.cgi").as_os_str().as_bytes());
        let directory = rustix::fs::fstat(&found.directory).expect("it is open").st_ino;
        assert_eq!(
            directory,
            fs::metadata(root.join("bin/sub")).expect("it is there").ino()
        );
        assert_eq!(
            find_in(&site, &place, b"../out.cgi").err(),
            Some((Step::Place, Errno::ACCESS))
        );
        fs::remove_dir_all(root).expect("ours");
    }

    #[test]
    fn a_name_that_changes_between_file_and_link_never_gives_the_file_of_another() {
        let root = tree("race");
        let another = of_another(&root);
        let owner = fs::metadata(&another).expect("it is there").uid();
        let (site, place) = site(&root, "SymLinksIfOwnerMatch");
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (new, name) = (root.join("bin/new"), root.join("bin/a.cgi"));
                while !over.load(Ordering::Relaxed) {
                    symlink(&another, &new).expect("there is room");
                    fs::rename(&new, &name).expect("ours");
                    symlink("sub/b.cgi", &new).expect("there is room");
                    fs::rename(&new, &name).expect("ours");
                }
            });
            let until = Instant::now() + Duration::from_secs(20);
            let (mut asked, mut found) = (0, 0);
            while (asked < 5000 || found == 0) && Instant::now() < until {
                asked += 1;
                if let Ok(file) = find_in(&site, &place, b"a.cgi") {
                    found += 1;
                    assert_ne!(rustix::fs::fstat(&file.file).expect("it is open").st_uid, owner);
                }
            }
            over.store(true, Ordering::Relaxed);
            assert!(found > 0);
        });
        fs::remove_dir_all(root).expect("ours");
    }
}
