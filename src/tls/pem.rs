//! The blocks of a PEM file: certificates, revocation lists, private keys, encrypted or not (RFC 7468; the old form with
//! `Proc-Type` and `DEK-Info` is RFC 1421's, as OpenSSL writes it). What stands between the blocks is ignored.

use std::fmt::{self, Display, Formatter};

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

#[cfg(test)]
mod tests;

/// One block of a PEM file.
#[derive(Clone, PartialEq, Eq)]
pub struct Block {
    /// What it holds.
    pub kind: Kind,
    /// The line of its `-----BEGIN`, counted from 1.
    pub line: usize,
    /// The bytes; DER, unless the old form of encryption covers them. Empty for [`Kind::Other`].
    pub bytes: Vec<u8>,
}

/// What a block holds, by its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A certificate (`CERTIFICATE`, `X509 CERTIFICATE`, `TRUSTED CERTIFICATE`, the last without what trust adds to it).
    Certificate,
    /// A list of revoked certificates (`X509 CRL`).
    Crl,
    /// A private key as it is.
    Key(KeyForm),
    /// A private key that a pass phrase opens; see `tls::decrypt`.
    Encrypted(Encryption),
    /// Something that is no concern of TLS, such as `DH PARAMETERS`.
    Other(String),
}

/// The structure of a private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// `PRIVATE KEY`: PKCS #8, any algorithm (RFC 5958).
    Pkcs8,
    /// `RSA PRIVATE KEY`: PKCS #1 (RFC 8017 appendix A.1.2).
    Pkcs1,
    /// `EC PRIVATE KEY`: SEC 1 (RFC 5915).
    Sec1,
}

/// How a private key is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// `ENCRYPTED PRIVATE KEY`: the DER says how (RFC 5958 section 3).
    Pkcs8,
    /// `Proc-Type: 4,ENCRYPTED`: the head of the block says how.
    Dek {
        /// What is inside.
        form: KeyForm,
        /// OpenSSL's name of the cipher, such as `AES-256-CBC`.
        cipher: String,
        /// The initial vector, of which the first eight bytes are the salt as well.
        iv: Vec<u8>,
    },
}

/// Why a text is not a PEM file. Lines are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PemError {
    /// The file begins as DER does.
    Der,
    /// A `-----BEGIN` without its five closing dashes.
    BadBegin(usize),
    /// A block without its end.
    NoEnd {
        /// Its label.
        label: String,
        /// Where it begins.
        line: usize,
    },
    /// A block in which another one begins or ends.
    WrongEnd {
        /// The label of the first.
        label: String,
        /// Where the other one stands.
        line: usize,
    },
    /// A line that is not base64, or the end of a block whose base64 is cut short.
    NotBase64(usize),
    /// A block of a kind that is needed, without content.
    Empty(usize),
    /// The head of an encrypted key does not say how it is encrypted.
    BadDek(usize),
}

/// The blocks of a PEM file in their order; none of a text that has none.
pub fn blocks(text: &[u8]) -> Result<Vec<Block>, PemError> {
    let mut found = Vec::new();
    let mut open: Option<Open> = None;
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    for (at, line) in lines(text).enumerate() {
        let (line, number) = (line.trim_ascii_end(), at + 1);
        let begin = line.strip_prefix(b"-----BEGIN ");
        let end = line.strip_prefix(b"-----END ");
        match (&mut open, begin, end) {
            (Some(block), Some(_), _) => return Err(block.wrong_end(number)),
            (None, Some(rest), _) => open = Some(Open::new(label(rest).ok_or(PemError::BadBegin(number))?, number)),
            (Some(block), None, Some(rest)) => {
                if label(rest) != Some(block.label.as_bytes()) {
                    return Err(block.wrong_end(number));
                }
                found.push(block.close(number)?);
                open = None;
            }
            (Some(block), None, None) => block.lines.push((number, line)),
            (None, None, _) => {}
        }
    }
    match open {
        Some(Open { label, line, .. }) => Err(PemError::NoEnd { label, line }),
        None if found.is_empty() && text.starts_with(&[0x30, 0x82]) => Err(PemError::Der),
        None => Ok(found),
    }
}

/// The lines of a text, by line feed, carriage return and line feed, or carriage return.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lone_returns = !text.contains(&b'\n');
    text.split(move |byte| *byte == if lone_returns { b'\r' } else { b'\n' })
}

/// What stands before the five dashes at the end.
fn label(rest: &[u8]) -> Option<&[u8]> {
    rest.strip_suffix(b"-----")
}

/// A block whose end has not been met yet.
struct Open<'a> {
    label: String,
    line: usize,
    lines: Vec<(usize, &'a [u8])>,
}

