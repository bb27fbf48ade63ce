//! What a role inherits over `exec`: settings, channels, listeners and logs, by descriptor.
//!
//! Descriptor 3 is a sealed memory file that says how many there are of each; they follow from 4 on, in the order of
//! the fields of [`Outfit`].

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::FdFlags;

use super::channel::Channel;
use super::memfd;
use super::wire::{Malformed, Reader, Writer};
use crate::base::secret::Secret;

/// What a re-executed process is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Serves.
    Worker,
    /// Starts scripts.
    Spawner,
}

/// What a role is given, from the launcher's side.
pub struct Outfit<'a> {
    /// What it is to be.
    pub role: Role,
    /// The settings' text, in a sealed memory file.
    pub settings: BorrowedFd<'a>,
    /// Its end of the channel to the launcher.
    pub launcher: BorrowedFd<'a>,
    /// Its ends of the channels between worker threads and spawner, by thread.
    pub scripts: Vec<BorrowedFd<'a>>,
    /// The listeners: by address in the order of the plan, and for each address by copy. None for a spawner.
    pub listeners: Vec<Vec<BorrowedFd<'a>>>,
    /// The logs, in the order of the plan. None for a spawner, whose log is its stderr.
    pub logs: Vec<BorrowedFd<'a>>,
    /// What all workers share and nobody else knows. Empty for a spawner.
    pub secret: &'a [u8],
    /// The keys of TLS, in a sealed memory file. None for a spawner.
    pub keys: Option<BorrowedFd<'a>>,
}

/// What a role was given, from its own side.
#[derive(Debug)]
pub struct Inherited {
    /// What this process is to be.
    pub role: Role,
    /// The settings' text.
    pub settings: Vec<u8>,
    /// The channel to the launcher.
    pub launcher: Channel,
    /// The channels between worker threads and spawner, by thread.
    pub scripts: Vec<Channel>,
    /// The listeners: by address, and for each address by copy.
    pub listeners: Vec<Vec<OwnedFd>>,
    /// The logs.
    pub logs: Vec<OwnedFd>,
    /// What all workers share and nobody else knows.
    pub secret: Vec<u8>,
    /// The keys of TLS, as they were packed; empty where there are none.
    pub keys: Secret,
}

impl Role {
    /// Its name, as `--role` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Worker => "worker",
            Role::Spawner => "spawner",
        }
    }

    /// The role of a name.
    pub fn from_name(name: &[u8]) -> Option<Role> {
        [Role::Worker, Role::Spawner]
            .into_iter()
            .find(|role| role.name().as_bytes() == name)
    }
}

impl<'a> Outfit<'a> {
    /// The table of contents, for descriptor 3.
    pub fn table(&self) -> io::Result<OwnedFd> {
        let mut writer = Writer::with_tag(match self.role {
            Role::Worker => 1,
            Role::Spawner => 2,
        });
        writer = writer.count(self.scripts.len()).count(self.listeners.len());
        for copies in &self.listeners {
            writer = writer.count(copies.len());
        }
        memfd::sealed(
            "lychgate inherited",
            &writer
                .count(self.logs.len())
                .bytes(self.secret)
                .count(self.keys.iter().len())
                .done(),
        )
    }

    /// Everything from descriptor 4 on, in order.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'a>> {
        let first = [self.settings, self.launcher].into_iter();
        let listeners = self.listeners.iter().flatten();
        let lists = self.scripts.iter().chain(listeners).chain(&self.logs);
        first.chain(lists.chain(&self.keys).copied())
    }
}

impl Inherited {
    /// Takes what this process inherited. It can be taken once; the descriptors are closed on exec from then on.
    pub fn take() -> io::Result<Inherited> {
        take_once()?;
        let table = adopt(TABLE)?;
        let bytes = memfd::read(table.as_fd(), 1024 * 1024)?;
        let mut number = TABLE;
        Inherited::unpack(&bytes, || {
            number += 1;
            adopt(number)
        })
    }

    /// Reads the table and takes each descriptor it tells of from `next`.
    fn unpack(table: &[u8], mut next: impl FnMut() -> io::Result<OwnedFd>) -> io::Result<Inherited> {
        let contents = Contents::read(table).map_err(|Malformed| {
            io::Error::new(io::ErrorKind::InvalidData, "descriptor 3 is no table of a launcher")
        })?;
        let settings = next()?;
        let launcher = Channel::from(next()?);
        let mut scripts = Vec::new();
        for _ in 0..contents.scripts {
            scripts.push(Channel::from(next()?));
        }
        let mut listeners = Vec::new();
        for copies in contents.listeners {
            listeners.push((0..copies).map(|_| next()).collect::<io::Result<Vec<_>>>()?);
        }
        let logs = (0..contents.logs).map(|_| next()).collect::<io::Result<Vec<_>>>()?;
        let keys = (0..contents.keys).map(|_| next()).collect::<io::Result<Vec<_>>>()?;
        let keys = keys.first().map(|keys| memfd::read(keys.as_fd(), MAX_SETTINGS));
        let settings = memfd::read(settings.as_fd(), MAX_SETTINGS)?;
        Ok(Inherited {
            role: contents.role,
            settings,
            launcher,
            scripts,
            listeners,
            logs,
            secret: contents.secret,
            keys: keys.transpose()?.map_or_else(Secret::default, Secret::from),
        })
    }
}

