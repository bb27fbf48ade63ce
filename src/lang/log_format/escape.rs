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
    if is_all_plain(text, quote) {
        return out.extend_from_slice(text);
    }
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

/// Whether nothing of it is to be escaped, as nothing is of most texts: eight bytes are looked at together.
fn is_all_plain(text: &[u8], quote: Quote) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let mut last = [b' '; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    words
        .iter()
        .chain([&last])
        .all(|word| are_plain(u64::from_ne_bytes(*word), quote))
}

/// Whether all bytes of the word are plain. For each of the questions the highest bit of a byte is the answer; a borrow from the byte
/// below reaches only what stands beside a byte that is not plain itself.
fn are_plain(word: u64, quote: Quote) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHEST: u64 = ONES << 7;
    let is_below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    let is = |byte: u8| is_below(word ^ (ONES * u64::from(byte)), 1);
    let is_quote = if quote == Quote::Plain { 0 } else { is(b'"') };
    (word | is_below(word, b' ') | is(0x7f) | is(b'\\') | is_quote) & HIGHEST == 0
}

fn is_plain(byte: u8, quote: Quote) -> bool {
    (b' '..=b'~').contains(&byte) && byte != b'\\' && (byte != b'"' || quote == Quote::Plain)
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

#[cfg(test)]
mod tests {
    use super::{Quote, is_all_plain, is_plain};

    #[test]
    fn eight_bytes_together_are_judged_as_one_by_one() {
        for byte in 0..=255_u8 {
            for neighbour in [b'a', b' ', b'~', 0, b'"', byte] {
                for at in 0..17 {
                    let mut text = [neighbour; 17];
                    text[at] = byte;
                    for quote in [Quote::Escaped, Quote::Plain] {
                        let want = text.iter().all(|byte| is_plain(*byte, quote));
                        assert_eq!(is_all_plain(&text, quote), want, "{byte} among {neighbour}");
                    }
                }
            }
        }
    }
}