impl<'a> Open<'a> {
    fn new(label: &[u8], line: usize) -> Open<'a> {
        Open {
            label: String::from_utf8_lossy(label).into_owned(),
            line,
            lines: Vec::new(),
        }
    }

    fn wrong_end(&self, line: usize) -> PemError {
        PemError::WrongEnd {
            label: self.label.clone(),
            line,
        }
    }

    /// The block, now that its end stands in line `end`.
    fn close(&self, end: usize) -> Result<Block, PemError> {
        let whole = |kind: Kind, bytes: Vec<u8>| Block {
            kind,
            line: self.line,
            bytes,
        };
        let form = match self.label.as_str() {
            "CERTIFICATE" | "X509 CERTIFICATE" => return Ok(whole(Kind::Certificate, self.decode(0, end)?)),
            "TRUSTED CERTIFICATE" => {
                let mut bytes = self.decode(0, end)?;
                bytes.truncate(first_element(&bytes));
                return Ok(whole(Kind::Certificate, bytes));
            }
            "X509 CRL" => return Ok(whole(Kind::Crl, self.decode(0, end)?)),
            "ENCRYPTED PRIVATE KEY" => {
                return Ok(whole(Kind::Encrypted(Encryption::Pkcs8), self.decode(0, end)?));
            }
            "PRIVATE KEY" => KeyForm::Pkcs8,
            "RSA PRIVATE KEY" => KeyForm::Pkcs1,
            "EC PRIVATE KEY" => KeyForm::Sec1,
            other => return Ok(whole(Kind::Other(other.to_string()), Vec::new())),
        };
        match self.encryption(form)? {
            None => Ok(whole(Kind::Key(form), self.decode(self.head(), end)?)),
            Some(how) => Ok(whole(Kind::Encrypted(how), self.decode(self.head(), end)?)),
        }
    }

    /// How many lines the head has, with the empty one that ends it.
    fn head(&self) -> usize {
        let has_head = self.lines.first().is_some_and(|(_, line)| line.contains(&b':'));
        let ends = self.lines.iter().position(|(_, line)| line.is_empty());
        if has_head { ends.map_or(0, |at| at + 1) } else { 0 }
    }

    /// What the head says of encryption (RFC 1421 sections 4.6.1.1 and 4.6.1.3).
    fn encryption(&self, form: KeyForm) -> Result<Option<Encryption>, PemError> {
        let field = |name: &[u8]| {
            self.lines
                .iter()
                .take(self.head())
                .find_map(|(at, line)| line.strip_prefix(name).map(|value| (*at, value.trim_ascii())))
        };
        match field(b"Proc-Type:") {
            Some((_, b"4,ENCRYPTED")) => {}
            _ => return Ok(None),
        }
        let (at, dek) = field(b"DEK-Info:").ok_or(PemError::BadDek(self.line))?;
        let comma = dek.iter().position(|byte| *byte == b',').ok_or(PemError::BadDek(at))?;
        let (cipher, iv) = dek.split_at(comma);
        let cipher = std::str::from_utf8(cipher).map_err(|_| PemError::BadDek(at))?;
        let iv = hexadecimal(iv.get(1..).unwrap_or_default()).ok_or(PemError::BadDek(at))?;
        Ok(Some(Encryption::Dek {
            form,
            cipher: cipher.to_string(),
            iv,
        }))
    }

    /// The bytes of all lines but the first `head`.
    fn decode(&self, head: usize, end: usize) -> Result<Vec<u8>, PemError> {
        let body = self.lines.get(head..).unwrap_or_default();
        let mut text: Vec<u8> = Vec::with_capacity(body.len() * 64);
        for (number, line) in body {
            let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/= \t\r".contains(byte);
            if !line.iter().all(known) {
                return Err(PemError::NotBase64(*number));
            }
            text.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace()));
        }
        let lenient = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
        let bytes = GeneralPurpose::new(&STANDARD, lenient)
            .decode(&text)
            .map_err(|_| PemError::NotBase64(end))?;
        if bytes.is_empty() {
            return Err(PemError::Empty(self.line));
        }
        Ok(bytes)
    }
}

/// How long the first DER element of `bytes` is, head included; at most all.
fn first_element(bytes: &[u8]) -> usize {
    let length = match bytes.get(1..) {
        Some([short, ..]) if *short < 0x80 => 2 + usize::from(*short),
        Some([long, rest @ ..]) => {
            let size = usize::from(long & 0x7f);
            let octets = rest.get(..size.min(4)).unwrap_or_default();
            let length = octets.iter().fold(0_usize, |sum, octet| sum << 8 | usize::from(*octet));
            length.saturating_add(2 + size)
        }
        _ => bytes.len(),
    };
    length.min(bytes.len())
}

/// Bytes written as two hexadecimal digits each.
fn hexadecimal(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.chunks_exact(2)
        .map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.last()?)?))
        .collect()
}

impl fmt::Debug for Block {
    /// Without the bytes: they may be a key.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in line {}, {} bytes", self.kind, self.line, self.bytes.len())
    }
}

impl Display for PemError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            PemError::Der => write!(
                f,
                "it is DER, not PEM; `openssl x509 -inform DER` (or `openssl pkey -inform DER` for a key) converts it"
            ),
            PemError::BadBegin(line) => write!(f, "line {line}: `-----BEGIN` without five dashes at its end"),
            PemError::NoEnd { label, line } => {
                write!(
                    f,
                    "line {line}: `-----BEGIN {label}-----` without its `-----END {label}-----`"
                )
            }
            PemError::WrongEnd { label, line } => {
                write!(f, "line {line}: `-----END {label}-----` is missing before it")
            }
            PemError::NotBase64(line) => write!(f, "line {line}: it is not base64, or base64 is cut short before it"),
            PemError::Empty(line) => write!(f, "line {line}: the block that begins there is empty"),
            PemError::BadDek(line) => write!(
                f,
                "line {line}: `Proc-Type: 4,ENCRYPTED` needs a `DEK-Info:` with a cipher and an initial vector, such as \
                 `DEK-Info: AES-256-CBC,` and 32 hexadecimal digits"
            ),
        }
    }
}

impl std::error::Error for PemError {}
