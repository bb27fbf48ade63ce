//! Requests told in a frame, held against the same requests told without one.

use std::net::IpAddr;

use crate::gateway::fastcgi::params;
use crate::gateway::frame::{Frame, Occasion, append_address};
use crate::gateway::meta_vars::MetaVars;
use crate::gateway::meta_vars::tests::plain;
use crate::gateway::request::Credentials;

type Field = (&'static [u8], &'static [u8]);

/// The pairs of a request with these fields without a frame, and in the frame of a request without any.
fn both(fields: &[Field], credentials: Credentials) -> (Vec<u8>, Option<Vec<u8>>) {
    let mut bare = plain();
    bare.credentials = credentials;
    let frame = Frame::of(&MetaVars::of(&bare), credentials, params::append);
    let mut whole = bare.clone();
    whole.fields = fields.to_vec();
    whole.content_type = fields
        .iter()
        .find(|(name, _)| *name == b"Content-Type")
        .map(|(_, value)| *value);
    whole.peer = "192.0.2.7:4711".parse().expect("an address");
    whole.unique_id = Some(b"another");
    let (mut long, mut short) = (Vec::new(), Vec::new());
    for (name, value) in MetaVars::of(&whole).iter() {
        assert!(params::append(&mut long, name, value));
    }
    let occasion = Occasion {
        peer: whole.peer,
        unique_id: b"another",
    };
    let fits = frame.append(&mut short, fields.iter().copied(), &occasion);
    (long, fits.then_some(short))
}

#[test]
fn requests_are_told_in_a_frame_as_without_one() {
    let long = vec![b'x'; 300].leak();
    let sets: [&[Field]; 6] = [
        &[],
        &[(b"Host", b"a"), (b"User-Agent", b"curl"), (b"Accept", b"*/*")],
        &[
            (b"X_Odd", b"1"),
            (b"", b"1"),
            (b"Proxy", b"http://evil"),
            (b"Accept", b"*/*"),
        ],
        &[(b"Content-Type", b"text/plain"), (b"Z", b""), (b"A", b"1")],
        &[
            (b"Authorization", b"Basic x"),
            (b"Proxy-Authorization", b"y"),
            (b"Nul", b"a\0b"),
        ],
        &[(b"Cookie", long)],
    ];
    for fields in sets {
        for credentials in [Credentials::Withheld, Credentials::Passed] {
            let (long, short) = both(fields, credentials);
            assert_eq!(short.expect("they fit"), long, "{fields:?} {credentials:?}");
        }
    }
}

#[test]
fn fields_of_one_variable_do_not_fit() {
    let (_, short) = both(&[(b"Cookie", b"a=1"), (b"cookie", b"b=2")], Credentials::Withheld);
    assert_eq!(short, None);
}

#[test]
fn addresses_are_written_as_they_are_shown() {
    for shown in ["0.0.0.0", "192.0.2.7", "255.255.255.255", "::1", "2001:db8::7"] {
        let ip: IpAddr = shown.parse().expect("an address");
        let mut written = Vec::new();
        append_address(&mut written, ip);
        assert_eq!(String::from_utf8_lossy(&written), shown);
    }
    let mut written = Vec::new();
    append_address(&mut written, "::ffff:192.0.2.7".parse().expect("an address"));
    assert_eq!(String::from_utf8_lossy(&written), "192.0.2.7");
}
