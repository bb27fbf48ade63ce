//! ASCII as the protocols use it: tokens, optional white space, numbers (RFC 9110 §5.6), addresses.

use std::net::Ipv4Addr;

/// Whether two byte strings are equal but for the case of ASCII letters.
pub fn eq_ignore_case(left: &[u8], right: &[u8]) -> bool {
    left.eq_ignore_ascii_case(right)
}

/// Whether `text` starts with `prefix`, ASCII letters of either case being equal.
pub fn starts_with_ignore_case(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

/// `text` without spaces and tabs at its ends (OWS, RFC 9110 §5.6.3).
pub fn trim_ows(text: &[u8]) -> &[u8] {
    let mut rest = text;
    while let [b' ' | b'\t', tail @ ..] = rest {
        rest = tail;
    }
    while let [head @ .., b' ' | b'\t'] = rest {
        rest = head;
    }
    rest
}

/// Whether `byte` may stand in a token (tchar, RFC 9110 §5.6.2).
pub const fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

const TCHARS: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = is_tchar(byte);
        byte += 1;
    }
    table
};

/// Whether `text` is one token: not empty, all tchar.
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| TCHARS[usize::from(*byte)])
}

/// The value of a hexadecimal digit of either case.
pub const fn hex_value(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// The number that `text` spells in decimal digits and nothing else; none when empty, odd or over 64 bits.
pub fn parse_decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, byte| match byte {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

/// The two digits of each number below a hundred.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n as usize] = [b'0' + n / 10, b'0' + n % 10];
        n += 1;
    }
    pairs
};

/// Appends `number` in decimal digits: four of them together, as most numbers have no more.
pub fn append_decimal(out: &mut Vec<u8>, number: u64) {
    if let Ok(number @ ..10_000) = u16::try_from(number) {
        let zeros = 3 - usize::from(number > 9) - usize::from(number > 99) - usize::from(number > 999);
        let digits = u32::from_le_bytes(four_digits(number)) >> (8 * zeros);
        let end = out.len() + 4 - zeros;
        out.extend_from_slice(&digits.to_le_bytes());
        out.truncate(end);
    } else {
        append_decimal(out, number / 10_000);
        out.extend_from_slice(&four_digits((number % 10_000) as u16));
    }
}

/// The digits of a number below ten thousand, with zeros before it.
fn four_digits(number: u16) -> [u8; 4] {
    let [a, b] = PAIRS[usize::from(number / 100 % 100)];
    let [c, d] = PAIRS[usize::from(number % 100)];
    [a, b, c, d]
}

/// How an octet of an address is written, with a point behind it, and how long that is.
const OCTETS: [([u8; 4], u8); 256] = {
    let mut octets = [([b'.'; 4], 2); 256];
    let mut octet = 0_u8;
    loop {
        let (hundreds, tens, ones) = (b'0' + octet / 100, b'0' + octet / 10 % 10, b'0' + octet % 10);
        octets[octet as usize] = match octet {
            100.. => ([hundreds, tens, ones, b'.'], 4),
            10.. => ([tens, ones, b'.', b'.'], 3),
            _ => ([ones, b'.', b'.', b'.'], 2),
        };
        if octet == u8::MAX {
            break;
        }
        octet += 1;
    }
    octets
};

/// Appends an IPv4 address as it is written; the standard library's way takes five times as long.
pub fn append_ipv4(out: &mut Vec<u8>, address: Ipv4Addr) {
    let (mut text, mut end) = ([b'.'; 16], 0);
    for octet in address.octets() {
        let (digits, length) = OCTETS[usize::from(octet)];
        text[end..end + 4].copy_from_slice(&digits);
        end += usize::from(length);
    }
    let end = out.len() + end - 1;
    out.extend_from_slice(&text);
    out.truncate(end);
}

/// Appends `number` in lower-case hexadecimal digits.
pub fn append_hex(out: &mut Vec<u8>, number: u64) {
    let width = (64 - number.leading_zeros()).div_ceil(4).max(1);
    for place in (0..width).rev() {
        out.push(DIGITS[((number >> (place * 4)) & 15) as usize]);
    }
}

/// Appends the two lower-case hexadecimal digits of `byte`.
pub fn append_hex_byte(out: &mut Vec<u8>, byte: u8) {
    out.push(DIGITS[usize::from(byte >> 4)]);
    out.push(DIGITS[usize::from(byte & 15)]);
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::{
        append_decimal, append_hex, eq_ignore_case, is_token, parse_decimal, starts_with_ignore_case, trim_ows,
    };

    #[test]
    fn numbers_are_written_and_read() {
        for (number, decimal, hex) in [
            (0, "0", "0"),
            (9, "9", "9"),
            (10, "10", "a"),
            (255, "255", "ff"),
            (999, "999", "3e7"),
            (1000, "1000", "3e8"),
            (9999, "9999", "270f"),
            (10_000, "10000", "2710"),
            (65_536, "65536", "10000"),
            (100_200_003, "100200003", "5f8ee43"),
            (u64::MAX, "18446744073709551615", "ffffffffffffffff"),
        ] {
            let mut out = Vec::new();
            append_decimal(&mut out, number);
            assert_eq!(out, decimal.as_bytes());
            assert_eq!(parse_decimal(&out), Some(number));
            out.clear();
            append_hex(&mut out, number);
            assert_eq!(out, hex.as_bytes());
        }
    }

    #[test]
    fn what_is_not_a_plain_number_is_none() {
        for text in ["", "+1", "-1", " 1", "1 ", "0x1", "1,1", "18446744073709551616", "1.0"] {
            assert_eq!(parse_decimal(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn tokens_and_white_space() {
        assert!(is_token(b"X-Auth_1.5~"));
        for text in ["", "a b", "a:", "caf\u{e9}", "a\"", "(x)", "a/b", "a\0"] {
            assert!(!is_token(text.as_bytes()), "{text}");
        }
        assert_eq!(trim_ows(b" \t a b\t "), b"a b");
        assert_eq!(trim_ows(b" \t "), b"");
        assert_eq!(trim_ows(b"\x0ba"), b"\x0ba");
        assert!(eq_ignore_case(b"Host", b"hOST"));
        assert!(starts_with_ignore_case(b"BYTES=0-", b"bytes="));
        assert!(!starts_with_ignore_case(b"byte", b"bytes="));
    }
}
