//! The files of a case: made before the server starts, and removable when all is over.

use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::Player;
use crate::support::case::{FileItem, FileKind};
use crate::support::server;

impl Player {
    pub(super) fn make(&self, item: &FileItem) -> Result<(), String> {
        let path = self.root.join(&item.name);
        match &item.kind {
            FileKind::Text { lines, crlf } => {
                let text = self.fill(lines);
                let text = if *crlf { text.replace('\n', "\r\n") } else { text };
                server::write(&path, text.as_bytes())
            }
            FileKind::Sized(size) => {
                let bytes: Vec<u8> = (b'a'..=b'z').cycle().take(*size).collect();
                server::write(&path, &bytes)
            }
            FileKind::Directory => fs::create_dir_all(&path).map_err(|e| e.to_string()),
            FileKind::Link(target) => {
                let parent = path.parent().unwrap_or(&path);
                let made =
                    fs::create_dir_all(parent).and_then(|()| std::os::unix::fs::symlink(self.fill(target), &path));
                made.map_err(|e| e.to_string())
            }
            FileKind::Fifo => {
                let mode = rustix::fs::Mode::from_raw_mode(0o644);
                rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0)
                    .map_err(|e| e.to_string())
            }
            FileKind::Existing => Ok(()),
        }
    }

    /// Owner, time and mode, when all files are there and handed over.
    pub(super) fn finish(&self, item: &FileItem) -> Result<(), String> {
        let path = self.root.join(&item.name);
        let told = |e: std::io::Error| format!("{}: {e}", path.display());
        if item.owner.is_some() {
            std::os::unix::fs::lchown(&path, item.owner, item.owner).map_err(told)?;
        }
        if let Some(seconds) = item.mtime {
            let file = fs::File::open(&path).map_err(told)?;
            file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds))
                .map_err(told)?;
        }
        item.mode.map_or(Ok(()), |mode| server::set_mode(&path, mode))
    }
}

/// Makes everything removable again for a user who is not root.
pub(super) fn open_up(path: &Path) {
    if path.is_dir() && !path.is_symlink() {
        let _told_by_removal = server::set_mode(path, 0o755);
        for entry in fs::read_dir(path).into_iter().flatten().filter_map(Result::ok) {
            open_up(&entry.path());
        }
    }
}
