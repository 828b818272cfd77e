//! Counts allocations. Whatever links or preloads this library gets its `malloc`, which is glibc's behind a counter;
//! Python's own allocator is wrapped by [`python`], so that the two sides of the border are told apart. Counts are of
//! one thread: what other threads allocate meanwhile is not in them. It knows nothing of what is being measured.
#![expect(unsafe_code, reason = "an allocator is")]

// Elsewhere nothing is counted, and the workspace still builds.
#[cfg(target_env = "gnu")]
mod malloc;
pub mod python;

use std::cell::Cell;

/// What one thread has allocated so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Allocated {
    /// Calls of `malloc` and its kin; one that moves or grows a block is one more.
    pub native: u64,
    /// Bytes asked for by them.
    pub native_bytes: u64,
    /// The same of Python's allocator; objects from free lists are not in it.
    pub python: u64,
    /// Bytes asked for by Python.
    pub python_bytes: u64,
}

thread_local! {
    static ALLOCATED: Cell<Allocated> = const {
        Cell::new(Allocated { native: 0, native_bytes: 0, python: 0, python_bytes: 0 })
    };
    /// Whether Python's allocator is at work: what it takes from `malloc` is Python's.
    static IN_PYTHON: Cell<bool> = const { Cell::new(false) };
}

/// What this thread has allocated so far.
#[inline(never)]
pub fn allocated() -> Allocated {
    ALLOCATED.get()
}

/// The same for callers in other languages.
///
/// # Safety
///
/// `into` must be valid for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn edgeroute_allocated(into: *mut Allocated) {
    // SAFETY: the caller's promise.
    unsafe { into.write(allocated()) }
}
