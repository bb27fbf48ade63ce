//! Whether a script may run as the user and group that SuexecUserGroup names: the checks of Apache's suexec
//! (manual: suexec.html, "suEXEC Security Model"), on what is open and not on names.

use rustix::fs::{AtFlags, FileType, Stat, fstat, statat};
use rustix::io::Errno;

use super::place::Found;
use crate::base::quote::shell_word;
use crate::config::directives::suexec::{MIN_ID, SuexecRules};
use crate::process::identity::{Identity, UnfitOwner, shown_group, shown_user};

/// The lowest user and group that scripts may run as.
#[derive(Clone, Copy, Debug)]
pub(super) struct Floor {
    uid: u64,
    gid: u64,
}

/// Why a script does not run as its user.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// We are not root, and the user or group is another than ours.
    NotRoot,
    /// A name is not in the database; in words.
    Unknown(String),
    /// The user is root.
    Superuser,
    /// The group is root's.
    SuperGroup,
    /// The user is below SuexecMinUid.
    LowUser(u64),
    /// The group is below SuexecMinGid.
    LowGroup(u64),
    /// The script's owner is not in the user database.
    UnknownOwner(u32),
    /// The script's group is none of its owner's.
    ForeignGroup(u32, u32),
    /// A symbolic link leads out of the script place.
    Outside,
    /// The directory belongs to another user or group.
    DirectoryOwner(u32, u32),
    /// Others than the owner may write to the directory.
    DirectoryMode(u32),
    /// The script is a symbolic link.
    Link,
    /// The script belongs to another user or group.
    Owner(u32, u32),
    /// Others than the owner may write to the script.
    Mode(u32),
    /// The script is set-user-id or set-group-id.
    SetId(u32),
    /// Its owner may not execute it.
    NotExecutable(u32),
    /// The system did not let us look.
    System(Errno),
}

impl Floor {
    pub(super) fn of(rules: &SuexecRules) -> Floor {
        Floor {
            uid: rules.min_uid.or(MIN_ID),
            gid: rules.min_gid.or(MIN_ID),
        }
    }

    /// May scripts run as this user and group at all?
    pub(super) fn judge(self, identity: &Identity) -> Result<(), Unfit> {
        match (identity.uid, identity.gid) {
            (0, _) => Err(Unfit::Superuser),
            (_, 0) => Err(Unfit::SuperGroup),
            (uid, _) if u64::from(uid) < self.uid => Err(Unfit::LowUser(self.uid)),
            (_, gid) if u64::from(gid) < self.gid => Err(Unfit::LowGroup(self.gid)),
            _ => Ok(()),
        }
    }
}

/// The owner and group of a script as an identity, with its owner's other groups.
pub(super) fn owner((uid, gid): (u32, u32)) -> Result<Identity, Unfit> {
    Identity::of_owner(uid, gid).map_err(|unfit| match (unfit, uid) {
        (_, 0) => Unfit::Superuser,
        (UnfitOwner::Unknown, _) => Unfit::UnknownOwner(uid),
        (UnfitOwner::NotAMember, _) => Unfit::ForeignGroup(uid, gid),
    })
}

/// May this script, which was found without leaving its place, run as that user and group?
pub(super) fn judge(found: &Found, identity: &Identity) -> Result<(), Unfit> {
    let directory = fstat(&found.directory).map_err(Unfit::System)?;
    let script = fstat(found.file()).map_err(Unfit::System)?;
    let is_his = |stat: &Stat| (stat.st_uid, stat.st_gid) == (identity.uid, identity.gid);
    let mode = |stat: &Stat| stat.st_mode & 0o7777;
    if !is_his(&directory) {
        return Err(Unfit::DirectoryOwner(directory.st_uid, directory.st_gid));
    }
    if directory.st_mode & 0o022 != 0 {
        return Err(Unfit::DirectoryMode(mode(&directory)));
    }
    // The name that will be executed, in the directory that was looked at: nobody else can change what it stands for now.
    let named = statat(&found.directory, found.name(), AtFlags::SYMLINK_NOFOLLOW).map_err(Unfit::System)?;
    if FileType::from_raw_mode(named.st_mode) == FileType::Symlink
        || (named.st_dev, named.st_ino) != (script.st_dev, script.st_ino)
    {
        return Err(Unfit::Link);
    }
    if script.st_mode & 0o6000 != 0 {
        return Err(Unfit::SetId(mode(&script)));
    }
    if !is_his(&script) {
        return Err(Unfit::Owner(script.st_uid, script.st_gid));
    }
    if script.st_mode & 0o022 != 0 {
        return Err(Unfit::Mode(mode(&script)));
    }
    if script.st_mode & 0o100 == 0 {
        return Err(Unfit::NotExecutable(mode(&script)));
    }
    Ok(())
}

