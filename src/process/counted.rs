//! The allocator of the tests: it counts what a thread asks it for.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

struct Counted;

#[global_allocator]
static COUNTED: Counted = Counted;

/// How often a thread that is counted has asked.
static ASKED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    // Neither made nor dropped at run time, so that the allocator may look at it at any time.
    static IS_COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// From now on what this thread asks for is counted.
pub fn begin() {
    IS_COUNTED.set(true);
}

/// How often threads that are counted have asked for memory.
pub fn asked() -> u64 {
    ASKED.load(Ordering::SeqCst)
}

fn count() {
    if IS_COUNTED.get() {
        ASKED.fetch_add(1, Ordering::SeqCst);
    }
}

// SAFETY: everything is done by the system's allocator, with what it was given.
unsafe impl GlobalAlloc for Counted {
    // SAFETY: the caller keeps to the contract, which is the system allocator's.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the caller keeps to the contract, which is the system allocator's.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    // SAFETY: the caller keeps to the contract, which is the system allocator's.
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }

    // SAFETY: the caller keeps to the contract, which is the system allocator's.
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}
