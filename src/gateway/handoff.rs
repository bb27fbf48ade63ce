//! What is said on the way of a connection to a service that takes it over, and on its way back (lychgate-handoff(7)).
//!
//! The service says [`READY`]; then it gets the connection's descriptor with [`message`]; should it give the connection back,
//! it sends the descriptor with what [`back`] reads.

use std::net::SocketAddr;

/// What a service says that can take a connection.
pub const READY: &[u8] = b"HANDOFF/1\n";

/// So many bytes of a connection a service may have read and give back at most. No directive moves it: a service that reads
/// no further than the end of its request needs none of them.
pub const MOST_BACK: usize = 64 * 1024;

/// What a service is told of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Who the client is, as RemoteIP and the PROXY protocol have it.
    pub client: SocketAddr,
    /// Our end.
    pub local: SocketAddr,
    /// The site's name.
    pub site: Vec<u8>,
    /// The path that the settings have made of the request's, and its query.
    pub url: Vec<u8>,
    /// The user, where one was asked for.
    pub user: Option<Vec<u8>>,
    /// The request's name in our logs.
    pub id: [u8; 24],
}

/// What goes with the descriptor: the number of bytes that were read of the connection, fields, an empty line and those
/// bytes, which are `read` and `behind`.
pub fn message(about: &About, read: &[u8], behind: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + read.len() + behind.len());
    out.extend_from_slice(format!("HANDOFF/1 {}\n", read.len() + behind.len()).as_bytes());
    out.extend_from_slice(format!("Client: {}\nLocal: {}\n", about.client, about.local).as_bytes());
    field(&mut out, b"Site", &about.site, Percent::Escaped);
    field(&mut out, b"Url", &about.url, Percent::AsIs);
    if let Some(user) = &about.user {
        field(&mut out, b"User", user, Percent::Escaped);
    }
    field(&mut out, b"Id", &about.id, Percent::Escaped);
    out.push(b'\n');
    out.extend_from_slice(read);
    out.extend_from_slice(behind);
    out
}

/// What becomes of percent signs in a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Percent {
    /// It is escaped already.
    AsIs,
    Escaped,
}

fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8], percent: Percent) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    for byte in value {
        match byte {
            b'%' if percent == Percent::Escaped => out.extend_from_slice(b"%25"),
            0x21..=0x7e => out.push(*byte),
            odd => out.extend_from_slice(format!("%{odd:02X}").as_bytes()),
        }
    }
    out.push(b'\n');
}

/// What a service says is not how a connection comes back; in words that follow `it`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotBack {
    /// It is something else.
    OutOfPlace,
    /// More than [`MOST_BACK`].
    TooMuch,
}

impl NotBack {
    /// What it did.
    pub fn words(self) -> &'static str {
        match self {
            NotBack::OutOfPlace => "said what is not the protocol",
            NotBack::TooMuch => "gave back more than 65536 bytes with the connection",
        }
    }
}

/// Reads what a service gives back: where the bytes begin that it has read of the connection and not used, and where they
/// end; `None` until all are there.
pub fn back(input: &[u8]) -> Result<Option<std::ops::Range<usize>>, NotBack> {
    const WORD: &[u8] = b"BACK ";
    let known = input.len().min(WORD.len());
    if input.get(..known) != WORD.get(..known) {
        return Err(NotBack::OutOfPlace);
    }
    let Some(number) = input.get(WORD.len()..) else {
        return Ok(None);
    };
    let mut length: usize = 0;
    for (at, byte) in number.iter().enumerate() {
        match byte {
            b'0'..=b'9' if at < 8 => length = length * 10 + usize::from(byte - b'0'),
            b'\n' if at > 0 && length > MOST_BACK => return Err(NotBack::TooMuch),
            b'\n' if at > 0 => {
                let start = WORD.len() + at + 1;
                let end = start + length;
                return match input.len() {
                    there if there > end => Err(NotBack::OutOfPlace),
                    there if there == end => Ok(Some(start..end)),
                    _ => Ok(None),
                };
            }
            _ => return Err(NotBack::OutOfPlace),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::{About, NotBack, back, message};

    fn about() -> About {
        About {
            client: "192.0.2.1:4711".parse().expect("an address"),
            local: "[::1]:80".parse().expect("an address"),
            site: b"www.example".to_vec(),
            url: b"/a%20b?x=1".to_vec(),
            user: None,
            id: *b"aaaaaaaaaaaaaaaaaaaaaaaa",
        }
    }

    #[test]
    fn a_service_is_told_whose_connection_it_gets_and_what_was_read_of_it() {
        let told = message(&about(), b"GET / HTTP/1.1\r\n\r\n", b"rest");
        let expected = "HANDOFF/1 22\nClient: 192.0.2.1:4711\nLocal: [::1]:80\nSite: www.example\nUrl: /a%20b?x=1\n\
                        Id: aaaaaaaaaaaaaaaaaaaaaaaa\n\nGET / HTTP/1.1\r\n\r\nrest";
        assert_eq!(String::from_utf8_lossy(&told), expected);
    }

    #[test]
    fn no_value_makes_a_line_of_its_own() {
        let mut about = about();
        about.user = Some(b"a\nUser: root %\xe9".to_vec());
        about.url = b"/x\ny".to_vec();
        let told = message(&about, b"", b"");
        let told = String::from_utf8_lossy(&told);
        assert!(told.contains("\nUser: a%0AUser:%20root%20%25%E9\n"), "{told}");
        assert!(told.contains("\nUrl: /x%0Ay\n"), "{told}");
    }

    #[test]
    fn a_connection_comes_back_with_the_bytes_that_its_service_has_left() {
        let whole = b"BACK 18\nGET / HTTP/1.1\r\n\r\n";
        for cut in 0..whole.len() {
            assert_eq!(back(&whole[..cut]), Ok(None), "{cut}");
        }
        assert_eq!(back(whole), Ok(Some(8..whole.len())));
        assert_eq!(back(b"BACK 0\n"), Ok(Some(7..7)));
    }

    #[test]
    fn what_is_not_the_protocol_is_seen_at_its_first_wrong_byte() {
        for (said, why) in [
            (&b"back"[..], NotBack::OutOfPlace),
            (b"BACK\n", NotBack::OutOfPlace),
            (b"BACK \n", NotBack::OutOfPlace),
            (b"BACK -1\n", NotBack::OutOfPlace),
            (b"BACK 1x", NotBack::OutOfPlace),
            (b"BACK 0\nx", NotBack::OutOfPlace),
            (b"BACK 123456789", NotBack::OutOfPlace),
            (b"BACK 65537\n", NotBack::TooMuch),
            (b"BACK 99999999\n", NotBack::TooMuch),
        ] {
            assert_eq!(back(said), Err(why), "{}", said.escape_ascii());
        }
    }
}
