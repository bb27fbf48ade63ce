//! The bytes of a connection behind its handshake: records in and out, without waiting.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, IoSlice, Read, Write};

use tokio_rustls::rustls::{ClientConnection, Connection, ServerConnection};

/// So many bytes may wait for room in encrypted form; what is handed over beyond that is not taken.
const WAITING: usize = 64 * 1024;

/// What reads from and writes to the socket below, without waiting.
pub trait Below {
    /// Reads what is there; 0 is the end.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes what there is room for, from several pieces.
    fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize>;
}

/// The state of a connection's TLS.
pub struct Session {
    connection: RefCell<Connection>,
    /// Bytes wait here that the socket below knows nothing of.
    has_plaintext: Cell<bool>,
    unannounced: Unannounced,
}

/// What a connection is that ends without a word of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unannounced {
    /// It has ended: what is within tells its own end.
    End,
    /// It is cut.
    Cut,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

struct Socket<'a, B>(&'a B);

impl<B: Below> Read for Socket<'_, B> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<B: Below> Write for Socket<'_, B> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn push(connection: &mut Connection, below: &impl Below) -> io::Result<()> {
    while connection.wants_write() {
        match connection.write_tls(&mut Socket(below)) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Session {
    /// Goes on behind a handshake.
    pub fn new(mut connection: ServerConnection) -> Session {
        connection.set_buffer_limit(Some(WAITING));
        Session {
            // Whether something came with the last of the handshake is found out by the first read.
            has_plaintext: Cell::new(true),
            connection: RefCell::new(connection.into()),
            unannounced: Unannounced::End,
        }
    }

    /// Begins with a server behind, whose handshake is still to come.
    pub(super) fn with_server(mut connection: ClientConnection) -> Session {
        connection.set_buffer_limit(Some(WAITING));
        Session {
            has_plaintext: Cell::new(true),
            connection: RefCell::new(connection.into()),
            unannounced: Unannounced::Cut,
        }
    }

    /// Goes on with the handshake; an error of the kind `WouldBlock` when that is not its end.
    pub fn try_agree(&self, below: &impl Below) -> io::Result<()> {
        let mut connection = self.connection.borrow_mut();
        loop {
            push(&mut connection, below)?;
            if !connection.is_handshaking() {
                return Ok(());
            }
            if connection.read_tls(&mut Socket(below))? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Err(error) = connection.process_new_packets() {
                // As below.
                let _unsent = push(&mut connection, below);
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
    }

    /// Whether something waits to be sent.
    pub fn wants_to_send(&self) -> bool {
        self.connection.borrow().wants_write()
    }

    /// Whether bytes can be read although the socket below has none.
    pub fn has_plaintext(&self) -> bool {
        self.has_plaintext.get()
    }

    /// Reads what is there into `buffer`; 0 is the end. A connection that ends without a word of it ends so too: what is
    /// within tells its own end.
    pub fn try_read(&self, below: &impl Below, buffer: &mut [u8]) -> io::Result<usize> {
        let mut connection = self.connection.borrow_mut();
        loop {
            match connection.reader().read(buffer) {
                Ok(count) => {
                    self.has_plaintext.set(count == buffer.len());
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.unannounced == Unannounced::End => {
                    return Ok(0);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.has_plaintext.set(false),
                Err(error) => return Err(error),
            }
            connection.read_tls(&mut Socket(below))?;
            if let Err(error) = connection.process_new_packets() {
                // The alert that says what is wrong; one that cannot be sent at once is not.
                let _unsent = push(&mut connection, below);
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            // What TLS itself has to say goes out with what is written next, if it does not now. Of a peer that reads no more,
            // what it has said before is still of use.
            let _unsent = push(&mut connection, below);
        }
    }

    /// Takes of `pieces` what there is room for; how much. Of that, some may wait still: see [`Session::try_push`].
    pub fn try_write(&self, below: &impl Below, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut connection = self.connection.borrow_mut();
        push(&mut connection, below)?;
        let count = connection.writer().write_vectored(pieces)?;
        match push(&mut connection, below) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(count),
        }
    }

    /// Sends what waits; an error of the kind `WouldBlock` when that is not all.
    pub fn try_push(&self, below: &impl Below) -> io::Result<()> {
        push(&mut self.connection.borrow_mut(), below)
    }

    /// Says that no more comes.
    pub fn end(&self, below: &impl Below) {
        let mut connection = self.connection.borrow_mut();
        connection.send_close_notify();
        // Who does not read any more is not told.
        let _unsent = push(&mut connection, below);
    }
}
