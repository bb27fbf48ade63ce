//! What a process need not keep in memory once it has started: free heap, and the pages of code that only starting needs.

use std::ffi::{c_int, c_void};
use std::ptr;

/// Gives back to the system what only starting needed: the free parts of the heap, and our own program's code and constants,
/// whose pages come back from the page cache as they are used again. What a role of ours needs while it waits is a small part
/// of what it has run through by then.
///
/// Measured: 5 of 14 MiB that all roles took together (PSS). The first requests take back what pages they need.
pub fn give_back() {
    give_back_heap();
    // SAFETY: the callback takes no data and keeps nothing of what it is shown.
    unsafe { libc::dl_iterate_phdr(Some(leave_pages), ptr::null_mut()) };
}

/// Gives the free parts of the heap back to the system.
pub fn give_back_heap() {
    // SAFETY: an ordinary call of the C library, which locks what it must.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Lets go of the pages of one object's segments that are not writable; stops after the first object, which is the program
/// itself (dl_iterate_phdr(3)).
// SAFETY: for the loader alone to call, which shows what is true.
unsafe extern "C" fn leave_pages(object: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    // SAFETY: the loader shows a valid description, which lives as long as this call.
    let object = unsafe { &*object };
    if object.dlpi_phdr.is_null() {
        return 1;
    }
    // SAFETY: the loader says that so many program headers are there; they are part of the program and never change.
    let segments = unsafe { std::slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum)) };
    for segment in segments {
        if segment.p_type == libc::PT_LOAD && segment.p_flags & libc::PF_W == 0 {
            leave(object.dlpi_addr.wrapping_add(segment.p_vaddr), segment.p_memsz);
        }
    }
    1
}

/// Lets go of the whole pages from `start` on.
fn leave(start: u64, length: u64) {
    // SAFETY: asks for a number.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let Some(page) = u64::try_from(page).ok().filter(|page| page.is_power_of_two()) else {
        return;
    };
    let first = start.next_multiple_of(page);
    let end = start.saturating_add(length) & !(page - 1);
    let (Ok(first), Ok(length)) = (usize::try_from(first), usize::try_from(end.saturating_sub(first))) else {
        return;
    };
    // SAFETY: these are pages of a file, mapped privately and never writable, so that none of them differs from the file: what
    // is read or run there next is read from it again. The file cannot be written to while it is executed (ETXTBSY).
    unsafe {
        // Pages that are locked stay, and that is all there is to it.
        libc::madvise(ptr::with_exposed_provenance_mut(first), length, libc::MADV_DONTNEED);
    }
}

#[cfg(test)]
mod tests {
    use super::give_back;

    /// Code and constants of ours that were used before.
    #[inline(never)]
    fn used(of: &[u32]) -> u32 {
        const NUMBERS: [u32; 4096] = [7; 4096];
        of.iter()
            .zip(std::hint::black_box(&NUMBERS))
            .map(|(one, other)| one * other)
            .sum()
    }

    #[test]
    fn what_was_given_back_is_there_when_it_is_used_again() {
        let before = used(&[1; 4096]);
        let kept: Vec<Vec<u8>> = (0..1000_usize).map(|length| vec![7; length]).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..100).for_each(|_| assert_eq!(used(&[1; 4096]), before)));
            (0..10).for_each(|_| give_back());
        });
        assert_eq!(used(&[1; 4096]), before);
        assert!(kept.iter().enumerate().all(|(length, bytes)| bytes.len() == length));
    }
}
