//! The text of a format between its values.

/// Text so short is appended as if it were so long, which is one store, and cut.
const SHORT: usize = 8;

/// Text as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    Short { text: [u8; SHORT], length: u8 },
    Long(Box<[u8]>),
}

impl Literal {
    /// Takes over what was collected, and leaves nothing.
    pub(super) fn take(collected: &mut Vec<u8>) -> Literal {
        let mut short = [0; SHORT];
        let literal = match (short.get_mut(..collected.len()), u8::try_from(collected.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(collected);
                Literal::Short { text: short, length }
            }
            _ => Literal::Long(collected.as_slice().into()),
        };
        collected.clear();
        literal
    }

    #[inline]
    pub(super) fn append_to(&self, out: &mut Vec<u8>) {
        match self {
            Literal::Short { text, length } => {
                let end = out.len() + usize::from(*length);
                out.extend_from_slice(text);
                out.truncate(end);
            }
            Literal::Long(text) => out.extend_from_slice(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Literal;

    #[test]
    fn text_of_any_length_is_written_as_it_is() {
        let text = b"0123456789abcdefghi";
        for length in 0..=text.len() {
            let mut collected = text[..length].to_vec();
            let literal = Literal::take(&mut collected);
            assert!(collected.is_empty());
            let mut out = b"before".to_vec();
            literal.append_to(&mut out);
            assert_eq!(out, [b"before", &text[..length]].concat());
        }
    }
}
