//! Log programs that go on under another version of the launcher.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Instant;

use super::{Programs, Running};
use crate::launcher::plan::{LogProgram, Shell};
use crate::launcher::roles;
use crate::process::backoff::Backoff;
use crate::process::handover::{Pack, Unpack, Unreadable};

impl Programs {
    /// Takes another standard error output for its programs.
    pub(in crate::launcher) fn take_stderr(&mut self, stderr: Rc<OwnedFd>) {
        self.stderr = stderr;
    }

    /// Packs all.
    pub(in crate::launcher) fn pack<'a>(&'a self, pack: &mut Pack<'a>) {
        pack.list(self.list.iter(), |pack, running| {
            running.program.pack(pack);
            pack.descriptor(running.reader.as_fd());
            pack.option(running.writer.as_ref(), |pack, writer| {
                pack.descriptor(writer.as_fd());
            });
            pack.option(running.child.as_ref(), roles::pack_child);
        });
    }

    /// Takes over those that were packed; one that had died is started again at once.
    pub(in crate::launcher) fn unpack(&mut self, unpack: &mut Unpack<'_>) -> Result<(), Unreadable> {
        let running = unpack.list(|unpack| {
            let program = LogProgram::unpack(unpack)?;
            let (reader, writer) = (unpack.owned()?, unpack.option(Unpack::shared)?);
            let child = unpack.option(roles::unpack_child)?;
            Ok(Running {
                program,
                reader,
                writer,
                started: Instant::now(),
                backoff: Backoff::default(),
                restart_at: child.is_none().then(Instant::now),
                child,
            })
        });
        self.list.extend(running?);
        Ok(())
    }
}

impl LogProgram {
    /// Packs what it is.
    pub(in crate::launcher) fn pack(&self, pack: &mut Pack<'_>) {
        pack.bytes(&self.command).tag(u8::from(self.shell == Shell::With));
    }

    /// Reads what was packed.
    pub(in crate::launcher) fn unpack(unpack: &mut Unpack<'_>) -> Result<LogProgram, Unreadable> {
        Ok(LogProgram {
            command: unpack.bytes()?,
            shell: match unpack.tag()? {
                0 => Shell::Without,
                1 => Shell::With,
                _ => return Err(Unreadable),
            },
        })
    }
}
