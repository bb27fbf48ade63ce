//! How log lines write bytes that could forge or break a line.

/// Appends `text` as the access log has it (`ap_escape_logitem`): quote and backslash with a backslash, the usual
/// control characters as in C, all other control bytes and bytes beyond ASCII as `\xhh`.
pub fn access(text: &[u8], out: &mut Vec<u8>) {
    escape(text, out, Quote::Escaped);
}

/// Appends `text` as the error log has it (`ap_escape_errorlog_item`): as [`access`], but quotes are plain.
pub fn error(text: &[u8], out: &mut Vec<u8>) {
    escape(text, out, Quote::Plain);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    Escaped,
    Plain,
}

fn escape(text: &[u8], out: &mut Vec<u8>, quote: Quote) {
    let mut rest = text;
    while !rest.is_empty() {
        let plain = rest
            .iter()
            .position(|byte| !is_plain(*byte, quote))
            .unwrap_or(rest.len());
        let (head, tail) = rest.split_at(plain);
        out.extend_from_slice(head);
        let Some((&byte, after)) = tail.split_first() else {
            return;
        };
        special(byte, out);
        rest = after;
    }
}

fn is_plain(byte: u8, quote: Quote) -> bool {
    match byte {
        b'\\' => false,
        b'"' => quote == Quote::Plain,
        b' '..=b'~' => true,
        _ => false,
    }
}

fn special(byte: u8, out: &mut Vec<u8>) {
    let letter = match byte {
        0x08 => b'b',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x0b => b'v',
        b'\\' | b'"' => byte,
        _ => {
            out.extend_from_slice(&[b'\\', b'x', hex(byte >> 4), hex(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

/// The digit of a value below 16.
pub(super) fn hex(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}