impl Unfit {
    /// The reason and its cure. `identity` is who the script was to run as, where that is known.
    pub(super) fn told(&self, found: &Found, identity: Option<&Identity>) -> String {
        let script = shell_word(found.path.as_bytes());
        let directory = shell_word(found.directory_name());
        let (user, group) = identity.map_or_else(
            || ("its owner".to_owned(), "its group".to_owned()),
            |identity| (shown_user(identity.uid), shown_group(identity.gid)),
        );
        let owner = identity.map_or_else(String::new, |identity| format!("{}:{}", identity.uid, identity.gid));
        match self {
            Unfit::NotRoot => format!(
                "the server was not started as root, so it cannot run the script as {user} and {group}; start it as root, \
or take SuexecUserGroup out"
            ),
            Unfit::Unknown(what) => format!("SuexecUserGroup: {what}; add it, or name another"),
            Unfit::Superuser => {
                "root may not run scripts; name another user with SuexecUserGroup, or give the script to another".to_owned()
            }
            Unfit::SuperGroup => {
                "the group root may not run scripts; name another group with SuexecUserGroup, or give the script to another".to_owned()
            }
            Unfit::LowUser(least) => {
                format!("{user} is a user of the system, below SuexecMinUid {least}; name another, or lower SuexecMinUid")
            }
            Unfit::LowGroup(least) => {
                format!("{group} is a group of the system, below SuexecMinGid {least}; name another, or lower SuexecMinGid")
            }
            Unfit::UnknownOwner(uid) => format!(
                "the script belongs to user {uid}, who is not in the user database; give it to one who is with `chown`"
            ),
            Unfit::ForeignGroup(uid, gid) => {
                let (user, group) = (shown_user(*uid), shown_group(*gid));
                format!("the script's group is {group}, which {user} is not in; `chgrp` it to one of his groups")
            }
            Unfit::Outside => "a symbolic link on the way to the script leads out of its script place, or is absolute; \
put the script itself there"
                .to_owned(),
            Unfit::DirectoryOwner(uid, gid) => {
                let (its_user, its_group) = (shown_user(*uid), shown_group(*gid));
                format!(
                    "the directory {directory} belongs to {its_user} and {its_group}, and its scripts are to run as {user} \
and {group}; `chown {owner} {directory}`"
                )
            }
            Unfit::DirectoryMode(mode) => format!(
                "others than {user} may write to the directory {directory} (mode {mode:04o}); `chmod go-w {directory}`"
            ),
            Unfit::Link => "the script is a symbolic link; put the script itself there".to_owned(),
            Unfit::Owner(uid, gid) => {
                let (its_user, its_group) = (shown_user(*uid), shown_group(*gid));
                format!(
                    "the script belongs to {its_user} and {its_group}, and is to run as {user} and {group}; `chown {owner} {script}`"
                )
            }
            Unfit::Mode(mode) => {
                format!("others than {user} may write to the script (mode {mode:04o}); `chmod go-w {script}`")
            }
            Unfit::SetId(mode) => {
                format!("the script is set-user-id or set-group-id (mode {mode:04o}); `chmod ug-s {script}`")
            }
            Unfit::NotExecutable(mode) => {
                format!("the script has no execute permission for {user} (mode {mode:04o}); `chmod u+x {script}`")
            }
            Unfit::System(errno) => format!("the script cannot be looked at: {errno}"),
        }
    }
}

#[cfg(test)]
mod tests;
