//! What a role does to itself that no parent can do for it: chroot(2), then the change of identity. It has one thread.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::process::{Gid, Signal, Uid};

use super::identity::Identity;
use crate::base::zone;

/// Makes `root` the root of all files, for this process and what it starts. Needs root; the working directory is the new
/// root afterwards. What is open stays open.
pub fn enter(root: &[u8]) -> io::Result<()> {
    zone::keep();
    rustix::process::chdir(Path::new(OsStr::from_bytes(root)))?;
    rustix::process::chroot(".")?;
    Ok(rustix::process::chdir("/")?)
}

/// Becomes somebody else for good, without any capability. Needs root.
pub fn become_identity(identity: &Identity) -> io::Result<()> {
    let groups: Vec<Gid> = identity.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    rustix::thread::set_thread_groups(&groups)?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    // The change has undone what the launcher asked for. Should it have died meanwhile, its channel is closed.
    Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// Somebody else's rights for the time being, with root's to come back to. It is about the thread that puts it on, and those
/// that it starts meanwhile.
#[derive(Debug)]
pub struct Guise {
    identity: Identity,
    own_groups: Vec<Gid>,
}

impl Guise {
    /// Puts it on. Needs root.
    pub fn put_on(identity: Identity) -> io::Result<Guise> {
        let guise = Guise {
            identity,
            own_groups: rustix::process::getgroups()?,
        };
        guise.enter()?;
        Ok(guise)
    }

    /// Does something as root.
    pub fn without<T>(&self, work: impl FnOnce() -> T) -> io::Result<T> {
        rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?;
        rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?;
        rustix::thread::set_thread_groups(&self.own_groups)?;
        let done = work();
        self.enter()?;
        Ok(done)
    }

    fn enter(&self) -> io::Result<()> {
        let groups: Vec<Gid> = self.identity.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
        let (uid, gid) = (Uid::from_raw(self.identity.uid), Gid::from_raw(self.identity.gid));
        rustix::thread::set_thread_groups(&groups)?;
        rustix::thread::set_thread_res_gid(gid, gid, Gid::ROOT)?;
        Ok(rustix::thread::set_thread_res_uid(uid, uid, Uid::ROOT)?)
    }
}
