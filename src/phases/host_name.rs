//! Names of hosts where access depends on them.

use crate::exchange::Exchange;
use crate::exchange::client::{Answer, Question};
use crate::phases::access::Closed;

/// The client's name; one that leads back to its address, whatever HostnameLookups says.
pub(super) fn of(ex: &Exchange) -> Result<Option<&[u8]>, Closed> {
    match ex.client.answer(&Question::HostName) {
        Some(Answer::Name(name)) => Ok(Some(name)),
        Some(_) => Ok(None),
        None => Err(Closed::Ask(Question::HostName)),
    }
}

/// Whether a host is that one or belongs to that domain: whole parts of the name count.
pub(super) fn ends_with(host: &[u8], domain: &[u8]) -> bool {
    let Some(before) = host.len().checked_sub(domain.len()) else {
        return false;
    };
    let (rest, end) = host.split_at(before);
    end.eq_ignore_ascii_case(domain) && (rest.is_empty() || domain.first() == Some(&b'.') || rest.last() == Some(&b'.'))
}

#[cfg(test)]
mod tests {
    use super::ends_with;

    #[test]
    fn whole_parts_of_a_name_count() {
        for (host, domain, want) in [
            ("www.good.com", "good.com", true),
            ("www.good.com", ".good.com", true),
            ("www.GOOD.com", "Good.Com", true),
            ("good.com", "good.com", true),
            ("nogood.com", "good.com", false),
            ("good.com", ".good.com", false),
            ("com", "good.com", false),
            ("www.good.com", "com", true),
            ("localhost", "localhost", true),
        ] {
            assert_eq!(ends_with(host.as_bytes(), domain.as_bytes()), want, "{host} {domain}");
        }
    }
}
