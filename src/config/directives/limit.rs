//! `<Limit>` and `<LimitExcept>`: which methods access control is about.

use crate::config::words::{Said, shown};
use crate::http::method::Method;

/// Methods that a section names, or all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Methods {
    named: Vec<Method>,
    sense: Sense,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sense {
    These,
    AllOthers,
}

impl Methods {
    /// The methods of `<Limit>`.
    pub fn these(words: &[Vec<u8>]) -> Said<Methods> {
        Methods::of(words, Sense::These, "<Limit>")
    }

    /// The methods of `<LimitExcept>`.
    pub fn all_others(words: &[Vec<u8>]) -> Said<Methods> {
        Methods::of(words, Sense::AllOthers, "<LimitExcept>")
    }

    fn of(words: &[Vec<u8>], sense: Sense, section: &str) -> Said<Methods> {
        if words.is_empty() {
            return Err(format!(
                "a method is missing; write `{} GET>`",
                section.trim_end_matches('>')
            ));
        }
        let mut named = Vec::new();
        for word in words {
            match Method::from_bytes(word) {
                Method::Trace => return Err("TRACE cannot be limited; TraceEnable is what decides about it".into()),
                Method::Other => {
                    let capitals = word.to_ascii_uppercase();
                    let hint = match Method::from_bytes(&capitals) {
                        Method::Other => String::new(),
                        _ => format!("; write {} in capitals", shown(&capitals)),
                    };
                    return Err(format!("{} is not a method that is known here{hint}", shown(word)));
                }
                Method::Head => named.push(Method::Get),
                method => named.push(method),
            }
        }
        Ok(Methods { named, sense })
    }

    /// Whether the section is about a request with this method; HEAD goes with GET.
    pub fn cover(&self, method: Method) -> bool {
        let method = if method == Method::Head { Method::Get } else { method };
        self.named.contains(&method) == (self.sense == Sense::These)
    }
}

#[cfg(test)]
mod tests {
    use super::Methods;
    use crate::http::method::Method;

    fn words(words: &[&str]) -> Vec<Vec<u8>> {
        words.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn head_goes_with_get() {
        let these = Methods::these(&words(&["GET", "POST"])).expect("known");
        let others = Methods::all_others(&words(&["GET", "POST"])).expect("known");
        for (method, covered) in [
            (Method::Get, true),
            (Method::Head, true),
            (Method::Post, true),
            (Method::Put, false),
            (Method::Other, false),
        ] {
            assert_eq!(these.cover(method), covered, "{method:?}");
            assert_eq!(others.cover(method), !covered, "{method:?}");
        }
    }

    #[test]
    fn trace_and_unknown_methods_are_refused() {
        assert!(Methods::these(&words(&["TRACE"])).is_err());
        assert!(Methods::these(&words(&["BREW"])).is_err());
        assert!(Methods::these(&[]).is_err());
    }
}
