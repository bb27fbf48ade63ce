//! Request methods (RFC 9110 §9): those that Apache registers, and all others as one.

/// A request method. Names are case-sensitive: `get` is [`Method::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it; see NAMES")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
    PropFind,
    PropPatch,
    MkCol,
    Copy,
    Move,
    Lock,
    Unlock,
    VersionControl,
    Checkout,
    Uncheckout,
    Checkin,
    Update,
    Label,
    Report,
    MkWorkspace,
    MkActivity,
    BaselineControl,
    Merge,
    /// A token that is none of the above.
    Other,
}

/// Every registered method beside its name (`ap_method_registry_init`).
const NAMES: [(Method, &str); 27] = [
    (Method::Get, "GET"),
    (Method::Head, "HEAD"),
    (Method::Post, "POST"),
    (Method::Put, "PUT"),
    (Method::Delete, "DELETE"),
    (Method::Connect, "CONNECT"),
    (Method::Options, "OPTIONS"),
    (Method::Trace, "TRACE"),
    (Method::Patch, "PATCH"),
    (Method::PropFind, "PROPFIND"),
    (Method::PropPatch, "PROPPATCH"),
    (Method::MkCol, "MKCOL"),
    (Method::Copy, "COPY"),
    (Method::Move, "MOVE"),
    (Method::Lock, "LOCK"),
    (Method::Unlock, "UNLOCK"),
    (Method::VersionControl, "VERSION-CONTROL"),
    (Method::Checkout, "CHECKOUT"),
    (Method::Uncheckout, "UNCHECKOUT"),
    (Method::Checkin, "CHECKIN"),
    (Method::Update, "UPDATE"),
    (Method::Label, "LABEL"),
    (Method::Report, "REPORT"),
    (Method::MkWorkspace, "MKWORKSPACE"),
    (Method::MkActivity, "MKACTIVITY"),
    (Method::BaselineControl, "BASELINE-CONTROL"),
    (Method::Merge, "MERGE"),
];

impl Method {
    /// The method of that name; [`Method::Other`] for any bytes that are none.
    pub fn from_bytes(name: &[u8]) -> Method {
        match name {
            b"GET" => Method::Get,
            b"POST" => Method::Post,
            _ => NAMES
                .iter()
                .find(|(_, known)| known.as_bytes() == name)
                .map_or(Method::Other, |(method, _)| *method),
        }
    }

    /// Whether Apache registers it: `HttpProtocolOptions RegisteredMethods` lets no other pass.
    pub fn is_known(self) -> bool {
        self != Method::Other
    }

    /// The name; empty for [`Method::Other`], whose name only the request head has.
    pub fn as_str(self) -> &'static str {
        NAMES
            .iter()
            .find(|(known, _)| *known == self)
            .map_or("", |(_, name)| name)
    }

    /// Whether the request asks for nothing but to read (RFC 9110 §9.2.1).
    pub fn is_safe(self) -> bool {
        matches!(
            self,
            Method::Get | Method::Head | Method::Options | Method::Trace | Method::PropFind | Method::Report
        )
    }

    /// Every registered method.
    pub fn all() -> impl Iterator<Item = Method> {
        NAMES.iter().map(|(method, _)| *method)
    }
}

#[cfg(test)]
mod tests {
    use super::Method;

    #[test]
    fn names_are_case_sensitive_and_come_back() {
        for method in Method::all() {
            assert_eq!(Method::from_bytes(method.as_str().as_bytes()), method);
            assert_eq!(
                Method::from_bytes(method.as_str().to_lowercase().as_bytes()),
                Method::Other
            );
        }
        for name in ["", "BREW", "GETT", "GE", "Get"] {
            assert_eq!(Method::from_bytes(name.as_bytes()), Method::Other);
        }
        assert!(!Method::Other.is_known());
        assert_eq!(Method::Other.as_str(), "");
    }
}
