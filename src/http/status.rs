//! Status codes (RFC 9110 §15) and the phrases that Apache 2.4 prints beside them.

use crate::base::ascii;

/// A status code of three digits, 100 to 999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status(u16);

macro_rules! statuses {
    ($($name:ident $code:literal $reason:literal)*) => {
        impl Status {
            $(#[doc = concat!("`", stringify!($code), " ", $reason, "`")]
            pub const $name: Status = Status($code);)*

            /// The phrase that goes beside the code; for a code without one, that of its class as Apache does it.
            pub const fn reason(self) -> &'static str {
                match self.0 {
                    $($code => $reason,)*
                    _ => "unused",
                }
            }

            /// Whether the code has a phrase of its own.
            pub const fn is_known(self) -> bool {
                matches!(self.0, $($code)|*)
            }
        }
    };
}

statuses! {
    CONTINUE 100 "Continue"
    SWITCHING_PROTOCOLS 101 "Switching Protocols"
    PROCESSING 102 "Processing"
    EARLY_HINTS 103 "Early Hints"
    OK 200 "OK"
    CREATED 201 "Created"
    ACCEPTED 202 "Accepted"
    NON_AUTHORITATIVE 203 "Non-Authoritative Information"
    NO_CONTENT 204 "No Content"
    RESET_CONTENT 205 "Reset Content"
    PARTIAL_CONTENT 206 "Partial Content"
    MULTI_STATUS 207 "Multi-Status"
    ALREADY_REPORTED 208 "Already Reported"
    IM_USED 226 "IM Used"
    MULTIPLE_CHOICES 300 "Multiple Choices"
    MOVED_PERMANENTLY 301 "Moved Permanently"
    FOUND 302 "Found"
    SEE_OTHER 303 "See Other"
    NOT_MODIFIED 304 "Not Modified"
    USE_PROXY 305 "Use Proxy"
    TEMPORARY_REDIRECT 307 "Temporary Redirect"
    PERMANENT_REDIRECT 308 "Permanent Redirect"
    BAD_REQUEST 400 "Bad Request"
    UNAUTHORIZED 401 "Unauthorized"
    PAYMENT_REQUIRED 402 "Payment Required"
    FORBIDDEN 403 "Forbidden"
    NOT_FOUND 404 "Not Found"
    METHOD_NOT_ALLOWED 405 "Method Not Allowed"
    NOT_ACCEPTABLE 406 "Not Acceptable"
    PROXY_AUTHENTICATION_REQUIRED 407 "Proxy Authentication Required"
    REQUEST_TIMEOUT 408 "Request Timeout"
    CONFLICT 409 "Conflict"
    GONE 410 "Gone"
    LENGTH_REQUIRED 411 "Length Required"
    PRECONDITION_FAILED 412 "Precondition Failed"
    CONTENT_TOO_LARGE 413 "Request Entity Too Large"
    URI_TOO_LONG 414 "Request-URI Too Long"
    UNSUPPORTED_MEDIA_TYPE 415 "Unsupported Media Type"
    RANGE_NOT_SATISFIABLE 416 "Requested Range Not Satisfiable"
    EXPECTATION_FAILED 417 "Expectation Failed"
    TEAPOT 418 "I'm A Teapot"
    MISDIRECTED_REQUEST 421 "Misdirected Request"
    UNPROCESSABLE_CONTENT 422 "Unprocessable Entity"
    LOCKED 423 "Locked"
    FAILED_DEPENDENCY 424 "Failed Dependency"
    TOO_EARLY 425 "Too Early"
    UPGRADE_REQUIRED 426 "Upgrade Required"
    PRECONDITION_REQUIRED 428 "Precondition Required"
    TOO_MANY_REQUESTS 429 "Too Many Requests"
    FIELDS_TOO_LARGE 431 "Request Header Fields Too Large"
    UNAVAILABLE_FOR_LEGAL_REASONS 451 "Unavailable For Legal Reasons"
    INTERNAL_SERVER_ERROR 500 "Internal Server Error"
    NOT_IMPLEMENTED 501 "Not Implemented"
    BAD_GATEWAY 502 "Bad Gateway"
    SERVICE_UNAVAILABLE 503 "Service Unavailable"
    GATEWAY_TIMEOUT 504 "Gateway Timeout"
    VERSION_NOT_SUPPORTED 505 "HTTP Version Not Supported"
    VARIANT_ALSO_NEGOTIATES 506 "Variant Also Negotiates"
    INSUFFICIENT_STORAGE 507 "Insufficient Storage"
    LOOP_DETECTED 508 "Loop Detected"
    NOT_EXTENDED 510 "Not Extended"
    NETWORK_AUTHENTICATION_REQUIRED 511 "Network Authentication Required"
}

