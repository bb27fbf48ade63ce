//! Finding a script below its place: opened before it is judged, never outside.

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::config::site::{ScriptLinks, ScriptPlace};
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
}

/// Finds the file `path` (no leading slash; empty for a place that is one file) below its place.
pub(super) fn find(place: &ScriptPlace, path: &[u8]) -> Result<Found, (Step, Errno)> {
    let open = |step| move |errno| (step, errno);
    let (root, below) = split(place, path).ok_or((Step::Place, Errno::ACCESS))?;
    let mut full = root.to_vec();
    if full.last() != Some(&b'/') {
        full.push(b'/');
    }
    full.extend_from_slice(below);
    let full = CString::new(full).map_err(|_| (Step::Place, Errno::INVAL))?;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, root, flags | OFlags::DIRECTORY, Mode::empty()).map_err(open(Step::Open))?;
    let resolve = ResolveFlags::NO_MAGICLINKS
        | match place.links {
            ScriptLinks::Follow => ResolveFlags::empty(),
            ScriptLinks::Beneath => ResolveFlags::BENEATH,
        };
    let outside = |errno| {
        if errno == Errno::XDEV {
            (Step::Place, errno)
        } else {
            (Step::Open, errno)
        }
    };
    let file = rustix::fs::openat2(&root, below, flags, Mode::empty(), resolve).map_err(outside)?;
    let directory = match below.iter().rposition(|byte| *byte == b'/') {
        None => root,
        Some(slash) => {
            let directory = below.get(..slash).unwrap_or_default();
            rustix::fs::openat2(&root, directory, flags | OFlags::DIRECTORY, Mode::empty(), resolve).map_err(outside)?
        }
    };
    let status = rustix::fs::fstat(&file).map_err(open(Step::Open))?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Err((Step::Kind, Errno::ACCESS));
    }
    if status.st_mode & 0o111 == 0 {
        return Err((Step::Executable, Errno::ACCESS));
    }
    Ok(Found {
        path: full,
        directory,
        file,
    })
}

impl Found {
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
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use rustix::io::Errno;

    use super::find;
    use crate::config::site::{ScriptLinks, ScriptPlace};
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
                assert_eq!(find(&place, path.as_bytes()).err(), *expected, "{path} {links:?}");
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
}
