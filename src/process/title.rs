//! The name `ps` shows for a role: its first argument, with the rest of the command line blanked.

use std::ffi::CStr;
use std::sync::OnceLock;
use std::{fs, io, ptr};

/// Leaves only the first argument in the command line that `ps` shows, and sets the short name (`ps -e`, `pidof`).
///
/// Call it while there is but one thread and after the arguments have been read: they are gone afterwards.
pub fn keep_first_argument(short_name: &CStr) -> io::Result<()> {
    rustix::thread::set_name(short_name)?;
    let command_line = fs::read("/proc/self/cmdline")?;
    let first = command_line
        .iter()
        .position(|byte| *byte == 0)
        .map_or(command_line.len(), |end| end + 1);
    let (start, end) = argument_memory()?;
    if end.saturating_sub(start) != command_line.len() || first >= command_line.len() {
        return Ok(());
    }
    let rest = ptr::with_exposed_provenance_mut::<u8>(start + first);
    // SAFETY: the kernel says that our arguments lie from `start` to `end`, and we have just read them whole; that
    // memory is writable, on the initial stack, and nobody has a reference into it: the standard library copies.
    unsafe { ptr::write_bytes(rest, 0, command_line.len() - first) };
    let _set_once = ARGUMENTS.set((start, end));
    Ok(())
}

/// Where our arguments lie in memory, once nobody reads them any more.
static ARGUMENTS: OnceLock<(usize, usize)> = OnceLock::new();

/// Changes the whole command line that `ps` shows, and the short name. A title that does not fit, or that follows no
/// [`keep_first_argument`], changes the short name only.
///
/// Call it while there is but one thread.
pub fn rename(title: &CStr, short_name: &CStr) -> io::Result<()> {
    rustix::thread::set_name(short_name)?;
    let title = title.to_bytes_with_nul();
    if let Some((start, end)) = ARGUMENTS.get()
        && let Some(rest) = (end - start).checked_sub(title.len())
    {
        let memory = ptr::with_exposed_provenance_mut::<u8>(*start);
        // SAFETY: the kernel said that our arguments lie from `start` to `end`, which the title fits into; that memory is
        // writable, on the initial stack, and nobody has a reference into it: the standard library copies.
        unsafe {
            ptr::copy_nonoverlapping(title.as_ptr(), memory, title.len());
            ptr::write_bytes(memory.add(title.len()), 0, rest);
        }
    }
    Ok(())
}

/// Where the arguments lie in memory: fields 48 and 49 of /proc/self/stat, proc_pid_stat(5).
fn argument_memory() -> io::Result<(usize, usize)> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = after_name.split_ascii_whitespace().skip(48 - 3);
    let mut next = || fields.next().and_then(|field| field.parse().ok());
    match (next(), next()) {
        (Some(from), Some(to)) => Ok((from, to)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "no argument addresses in /proc/self/stat",
        )),
    }
}
