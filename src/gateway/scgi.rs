//! How an SCGI application is told of a request: all variables in one netstring, the body's length first, the body behind it
//! (<https://python.ca/scgi/protocol.txt>). Its answer is that of a CGI script, to the end of the connection.

/// Names that have a place or a meaning of their own in the header.
const OWN: [&[u8]; 3] = [b"CONTENT_LENGTH", b"SCGI", b"GATEWAY_INTERFACE"];

/// The header of a request whose body has `length` bytes. As the protocol has it, CONTENT_LENGTH comes first and is always
/// there; as in Apache, GATEWAY_INTERFACE is left out. So is what cannot be said: an empty name, or a NUL anywhere.
pub fn header<'p>(length: u64, variables: impl Iterator<Item = (&'p [u8], &'p [u8])>) -> Vec<u8> {
    let mut pairs = Vec::with_capacity(4096);
    append(&mut pairs, b"CONTENT_LENGTH", length.to_string().as_bytes());
    append(&mut pairs, b"SCGI", b"1");
    for (name, value) in variables {
        let is_sayable = !name.is_empty() && !name.contains(&0) && !value.contains(&0);
        if is_sayable && !OWN.contains(&name) {
            append(&mut pairs, name, value);
        }
    }
    let mut header = format!("{}:", pairs.len()).into_bytes();
    header.append(&mut pairs);
    header.push(b',');
    header
}

fn append(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for text in [name, value] {
        out.extend_from_slice(text);
        out.push(0);
    }
}

#[cfg(test)]
mod tests {
    use super::header;

    fn made(length: u64, variables: &[(&str, &str)]) -> String {
        let pairs = variables
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        String::from_utf8(header(length, pairs)).expect("text")
    }

    #[test]
    fn the_header_is_that_of_the_specification() {
        // The example in the protocol's text.
        let example = "70:CONTENT_LENGTH\x0027\0SCGI\x001\0REQUEST_METHOD\0POST\0REQUEST_URI\0/deepthought\0,";
        let variables = [("REQUEST_METHOD", "POST"), ("REQUEST_URI", "/deepthought")];
        assert_eq!(made(27, &variables), example);
    }

    #[test]
    fn a_length_is_told_of_no_body_too() {
        assert_eq!(made(0, &[]), "24:CONTENT_LENGTH\x000\0SCGI\x001\0,");
    }

    #[test]
    fn names_are_told_once_and_what_cannot_be_said_is_left_out() {
        let variables = [
            ("CONTENT_LENGTH", "99"),
            ("GATEWAY_INTERFACE", "CGI/1.1"),
            ("SCGI", "2"),
            ("", "x"),
            ("A\0B", "x"),
            ("C", "x\0D\0y"),
            ("EMPTY", ""),
        ];
        assert_eq!(made(3, &variables), "31:CONTENT_LENGTH\x003\0SCGI\x001\0EMPTY\0\0,");
    }
}
