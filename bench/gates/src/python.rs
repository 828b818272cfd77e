//! Functions for `PyMem_SetAllocator`, in front of the allocator that Python had: the context is that allocator.

use std::ffi::c_void;

use crate::{ALLOCATED, IN_PYTHON};

/// `PyMemAllocatorEx` of CPython (docs.python.org/3/c-api/memory.html).
#[derive(Debug)]
#[repr(C)]
pub struct Allocator {
    context: *mut c_void,
    malloc: unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void,
    calloc: unsafe extern "C" fn(*mut c_void, usize, usize) -> *mut c_void,
    realloc: unsafe extern "C" fn(*mut c_void, *mut c_void, usize) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void, *mut c_void),
}

fn count(bytes: usize, allocate: impl FnOnce() -> *mut c_void) -> *mut c_void {
    let mut allocated = ALLOCATED.get();
    allocated.python += 1;
    allocated.python_bytes += bytes as u64;
    ALLOCATED.set(allocated);
    let outer = IN_PYTHON.replace(true);
    let block = allocate();
    IN_PYTHON.set(outer);
    block
}

/// Counts a call of the allocator's `malloc`.
///
/// # Safety
///
/// `inner` must point to an allocator that lives on; the rest is as for `malloc`. So it is for the others.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn edgeroute_python_malloc(inner: *const Allocator, size: usize) -> *mut c_void {
    // SAFETY: the caller's promise; so it is below.
    count(size, || unsafe { ((*inner).malloc)((*inner).context, size) })
}

/// Counts a call of the allocator's `calloc`.
///
/// # Safety
///
/// As above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn edgeroute_python_calloc(
    inner: *const Allocator,
    number: usize,
    size: usize,
) -> *mut c_void {
    count(number.saturating_mul(size), || unsafe { ((*inner).calloc)((*inner).context, number, size) })
}

/// Counts a call of the allocator's `realloc`.
///
/// # Safety
///
/// As above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn edgeroute_python_realloc(
    inner: *const Allocator,
    block: *mut c_void,
    size: usize,
) -> *mut c_void {
    count(size, || unsafe { ((*inner).realloc)((*inner).context, block, size) })
}

/// Passes a call of the allocator's `free` on.
///
/// # Safety
///
/// As above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn edgeroute_python_free(inner: *const Allocator, block: *mut c_void) {
    unsafe { ((*inner).free)((*inner).context, block) }
}
