//! Files of groups, `group: name name` a line, as mod_authz_groupfile reads them.

use std::collections::{HashMap, HashSet};

use crate::auth::htpasswd::{lines, split_at_colons};
use crate::base::quoting::words;

/// What a file of groups says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    members: HashMap<Vec<u8>, HashSet<Vec<u8>>>,
}

impl Groups {
    /// Reads a file's text; lines with the same group add up. As in Apache a group's name is the same in any case, white space
    /// before the colon is none of it, and a user's name with a space in it stands in quotes.
    pub fn parse(text: &[u8]) -> Groups {
        let mut groups = Groups::default();
        for line in lines(text) {
            if let Some((group, names)) = split_at_colons(&line) {
                let group = group.trim_ascii_end().to_ascii_lowercase();
                groups.members.entry(group).or_default().extend(words(names));
            }
        }
        groups
    }

    /// Whether the user is in that group.
    pub fn has(&self, group: &[u8], user: &[u8]) -> bool {
        let group = group.to_ascii_lowercase();
        self.members.get(&group).is_some_and(|members| members.contains(user))
    }

    /// Whether the user is in any group.
    pub fn know(&self, user: &[u8]) -> bool {
        self.members.values().any(|members| members.contains(user))
    }
}

#[cfg(test)]
mod tests {
    use super::Groups;

    #[test]
    fn members_are_words_behind_the_colon() {
        let text = b"# x\nadmins: ann  bob \"eve\"\nstaff:cat\nadmins: dan\nempty:\nnone\n\
spaced : \"x y\" z\nMixed: ann\n";
        let groups = Groups::parse(text);
        for (group, user, want) in [
            ("admins", "ann", true),
            ("admins", "bob", true),
            ("admins", "eve", true),
            ("admins", "dan", true),
            ("staff", "cat", true),
            ("staff", "ann", false),
            ("spaced", "x y", true),
            ("spaced", "z", true),
            ("spaced ", "z", false),
            ("mixed", "ann", true),
            ("MIXED", "ann", true),
            ("empty", "", false),
            ("other", "ann", false),
        ] {
            assert_eq!(groups.has(group.as_bytes(), user.as_bytes()), want, "{group} {user}");
        }
        assert!(groups.know(b"cat") && !groups.know(b"zoe"));
        for end in 0..text.len() {
            Groups::parse(&text[..end]);
        }
    }
}
