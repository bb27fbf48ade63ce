//! What is found out once for all requests that lead to the same place, by whoever answers them.

use crate::handlers::{application, cgi, proxy};

/// What is known of a place. It is filled in by the requests that go there.
#[derive(Default)]
pub struct Known {
    /// Of its application, if it is one.
    pub application: application::known::Known,
    /// Of its script, if it is one.
    pub script: cgi::known::Known,
    /// Of its server, if it is one.
    pub server: proxy::at_once::Known,
}

impl Known {
    /// Nothing so far, of what is to be kept for other requests.
    pub fn lasting() -> Known {
        Known {
            application: application::known::Known::lasting(),
            script: cgi::known::Known::lasting(),
            ..Known::default()
        }
    }
}
