//! Runs one phase of a request many times, over 1,024 different requests, so that callgrind counts the instructions
//! of [`measured`] and nothing else; prints what the phase has allocated, as JSON.

mod phases;

use std::env;
use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::process::ExitCode;

use edgeroute_gates::{Allocated, allocated};

/// Requests that are measured, and as many before them that warm up; a multiple of the different ones.
const COUNT: usize = 2_048;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("edgeroute-gates: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(phase), Some(configuration)) = (arguments.next(), arguments.next()) else {
        return Err("usage: edgeroute-gates PHASE CONFIGURATION (normalised, as workers get it)".into());
    };
    let mut counter = Counter::default();
    phases::run(&phase, &fs::read(configuration)?, &mut counter)?;
    let Allocated { native, native_bytes, .. } = counter.allocated;
    println!(r#"{{"count":{COUNT},"allocations":{native},"bytes":{native_bytes}}}"#);
    Ok(())
}

/// Tells what is measured from what prepares it.
#[derive(Default)]
struct Counter {
    warm: bool,
    allocated: Allocated,
}

impl Counter {
    /// What is done here is measured, once everything is warm.
    fn measure<T>(&mut self, work: impl FnOnce() -> T) -> T {
        if !self.warm {
            return black_box(work());
        }
        let before = allocated();
        let result = measured(work);
        let after = allocated();
        self.allocated.native += after.native - before.native;
        self.allocated.native_bytes += after.native_bytes - before.native_bytes;
        result
    }

    /// Does something for one request after the other: first to warm up, then to measure.
    fn each(&mut self, mut request: impl FnMut(&mut Self, usize)) {
        for warm in [false, true] {
            self.warm = warm;
            (0..COUNT).for_each(|index| request(self, index));
        }
    }
}

/// Callgrind collects while this runs (`--toggle-collect`); its name and that it is not inlined are what counts.
#[inline(never)]
fn measured<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}
