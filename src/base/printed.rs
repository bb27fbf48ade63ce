//! What is printed for people, who need not read it to its end.

use std::io;

/// The outcome of printing: whoever has read enough and has gone, as `head` does, has missed nothing.
pub fn printed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};

    use super::printed;

    #[test]
    fn who_has_gone_is_no_error_and_a_full_disk_is_one() {
        let (reader, mut writer) = io::pipe().expect("descriptors are free");
        drop(reader);
        assert!(writer.write_all(b"x").is_err());
        assert!(printed(writer.write_all(b"x")).is_ok());
        assert!(printed(Err(io::ErrorKind::StorageFull.into())).is_err());
        assert!(printed(Ok(())).is_ok());
    }
}
