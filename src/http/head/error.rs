//! Why a request head was refused.

use std::fmt;

use crate::http::status::Status;

/// Why a request head was refused. The connection closes after any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// Not three words with one space between them, or too many empty lines before it.
    RequestLine,
    /// The method is not a token.
    Method,
    /// `RegisteredMethods` is on and the method is none.
    MethodNotRegistered,
    /// A byte in the request target that no URI has.
    Target,
    /// The version is not `HTTP/` digit `.` digit.
    Version,
    /// A version above 1.
    VersionNotSupported,
    /// An HTTP/0.9 request where it is refused, or one that is not GET and a path.
    Simple,
    /// A line that ends without CR.
    BareLf,
    /// A field that goes on in the next line, or white space before the first.
    Folded,
    /// A field name that is not a token directly before its colon.
    FieldName,
    /// A control byte in a field's value.
    FieldValue,
    /// The request line is longer than `LimitRequestLine`.
    LineTooLong,
    /// A field is longer than `LimitRequestFieldSize`.
    FieldTooLarge,
    /// More fields than `LimitRequestFields`.
    TooManyFields,
    /// The whole head is larger than any is.
    HeadTooLarge,
}

impl ParseError {
    /// What the client is answered.
    pub fn status(self) -> Status {
        match self {
            ParseError::LineTooLong => Status::URI_TOO_LONG,
            ParseError::FieldTooLarge | ParseError::TooManyFields | ParseError::HeadTooLarge => {
                Status::FIELDS_TOO_LARGE
            }
            ParseError::MethodNotRegistered => Status::NOT_IMPLEMENTED,
            ParseError::VersionNotSupported => Status::VERSION_NOT_SUPPORTED,
            _ => Status::BAD_REQUEST,
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ParseError::RequestLine => "request line is not method, target and version",
            ParseError::Method => "method is not a token",
            ParseError::MethodNotRegistered => "method is not registered",
            ParseError::Target => "request target has a forbidden byte",
            ParseError::Version => "version is not `HTTP/` digit `.` digit",
            ParseError::VersionNotSupported => "version is above HTTP/1",
            ParseError::Simple => "HTTP/0.9 request is refused or malformed",
            ParseError::BareLf => "line ends in LF without CR",
            ParseError::Folded => "folded field, or white space before the first",
            ParseError::FieldName => "field name is not a token before a colon",
            ParseError::FieldValue => "control byte in a field value",
            ParseError::LineTooLong => "request line exceeds LimitRequestLine",
            ParseError::FieldTooLarge => "field exceeds LimitRequestFieldSize",
            ParseError::TooManyFields => "number of fields exceeds LimitRequestFields",
            ParseError::HeadTooLarge => "head exceeds 16 MiB",
        })
    }
}

impl std::error::Error for ParseError {}
