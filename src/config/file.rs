//! Reading a configuration's files, whatever they turn out to be.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// More than this is no configuration; no directive moves it.
const MOST: u64 = 64 * 1024 * 1024;

/// The whole of a file. A FIFO is not waited for, and a device that never ends is refused; `/dev/null` is empty.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    let mut text = Vec::new();
    file.take(MOST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MOST {
        return Err(io::Error::other("the file is larger than 64 MiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn files_without_an_end_are_refused() {
        assert_eq!(super::read(Path::new("/dev/null")).expect("it is there"), b"");
        assert!(super::read(Path::new("/dev/zero")).is_err());
        let fifo = std::env::temp_dir().join(format!("lychgate-fifo-{}", std::process::id()));
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a name of our own");
        assert_eq!(super::read(&fifo).expect("nobody writes to it"), b"");
        std::fs::remove_file(fifo).expect("ours");
    }
}
