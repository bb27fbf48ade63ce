//! Executing another version of our program in place of this process, which keeps its number, its children and the
//! descriptors that are handed over (execve(2)).
//!
//! What the next one must know is packed into a table in a sealed memory file. Descriptors keep their numbers, which
//! stand in the table; the number of the table itself is on the command line.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;

use rustix::io::FdFlags;

use super::environment::Environment;
use super::exec::pointers;
use super::inherit::adopt;
use super::memfd;
use super::wire::{Malformed, Reader, Writer};

/// A table being packed.
pub struct Pack<'a> {
    writer: Option<Writer>,
    descriptors: Vec<BorrowedFd<'a>>,
}

/// A table being read, with the descriptors it tells of.
pub struct Unpack<'a> {
    reader: Reader<'a>,
    /// None for those that are somebody's own.
    taken: BTreeMap<RawFd, Option<Rc<OwnedFd>>>,
    take: fn(RawFd) -> io::Result<OwnedFd>,
}

/// A table that cannot be read, or a descriptor of it that is not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

impl<'a> Pack<'a> {
    /// An empty one of this version.
    pub fn new(version: u8) -> Pack<'a> {
        Pack {
            writer: Some(Writer::with_tag(version)),
            descriptors: Vec::new(),
        }
    }

    fn write(&mut self, write: impl FnOnce(Writer) -> Writer) -> &mut Pack<'a> {
        self.writer = self.writer.take().map(write);
        self
    }

    /// A small number, or the tag of a variant.
    pub fn tag(&mut self, tag: u8) -> &mut Pack<'a> {
        self.write(|writer| writer.u8(tag))
    }

    /// A number.
    pub fn number(&mut self, number: u64) -> &mut Pack<'a> {
        self.write(|writer| writer.u64(number))
    }

    /// A string of bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Pack<'a> {
        self.write(|writer| writer.bytes(bytes))
    }

    /// A descriptor. The same one may be packed more than once.
    pub fn descriptor(&mut self, descriptor: BorrowedFd<'a>) -> &mut Pack<'a> {
        self.descriptors.push(descriptor);
        self.write(|writer| writer.i32(descriptor.as_raw_fd()))
    }

    /// A thing that may be missing.
    pub fn option<T>(&mut self, thing: Option<T>, pack: impl FnOnce(&mut Pack<'a>, T)) -> &mut Pack<'a> {
        self.tag(u8::from(thing.is_some()));
        if let Some(thing) = thing {
            pack(self, thing);
        }
        self
    }

    /// A list.
    pub fn list<T>(
        &mut self,
        things: impl ExactSizeIterator<Item = T>,
        mut pack: impl FnMut(&mut Pack<'a>, T),
    ) -> &mut Pack<'a> {
        self.write(|writer| writer.count(things.len()));
        things.for_each(|thing| pack(self, thing));
        self
    }
}

impl<'a> Unpack<'a> {
    /// A table as [`Pack`] made it, behind its version. Numbers become descriptors of our own; do this once in a process.
    fn new(table: &'a [u8], take: fn(RawFd) -> io::Result<OwnedFd>) -> Unpack<'a> {
        Unpack {
            reader: Reader::new(table),
            taken: BTreeMap::new(),
            take,
        }
    }

    /// A small number, or the tag of a variant.
    pub fn tag(&mut self) -> Result<u8, Unreadable> {
        Ok(self.reader.u8()?)
    }

    /// A number.
    pub fn number(&mut self) -> Result<u64, Unreadable> {
        Ok(self.reader.u64()?)
    }

    /// A string of bytes.
    pub fn bytes(&mut self) -> Result<Vec<u8>, Unreadable> {
        Ok(self.reader.bytes()?)
    }

    /// A descriptor that others may have as well.
    pub fn shared(&mut self) -> Result<Rc<OwnedFd>, Unreadable> {
        let number = self.reader.i32()?;
        if let Some(known) = self.taken.get(&number) {
            return known.clone().ok_or(Unreadable);
        }
        let taken = Rc::new((self.take)(number).map_err(|_| Unreadable)?);
        self.taken.insert(number, Some(Rc::clone(&taken)));
        Ok(taken)
    }

    /// A descriptor that is packed once only.
    pub fn owned(&mut self) -> Result<OwnedFd, Unreadable> {
        let number = self.reader.i32()?;
        if self.taken.insert(number, None).is_some() {
            return Err(Unreadable);
        }
        (self.take)(number).map_err(|_| Unreadable)
    }

    /// A thing that may be missing.
    pub fn option<T>(
        &mut self,
        unpack: impl FnOnce(&mut Unpack<'a>) -> Result<T, Unreadable>,
    ) -> Result<Option<T>, Unreadable> {
        match self.tag()? {
            0 => Ok(None),
            1 => unpack(self).map(Some),
            _ => Err(Unreadable),
        }
    }

    /// A list.
    pub fn list<T>(
        &mut self,
        mut unpack: impl FnMut(&mut Unpack<'a>) -> Result<T, Unreadable>,
    ) -> Result<Vec<T>, Unreadable> {
        let length = self.reader.u32()?;
        (0..length).map(|_| unpack(self)).collect()
    }

    /// Nothing may be left.
    pub fn end(self) -> Result<(), Unreadable> {
        Ok(self.reader.end()?)
    }
}

impl From<Malformed> for Unreadable {
    fn from(Malformed: Malformed) -> Unreadable {
        Unreadable
    }
}

/// Reads the table behind this descriptor number with `unpack`, if it is of this version.
pub fn unpack<T>(
    number: RawFd,
    version: u8,
    unpack: impl FnOnce(&mut Unpack<'_>) -> Result<T, Unreadable>,
) -> io::Result<T> {
    let unreadable = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    super::inherit::take_once()?;
    let table = adopt(number)?;
    let table = memfd::read(table.as_fd(), LONGEST)?;
    let Some((found, rest)) = table.split_first() else {
        return Err(unreadable("an empty table"));
    };
    if *found != version {
        return Err(unreadable("the table of another version"));
    }
    let mut unpacking = Unpack::new(rest, adopt);
    let unpacked = unpack(&mut unpacking).and_then(|unpacked| unpacking.end().map(|()| unpacked));
    unpacked.map_err(|Unreadable| unreadable("not the table of a launcher"))
}

/// The longest table: far beyond what it takes, it guards against a wrong descriptor only.
const LONGEST: u64 = 64 * 1024 * 1024;

/// A program to become.
pub struct Next<'a> {
    /// The program, open.
    pub program: BorrowedFd<'a>,
    /// Its arguments, made when the number of the table is known.
    pub argv: &'a dyn Fn(RawFd) -> Vec<CString>,
    /// Its environment.
    pub env: &'a Environment,
    /// Where it starts.
    pub directory: BorrowedFd<'a>,
}

/// Executes the next program in this process, which hands over what was packed. It returns only when that fails, and
/// then all is as it was before. Call it while there is but one thread.
pub fn execute(next: &Next<'_>, pack: Pack<'_>) -> io::Error {
    let here = match rustix::fs::open(".", PATH_ONLY, rustix::fs::Mode::empty()) {
        Ok(here) => here,
        Err(error) => return error.into(),
    };
    let Pack { writer, descriptors } = pack;
    let table = match memfd::sealed("lychgate handed over", &writer.unwrap_or_default().done()) {
        Ok(table) => table,
        Err(error) => return error,
    };
    let all = || descriptors.iter().copied().chain([table.as_fd()]);
    let kept = all().try_for_each(|fd| rustix::io::fcntl_setfd(fd, FdFlags::empty()));
    let entered = kept.and_then(|()| rustix::process::fchdir(next.directory));
    let error = match entered {
        Ok(()) => replace_program(next.program, &(next.argv)(table.as_raw_fd()), next.env),
        Err(error) => error.into(),
    };
    for descriptor in all() {
        // It was open a moment ago; a failure here would only hand it to children, which close what is not theirs.
        let _unlikely = rustix::io::fcntl_setfd(descriptor, FdFlags::CLOEXEC);
    }
    let _back_where_we_came_from = rustix::process::fchdir(here);
    error
}

const PATH_ONLY: rustix::fs::OFlags = rustix::fs::OFlags::PATH.union(rustix::fs::OFlags::CLOEXEC);

fn replace_program(program: BorrowedFd<'_>, argv: &[CString], env: &Environment) -> io::Error {
    let (argv, env) = (pointers(argv), env.pointers());
    let empty: &CStr = c"";
    // SAFETY: both lists end with a null and live, with their strings, until the call has failed.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            empty.as_ptr(),
            argv.as_ptr(),
            env.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    io::Error::last_os_error()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
    use std::rc::Rc;

    use super::{Pack, Unpack, Unreadable};

    /// A copy of an open descriptor, in place of the descriptor itself.
    fn copy(number: RawFd) -> io::Result<OwnedFd> {
        // SAFETY: the numbers of this test's table are those of files it holds open.
        unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned()
    }

    type Unpacked = (Vec<u8>, Option<u64>, Vec<Rc<OwnedFd>>);

    fn unpack(table: &[u8]) -> Result<Unpacked, Unreadable> {
        let mut unpack = Unpack::new(table, copy);
        let unpacked = (
            unpack.bytes()?,
            unpack.option(Unpack::number)?,
            unpack.list(Unpack::shared)?,
        );
        unpack.end()?;
        Ok(unpacked)
    }

    #[test]
    fn what_is_packed_is_unpacked_and_every_cut_is_refused() {
        let null = File::open("/dev/null").expect("it is there");
        let other = File::open("/dev/zero").expect("it is there");
        let mut pack = Pack::new(1);
        pack.bytes(b"text").option(Some(7), |pack, number| {
            pack.number(number);
        });
        pack.list([&null, &other, &null].into_iter(), |pack, file| {
            pack.descriptor(file.as_fd());
        });
        assert_eq!(pack.descriptors[0].as_raw_fd(), null.as_raw_fd());
        let table = pack.writer.take().expect("it is whole").done();
        let (text, number, shared) = unpack(&table[1..]).expect("it is whole");
        assert_eq!((text.as_slice(), number), (b"text".as_slice(), Some(7)));
        assert!(Rc::ptr_eq(&shared[0], &shared[2]) && !Rc::ptr_eq(&shared[0], &shared[1]));
        for cut in 1..table.len() {
            assert_eq!(unpack(&table[1..cut]).map(drop), Err(Unreadable), "{cut}");
        }
    }

    #[test]
    fn a_descriptor_for_one_is_not_for_two() {
        let null = File::open("/dev/null").expect("it is there");
        let mut pack = Pack::new(1);
        pack.descriptor(null.as_fd()).descriptor(null.as_fd());
        let table = pack.writer.take().expect("it is whole").done();
        let mut unpack = Unpack::new(&table[1..], copy);
        unpack.shared().expect("it is open");
        assert_eq!(unpack.owned().map(drop), Err(Unreadable));
    }
}
