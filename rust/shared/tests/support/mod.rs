//! Shared by the integration tests: files that remove themselves, processes of one's own, guards against hanging.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use edgeroute_shared::{Cells, Layout};

pub(crate) const SMALL: Layout = Layout { exact: 256, gauges: 64, sums: 64, rows: 8 };
const FILE: &str = "EDGEROUTE_TEST_MEMORY_FILE";

pub(crate) struct TemporaryFile(PathBuf);

impl TemporaryFile {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("edgeroute-test-{}-{count}", std::process::id())))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A process that is killed at the latest when its test ends.
pub(crate) struct Worker(Child);

impl Worker {
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Kills it and leaves a zombie behind.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
    }

    /// Whether it ended by itself and well.
    pub(crate) fn finish(mut self) -> bool {
        self.0.wait().unwrap().success()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs one ignored test of this binary in a process of its own, on the file.
pub(crate) fn spawn(test: &str, file: &TemporaryFile) -> Worker {
    let child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture"])
        .env(FILE, file.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    Worker(child)
}

/// In such a process: the file. `None` when a person ran the ignored tests by hand.
pub(crate) fn spawned_on() -> Option<Cells> {
    Some(Cells::open(std::env::var_os(FILE)?).unwrap())
}

/// Waits until something is so; the limit only keeps a broken test from hanging.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited too long until {what}");
        std::thread::yield_now();
    }
}