/// The one descriptor, number 3, that a process inherited which is no role. It can be taken once, and instead of
/// [`Inherited::take`].
pub fn take_one() -> io::Result<OwnedFd> {
    take_once()?;
    adopt(TABLE)
}

/// Numbers are made owned descriptors once in a process.
pub(super) fn take_once() -> io::Result<()> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::AcqRel) {
        return Err(io::Error::other("what was inherited has been taken already"));
    }
    Ok(())
}

/// The table at descriptor 3.
struct Contents {
    role: Role,
    scripts: u32,
    listeners: Vec<u32>,
    logs: u32,
    secret: Vec<u8>,
    keys: u32,
}

impl Contents {
    fn read(table: &[u8]) -> Result<Contents, Malformed> {
        let mut reader = Reader::new(table);
        let role = match reader.u8()? {
            1 => Role::Worker,
            2 => Role::Spawner,
            _ => return Err(Malformed),
        };
        let scripts = reader.u32()?;
        let listeners = reader.list(Reader::u32)?;
        let logs = reader.u32()?;
        let secret = reader.bytes()?;
        let keys = reader.u32()?;
        reader.end()?;
        Ok(Contents {
            role,
            scripts,
            listeners,
            logs,
            secret,
            keys,
        })
    }
}

/// Where the table is.
const TABLE: RawFd = 3;

/// The longest settings: far beyond what anybody wrote, it guards against a wrong descriptor only.
const MAX_SETTINGS: u64 = 256 * 1024 * 1024;

/// Makes an inherited descriptor our own.
pub(super) fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: `take` runs once, and nobody else in this process knows of the numbers the launcher chose. A number that
    // is not open is found out by the next line, before it is owned.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_setfd(borrowed, FdFlags::CLOEXEC)
        .map_err(|_| io::Error::new(io::ErrorKind::NotFound, "not started by a launcher"))?;
    // SAFETY: as above, and it is open.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};

    use super::{Inherited, Outfit, Role};
    use crate::base::secret::Secret;
    use crate::process::memfd;

    #[test]
    fn the_table_tells_what_follows_and_every_cut_is_refused() {
        let null: OwnedFd = File::open("/dev/null").expect("it is there").into();
        let settings = memfd::sealed("settings", b"Listen 80\n").expect("memory files work");
        let keys = memfd::sealed("keys", b"a key").expect("memory files work");
        let outfit = Outfit {
            role: Role::Worker,
            settings: settings.as_fd(),
            launcher: null.as_fd(),
            scripts: vec![null.as_fd(); 2],
            listeners: vec![vec![null.as_fd(); 2], vec![null.as_fd(); 3]],
            logs: vec![null.as_fd()],
            secret: b"between us",
            keys: Some(keys.as_fd()),
        };
        let table = memfd::read(outfit.table().expect("memory files work").as_fd(), 1000).expect("sealed");
        let unpack = |table: &[u8]| {
            let mut all = outfit.descriptors();
            let unpacked = Inherited::unpack(table, || {
                all.next().ok_or(io::ErrorKind::NotFound)?.try_clone_to_owned()
            });
            assert!(unpacked.is_err() || all.next().is_none());
            unpacked
        };
        let inherited = unpack(&table).expect("it is whole");
        assert_eq!(
            (inherited.role, inherited.settings.as_slice()),
            (Role::Worker, &b"Listen 80\n"[..])
        );
        assert_eq!((inherited.scripts.len(), inherited.logs.len()), (2, 1));
        assert_eq!(
            (inherited.secret, inherited.keys),
            (b"between us".to_vec(), Secret::from(b"a key".to_vec()))
        );
        assert_eq!(inherited.listeners.iter().map(Vec::len).collect::<Vec<_>>(), [2, 3]);
        for cut in 0..table.len() {
            assert!(unpack(&table[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn roles_have_names() {
        assert_eq!(Role::from_name(b"worker"), Some(Role::Worker));
        assert_eq!(Role::from_name(b"spawner"), Some(Role::Spawner));
        assert_eq!(Role::from_name(b"launcher"), None);
    }
}