impl Status {
    /// The status of that code; none outside 100 to 999.
    pub const fn new(code: u16) -> Option<Status> {
        if code >= 100 && code <= 999 {
            Some(Status(code))
        } else {
            None
        }
    }

    /// Exactly three digits that spell a status, as they stand in a status line or a `Status` field.
    pub fn from_bytes(digits: &[u8]) -> Option<Status> {
        if digits.len() != 3 {
            return None;
        }
        Status::new(u16::try_from(ascii::parse_decimal(digits)?).ok()?)
    }

    /// The number.
    pub const fn code(self) -> u16 {
        self.0
    }

    /// The three digits.
    pub fn digits(self) -> [u8; 3] {
        let digit = |n: u16| b'0' + u8::try_from(n % 10).unwrap_or(0);
        [digit(self.0 / 100), digit(self.0 / 10), digit(self.0)]
    }

    /// 1xx: more is to come.
    pub const fn is_informational(self) -> bool {
        self.0 / 100 == 1
    }

    /// 2xx
    pub const fn is_success(self) -> bool {
        self.0 / 100 == 2
    }

    /// 3xx
    pub const fn is_redirect(self) -> bool {
        self.0 / 100 == 3
    }

    /// 4xx: the client is to blame.
    pub const fn is_client_error(self) -> bool {
        self.0 / 100 == 4
    }

    /// 5xx: the server is to blame.
    pub const fn is_server_error(self) -> bool {
        self.0 / 100 == 5
    }

    /// 4xx, 5xx and beyond: what ErrorDocument is for.
    pub const fn is_error(self) -> bool {
        self.0 >= 400
    }

    /// Whether a response of this status may have a body at all (RFC 9112 §6.3: not 1xx, 204, 304).
    pub const fn allows_body(self) -> bool {
        !(self.is_informational() || self.0 == 204 || self.0 == 304)
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Status;

    #[test]
    fn only_three_digits_make_a_status() {
        for (text, want) in [
            ("200", Some(200)),
            ("999", Some(999)),
            ("100", Some(100)),
            ("099", None),
            ("99999", None),
            ("20", None),
            ("2 0", None),
            ("+20", None),
            ("", None),
        ] {
            let status = Status::from_bytes(text.as_bytes());
            assert_eq!(status.map(Status::code), want, "{text}");
            if let Some(status) = status {
                assert_eq!(&status.digits(), text.as_bytes());
            }
        }
    }

    #[test]
    fn phrases_and_bodies() {
        assert_eq!(Status::FOUND.reason(), "Found");
        assert_eq!(Status::CONTENT_TOO_LARGE.reason(), "Request Entity Too Large");
        assert_eq!(Status::new(299).map(Status::reason), Some("unused"));
        for (status, body) in [
            (Status::CONTINUE, false),
            (Status::OK, true),
            (Status::NO_CONTENT, false),
            (Status::RESET_CONTENT, true),
            (Status::NOT_MODIFIED, false),
            (Status::NOT_FOUND, true),
        ] {
            assert_eq!(status.allows_body(), body, "{status}");
        }
    }
}
