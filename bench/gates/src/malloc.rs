//! `malloc` and its kin in front of glibc's. `free` needs no counter.

use std::ffi::{c_int, c_void};

use crate::{ALLOCATED, IN_PYTHON};

const ENOMEM: c_int = 12;

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_memalign(align: usize, size: usize) -> *mut c_void;
}

fn count(bytes: usize) {
    if !IN_PYTHON.get() {
        let mut allocated = ALLOCATED.get();
        allocated.native += 1;
        allocated.native_bytes += bytes as u64;
        ALLOCATED.set(allocated);
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
    count(size);
    // SAFETY: what callers of malloc promise.
    unsafe { __libc_malloc(size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn calloc(number: usize, size: usize) -> *mut c_void {
    count(number.saturating_mul(size));
    // SAFETY: what callers of calloc promise.
    unsafe { __libc_calloc(number, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    count(size);
    // SAFETY: what callers of realloc promise.
    unsafe { __libc_realloc(block, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    count(size);
    // SAFETY: what callers of aligned_alloc promise.
    unsafe { __libc_memalign(align, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn posix_memalign(into: *mut *mut c_void, align: usize, size: usize) -> c_int {
    count(size);
    // SAFETY: what callers of posix_memalign promise.
    let block = unsafe { __libc_memalign(align, size) };
    if block.is_null() {
        return ENOMEM;
    }
    // SAFETY: the same.
    unsafe { into.write(block) };
    0
}
