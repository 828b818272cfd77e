//! Threads whose faults end them alone, and no process.
//!
//! LMDB maps its file and trusts what it finds. A file that is damaged or cut off while it is in use, and a disk that
//! cannot be read, are an assertion in LMDB (SIGABRT), an address that is none (SIGSEGV) or a page that cannot be had
//! (SIGBUS): signals to the thread that was reading, which by default end the process, with all its requests. Here the
//! handler takes the file away, so that everyone opens a new one, gives up the thread's locks and ends the thread. The
//! kernel passes on the mutexes that it held, which are robust (`set_robust_list(2)`). What it had in memory, its map of
//! the former file too, stays until the process ends.
//!
//! The handler does nothing that `signal-safety(7)` does not allow: it closes, unlinks, writes to a pipe, and ends the
//! thread by a system call, for Rust and the C library must not clean up after it.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::CString;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::Relaxed};

use crate::environment::Identity;

const SIGNALS: [libc::c_int; 3] = [libc::SIGABRT, libc::SIGBUS, libc::SIGSEGV];
const NONE: RawFd = -1;

/// What the handler did before, by signal.
static BEFORE: OnceLock<[libc::sigaction; SIGNALS.len()]> = OnceLock::new();

thread_local! {
    /// Of a thread that runs under [`contain`].
    static OWN: Cell<*const Own> = const { Cell::new(ptr::null()) };
}

/// What the handler needs of a thread.
struct Own {
    /// Tells the one who waits.
    told: OwnedFd,
    /// Data and lock file of LMDB, and which file is meant.
    files: OnceLock<[CString; 2]>,
    identity: [AtomicU64; 2],
    /// Files whose locks the thread holds.
    locks: [AtomicI32; 2],
}

/// A thread whose faults end it alone.
#[expect(dead_code, reason = "the handler uses it")]
struct Registered(Box<Own>);

/// Held for as long as a lock of this thread is to be given up in a fault.
pub(crate) struct Held(RawFd);

/// Runs this on a thread of its own and waits for its end; whether a fault ended it.
pub(crate) fn contain(name: &str, run: impl FnOnce() + Send) -> std::io::Result<bool> {
    BEFORE.get_or_init(install);
    let (reader, told) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let own = Own {
        told,
        files: OnceLock::new(),
        identity: [const { AtomicU64::new(0) }; 2],
        locks: [const { AtomicI32::new(NONE) }; 2],
    };
    let body = move || {
        let _registered = Registered::new(own);
        run();
    };
    // SAFETY: what `run` borrows outlives this call, which returns only when the thread has ended: the pipe has two ends
    // until the other one is closed or written to, and a thread that has written to it runs nothing any more.
    let thread = unsafe { std::thread::Builder::new().name(name.to_owned()).spawn_unchecked(body)? };
    let mut reader = File::from(reader);
    let told = loop {
        match reader.read(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            told => break told,
        }
    };
    if matches!(told, Ok(1)) {
        return Ok(true);
    }
    // A panic was told on the standard error.
    _ = thread.join();
    Ok(false)
}

impl Registered {
    fn new(own: Own) -> Self {
        let own = Box::new(own);
        OWN.set(&raw const *own);
        Self(own)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        OWN.set(ptr::null());
    }
}

/// The file that this thread uses from now on.
pub(crate) fn uses(data: &Path, identity: Identity) {
    with_own(|own| {
        let c = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
        own.files.get_or_init(|| [c(data), c(&data.with_extension("mdb-lock"))]);
        own.identity.iter().zip([identity.0, identity.1]).for_each(|(to, from)| to.store(from, Relaxed));
    });
}

/// This thread holds a lock on the file.
pub(crate) fn holds(file: &File) -> Held {
    let fd = file.as_raw_fd();
    with_own(|own| {
        _ = own.locks.iter().find(|lock| lock.compare_exchange(NONE, fd, Relaxed, Relaxed).is_ok());
    });
    Held(fd)
}

impl Drop for Held {
    fn drop(&mut self) {
        with_own(|own| {
            own.locks.iter().for_each(|lock| _ = lock.compare_exchange(self.0, NONE, Relaxed, Relaxed));
        });
    }
}

fn with_own(run: impl FnOnce(&Own)) {
    let own = OWN.get();
    if !own.is_null() {
        // SAFETY: it is there until the thread has ended.
        run(unsafe { &*own });
    }
}

fn install() -> [libc::sigaction; SIGNALS.len()] {
    SIGNALS.map(|signal| {
        let mut before = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: a structure of zeros is one; both live for the call.
        unsafe {
            let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
            action.sa_sigaction = handle as *const () as usize;
            libc::sigaction(signal, &raw const action, before.as_mut_ptr());
            before.assume_init()
        }
    })
}

/// The handler, of whichever thread has the fault.
extern "C" fn handle(signal: libc::c_int) {
    let own = OWN.get();
    if own.is_null() {
        pass_on(signal);
        return;
    }
    // SAFETY: it is there until the thread has ended; the strings end with zeros; closing what is open, once, is what
    // the thread would do, and it does nothing more.
    unsafe {
        let own = &*own;
        if let Some([data, lock]) = own.files.get() {
            let mut found = MaybeUninit::<libc::stat>::zeroed();
            let is_there = libc::stat(data.as_ptr(), found.as_mut_ptr()) == 0;
            let found = found.assume_init();
            let [device, inode] = &own.identity;
            if is_there && found.st_dev == device.load(Relaxed) && found.st_ino == inode.load(Relaxed) {
                libc::unlink(data.as_ptr());
                libc::unlink(lock.as_ptr());
            }
        }
        for lock in &own.locks {
            match lock.load(Relaxed) {
                NONE => {}
                fd => _ = libc::flock(fd, libc::LOCK_UN),
            }
        }
        libc::write(own.told.as_raw_fd(), [1_u8].as_ptr().cast(), 1);
        libc::syscall(libc::SYS_exit, 0);
    }
}

/// Does what would have been done without this.
fn pass_on(signal: libc::c_int) {
    let before = SIGNALS.iter().zip(BEFORE.get().into_iter().flatten()).find(|(each, _)| **each == signal);
    // SAFETY: either a handler that was there before, or the default.
    unsafe {
        match before {
            Some((_, before)) => _ = libc::sigaction(signal, before, ptr::null_mut()),
            None => _ = libc::signal(signal, libc::SIG_DFL),
        }
        // Delivered as soon as this one has returned.
        libc::raise(signal);
    }
}
