//! Users and groups by name or number, with the supplementary groups a login would have (initgroups(3)).

use std::ffi::CString;
use std::fmt;

use nix::unistd::{Gid, Group, Uid, User};

/// Who a process is: user, group and supplementary groups, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Supplementary groups, the primary one among them.
    pub groups: Vec<u32>,
}

/// Why the owner of a file cannot be taken for its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnfitOwner {
    /// The user database does not know him.
    Unknown,
    /// He is not in the file's group.
    NotAMember,
}

/// A name that the user or group database does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnknownIdentity {
    /// No such user.
    User(String),
    /// No such group.
    Group(String),
    /// A user known by number only has no group of its own.
    NoGroup(String),
}

impl Identity {
    /// Looks up the words of `User` and `Group`: a name, or `#` and a number. Without a group it is the user's own.
    pub fn look_up(user: &[u8], group: Option<&[u8]>) -> Result<Identity, UnknownIdentity> {
        let (uid, entry) = look_up_user(user)?;
        let gid = match (group, &entry) {
            (Some(group), _) => look_up_group(group)?,
            (None, Some(entry)) => entry.gid.as_raw(),
            (None, None) => return Err(UnknownIdentity::NoGroup(shown(user))),
        };
        let groups = match entry.and_then(|entry| CString::new(entry.name).ok()) {
            Some(name) => nix::unistd::getgrouplist(&name, Gid::from_raw(gid))
                .map_or_else(|_| vec![gid], |groups| groups.into_iter().map(Gid::as_raw).collect()),
            None => vec![gid],
        };
        Ok(Identity { uid, gid, groups })
    }

    /// Who `User` and `Group` say a process of ours shall be: somebody only where this process is root and a user is named.
    pub fn for_root(user: Option<&Vec<u8>>, group: Option<&Vec<u8>>) -> Result<Option<Identity>, UnknownIdentity> {
        match user {
            Some(user) if Identity::process_is_root() => Identity::look_up(user, group.map(Vec::as_slice)).map(Some),
            _ => Ok(None),
        }
    }

    /// Looks up the owner and the group of a file, of which the owner must be a member.
    pub fn of_owner(uid: u32, gid: u32) -> Result<Identity, UnfitOwner> {
        let entry = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        let entry = entry.ok_or(UnfitOwner::Unknown)?;
        let name = CString::new(entry.name).map_err(|_| UnfitOwner::Unknown)?;
        let groups = |first| nix::unistd::getgrouplist(&name, first).map_err(|_| UnfitOwner::Unknown);
        if !groups(entry.gid)?.contains(&Gid::from_raw(gid)) {
            return Err(UnfitOwner::NotAMember);
        }
        let groups = groups(Gid::from_raw(gid))?.into_iter().map(Gid::as_raw).collect();
        Ok(Identity { uid, gid, groups })
    }

    /// Is this process run by this very user and group?
    pub fn is_ours(&self) -> bool {
        rustix::process::geteuid().as_raw() == self.uid && rustix::process::getegid().as_raw() == self.gid
    }

    /// Is this process run by root?
    pub fn process_is_root() -> bool {
        rustix::process::geteuid().is_root()
    }
}

impl fmt::Display for UnknownIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnknownIdentity::User(_) => write!(f, "User: {}", self.what()),
            UnknownIdentity::Group(_) => write!(f, "Group: {}", self.what()),
            UnknownIdentity::NoGroup(_) => write!(f, "User: {}; add a `Group` line", self.what()),
        }
    }
}

impl UnknownIdentity {
    /// What is unknown, without the directive that named it.
    pub fn what(&self) -> String {
        match self {
            UnknownIdentity::User(name) => format!("there is no user `{name}`"),
            UnknownIdentity::Group(name) => format!("there is no group `{name}`"),
            UnknownIdentity::NoGroup(name) => format!("`{name}` has no group of its own"),
        }
    }
}

/// `www-data`, or `user 33` where the number has no name.
pub fn shown_user(uid: u32) -> String {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => user.name,
        Ok(None) | Err(_) => format!("user {uid}"),
    }
}

/// `www-data`, or `group 33` where the number has no name.
pub fn shown_group(gid: u32) -> String {
    match Group::from_gid(Gid::from_raw(gid)) {
        Ok(Some(group)) => group.name,
        Ok(None) | Err(_) => format!("group {gid}"),
    }
}

impl std::error::Error for UnknownIdentity {}

fn look_up_user(word: &[u8]) -> Result<(u32, Option<User>), UnknownIdentity> {
    let unknown = || UnknownIdentity::User(shown(word));
    if let Some(number) = number(word) {
        return Ok((number, User::from_uid(Uid::from_raw(number)).ok().flatten()));
    }
    let name = std::str::from_utf8(word).map_err(|_| unknown())?;
    let entry = User::from_name(name).ok().flatten().ok_or_else(unknown)?;
    Ok((entry.uid.as_raw(), Some(entry)))
}

fn look_up_group(word: &[u8]) -> Result<u32, UnknownIdentity> {
    let unknown = || UnknownIdentity::Group(shown(word));
    if let Some(number) = number(word) {
        return Ok(number);
    }
    let name = std::str::from_utf8(word).map_err(|_| unknown())?;
    Ok(Group::from_name(name).ok().flatten().ok_or_else(unknown)?.gid.as_raw())
}

/// The number of `#1000`; `u32::MAX` means "no change" to the kernel and is never one.
fn number(word: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(word.strip_prefix(b"#")?).ok()?;
    if digits.starts_with('+') {
        return None;
    }
    digits.parse().ok().filter(|number| *number != u32::MAX)
}

fn shown(word: &[u8]) -> String {
    word.escape_ascii().to_string()
}

/// The home of a user, by name; nothing where there is no such user, or nobody knows.
pub fn home_of(name: &str) -> Option<std::path::PathBuf> {
    Some(User::from_name(name).ok()??.dir)
}

#[cfg(test)]
mod tests {
    use super::{Identity, UnknownIdentity};

    #[test]
    fn root_is_found_by_name_and_by_number() {
        for word in [&b"root"[..], b"#0"] {
            let identity = Identity::look_up(word, None).expect("every system has root");
            assert_eq!((identity.uid, identity.gid), (0, 0));
            assert!(identity.groups.contains(&0));
        }
    }

    #[test]
    fn a_number_needs_no_entry_but_a_group() {
        let identity = Identity::look_up(b"#54321", Some(b"#54322")).expect("numbers need no entry");
        assert_eq!(
            identity,
            Identity {
                uid: 54321,
                gid: 54322,
                groups: vec![54322]
            }
        );
        let error = Identity::look_up(b"#54321", None).expect_err("whose group?");
        assert_eq!(
            error.to_string(),
            "User: `#54321` has no group of its own; add a `Group` line"
        );
    }

    #[test]
    fn unknown_names_are_told() {
        for word in [&b"no-such-user"[..], b"#", b"#-1", b"#+1", b"#4294967295", b"\xff"] {
            assert!(
                matches!(Identity::look_up(word, None), Err(UnknownIdentity::User(_))),
                "{word:?}"
            );
        }
        let error = Identity::look_up(b"root", Some(b"no-such-group")).expect_err("no such group");
        assert_eq!(error.to_string(), "Group: there is no group `no-such-group`");
    }
}
