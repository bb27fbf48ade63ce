//! `/dev/null`: what roles and children have for a standard descriptor that is nobody's.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};

const PATH: &str = "/dev/null";

/// Opens it to be read and written. A machine may lack it or keep it from us, so the error names it.
pub fn open() -> io::Result<OwnedFd> {
    at(PATH)
}

fn at(path: &str) -> io::Result<OwnedFd> {
    rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).map_err(|errno| {
        let error = io::Error::from(errno);
        io::Error::new(error.kind(), format!("{path}: {error}"))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        assert!(super::open().is_ok());
        let error = super::at("/nonexistent/null").expect_err("nothing is there");
        assert_eq!(
            error.to_string(),
            "/nonexistent/null: No such file or directory (os error 2)"
        );
    }
}
