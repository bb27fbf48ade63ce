//! The functions of expressions, `%{name:argument}` and `name(argument)` alike.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use md5::{Digest, Md5};
use sha1::Sha1;

use super::{Function, NoValue};
use crate::lang::tls_variable;
use crate::lang::vars::Vars;

/// The function of that name, in any case.
pub(super) fn by_name(name: &str) -> Option<Function> {
    Some(match name.to_ascii_lowercase().as_str() {
        "req" | "http" => Function::RequestField,
        "req_novary" => Function::RequestFieldInSilence,
        "resp" => Function::ResponseField,
        "reqenv" => Function::RequestEnv,
        "osenv" => Function::OsEnv,
        "note" => Function::Note,
        "ssl" => Function::Tls,
        "env" => Function::Env,
        "tolower" => Function::ToLower,
        "toupper" => Function::ToUpper,
        "escape" => Function::Escape,
        "unescape" => Function::Unescape,
        "base64" => Function::Base64,
        "unbase64" => Function::Unbase64,
        "md5" => Function::Md5,
        "sha1" => Function::Sha1,
        "ldap" => Function::Ldap,
        "file" => Function::File,
        "filesize" => Function::FileSize,
        _ => return None,
    })
}

/// The function's value for `argument`.
pub(super) fn call<'a>(
    function: Function,
    argument: Cow<'a, [u8]>,
    vars: &'a dyn Vars,
) -> Result<Cow<'a, [u8]>, NoValue> {
    let name = str::from_utf8(&argument).unwrap_or_default();
    let found = match function {
        Function::RequestField | Function::RequestFieldInSilence => vars.request_field(name),
        Function::ResponseField => vars.response_field(name),
        Function::RequestEnv => vars.env(name),
        Function::OsEnv => vars.os_env(name),
        Function::Note => vars.note(name),
        Function::Tls => tls_variable::lookup(name, vars),
        Function::Env => vars.note(name).or_else(|| vars.env(name)).or_else(|| vars.os_env(name)),
        Function::ToLower => Some(argument.to_ascii_lowercase().into()),
        Function::ToUpper => Some(argument.to_ascii_uppercase().into()),
        Function::Escape => Some(escape(&argument).into()),
        Function::Unescape => unescape(&argument).map(Cow::Owned),
        Function::Base64 => Some(BASE64.encode(&argument).into_bytes().into()),
        Function::Unbase64 => Some(unbase64(&argument).into()),
        Function::Md5 => Some(hex(&Md5::digest(&argument)).into()),
        Function::Sha1 => Some(hex(&Sha1::digest(&argument)).into()),
        Function::Ldap => Some(ldap(&argument).into()),
        Function::File => match vars.file_contents(&argument) {
            Some(text) => Some(text.into()),
            None => return Err(NoValue { path: argument.into() }),
        },
        Function::FileSize => {
            let size = vars.file_size(&argument).unwrap_or(0);
            Some(size.to_string().into_bytes().into())
        }
    };
    Ok(found.unwrap_or_default())
}

/// `%hh` for all but letters, digits and what Apache takes to be safe in a path (`ap_escape_uri`).
fn escape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        if byte.is_ascii_alphanumeric() || b"!$&'()*+,-./:;=@_~".contains(&byte) {
            out.push(byte);
        } else {
            out.push(b'%');
            out.extend_from_slice(&hex(&[byte]));
        }
    }
    out
}

/// `%hh` decoded, but for `%2F`; nothing when a `%00` or a broken sequence is there.
fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let value = digit(digits[0])? << 4 | digit(digits[1])?;
        match value {
            0 => return None,
            b'/' => {
                out.push(b'%');
                out.extend_from_slice(digits);
            }
            _ => out.push(value),
        }
        rest = after;
    }
    Some(out)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What the alphabet's characters at the beginning stand for, up to the first NUL.
fn unbase64(text: &[u8]) -> Vec<u8> {
    let len = text
        .iter()
        .position(|b| !(b.is_ascii_alphanumeric() || *b == b'+' || *b == b'/'))
        .unwrap_or(text.len());
    // A single character left over carries no whole byte.
    let len = if len % 4 == 1 { len - 1 } else { len };
    let mut bytes = BASE64.decode(&text[..len]).unwrap_or_default();
    if let Some(nul) = bytes.iter().position(|b| *b == 0) {
        bytes.truncate(nul);
    }
    bytes
}

/// `\hh` for what distinguished names (RFC 4514) and filters (RFC 4515) may not hold.
fn ldap(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        if (b' '..=b'~').contains(&byte) && !b"\"()*+,;<>\\".contains(&byte) {
            out.push(byte);
        } else {
            out.push(b'\\');
            out.extend_from_slice(&hex(&[byte]));
        }
    }
    out
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    let digits = b"0123456789abcdef";
    let mut out = Vec::with_capacity(bytes.len() * 2);
    for byte in bytes {
        out.push(digits[usize::from(byte >> 4)]);
        out.push(digits[usize::from(byte & 15)]);
    }
    out
}
