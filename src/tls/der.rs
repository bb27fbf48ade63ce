//! DER, as far as certificates need it (X.690): elements one behind the other, with tags of one byte and definite lengths.
//!
//! The bytes come from strangers: nothing is allocated, and whatever does not fit is an error.

/// The tags that certificates use.
pub(super) mod tag {
    pub const BOOLEAN: u8 = 1;
    pub const INTEGER: u8 = 2;
    pub const BIT_STRING: u8 = 3;
    pub const OCTET_STRING: u8 = 4;
    pub const OID: u8 = 6;
    pub const ENUMERATED: u8 = 10;
    pub const UTF8_STRING: u8 = 12;
    pub const NUMERIC_STRING: u8 = 18;
    pub const PRINTABLE_STRING: u8 = 19;
    pub const T61_STRING: u8 = 20;
    pub const IA5_STRING: u8 = 22;
    pub const UTC_TIME: u8 = 23;
    pub const GENERALIZED_TIME: u8 = 24;
    pub const VISIBLE_STRING: u8 = 26;
    pub const UNIVERSAL_STRING: u8 = 28;
    pub const BMP_STRING: u8 = 30;
    pub const SEQUENCE: u8 = 0x30;
    pub const SET: u8 = 0x31;
}

/// Something is cut short, or another element stands where one is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// An element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element<'a> {
    /// The first byte.
    pub tag: u8,
    /// What is inside.
    pub body: &'a [u8],
    /// With tag and length.
    pub whole: &'a [u8],
}

/// The elements of a body, from the first to the last.
#[derive(Clone, Debug)]
pub(super) struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    /// Those of `body`.
    pub fn of(body: &'a [u8]) -> Elements<'a> {
        Elements(body)
    }

    /// The next one; an error at the end.
    pub fn element(&mut self) -> Result<Element<'a>, Malformed> {
        let (&tag, rest) = self.0.split_first().ok_or(Malformed)?;
        let (&first, rest) = rest.split_first().ok_or(Malformed)?;
        if tag & 0x1f == 0x1f {
            return Err(Malformed);
        }
        let (length, rest) = match usize::from(first) {
            short @ ..=0x7f => (short, rest),
            long @ 0x81..=0x84 => {
                let (octets, rest) = rest.split_at_checked(long & 0x7f).ok_or(Malformed)?;
                let length = octets.iter().fold(0_u32, |sum, octet| sum << 8 | u32::from(*octet));
                (usize::try_from(length).map_err(|_| Malformed)?, rest)
            }
            _ => return Err(Malformed),
        };
        let (body, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
        let whole = self.0.get(..self.0.len() - rest.len()).ok_or(Malformed)?;
        self.0 = rest;
        Ok(Element { tag, body, whole })
    }

    /// The body of the next one, which has this tag.
    pub fn expect(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        let element = self.element()?;
        if element.tag == tag {
            Ok(element.body)
        } else {
            Err(Malformed)
        }
    }

    /// The body of the next one if it has this tag; otherwise it stays.
    pub fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, Malformed> {
        if self.0.first() == Some(&tag) {
            self.expect(tag).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The elements up to the first malformed one.
impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        self.element().ok()
    }
}

/// An object identifier's body with its dots, `2.5.4.3`; nothing of one that is cut short or has an arc beyond 64 bits.
pub(super) fn dotted(oid: &[u8]) -> Option<String> {
    let (&last, _) = oid.split_last()?;
    if last & 0x80 != 0 {
        return None;
    }
    let mut text = String::new();
    let mut arc = 0_u64;
    for byte in oid {
        arc = arc.checked_mul(128)?.checked_add(u64::from(byte & 0x7f))?;
        if byte & 0x80 != 0 {
            continue;
        }
        if text.is_empty() {
            let root = (arc / 40).min(2);
            text = format!("{root}.{}", arc - root * 40);
        } else {
            text.push('.');
            text.push_str(&arc.to_string());
        }
        arc = 0;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::testing::every_cut;

    #[test]
    fn elements_come_one_behind_the_other() {
        let mut long = vec![0x04, 0x82, 0x01, 0x00];
        long.extend([7; 256]);
        let bytes = [&[2, 1, 5][..], &[0x30, 0], &long].concat();
        let found: Vec<(u8, usize, usize)> = Elements::of(&bytes)
            .map(|e| (e.tag, e.body.len(), e.whole.len()))
            .collect();
        assert_eq!(found, [(2, 1, 3), (0x30, 0, 2), (4, 256, 260)]);
        every_cut(&bytes, |head, _| assert!(Elements::of(head).count() <= 3));
    }

    #[test]
    fn what_der_does_not_allow_is_refused() {
        let cases: [&[u8]; 6] = [
            &[],
            &[0x30],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x85, 0, 0, 0, 0, 0],
            &[0x1f, 0x20, 0],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 1],
        ];
        for bytes in cases {
            assert_eq!(Elements::of(bytes).element(), Err(Malformed), "{bytes:x?}");
        }
        assert_eq!(Elements::of(&[2, 1, 5]).expect(tag::SET), Err(Malformed));
        assert_eq!(Elements::of(&[2, 1, 5]).optional(tag::SET), Ok(None));
    }

    #[test]
    fn identifiers_are_written_with_dots() {
        let cases: [(&[u8], Option<&str>); 8] = [
            (&[0x55, 4, 3], Some("2.5.4.3")),
            (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d], Some("1.2.840.113549")),
            (&[0x88, 0x37, 1], Some("2.999.1")),
            (&[0x00], Some("0.0")),
            (&[], None),
            (&[0x55, 0x84], None),
            (&[0x55, 0x80, 0x80, 0x01], Some("2.5.1")),
            (
                &[0x55, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
                None,
            ),
        ];
        for (oid, text) in cases {
            assert_eq!(dotted(oid).as_deref(), text, "{oid:x?}");
        }
    }
}
