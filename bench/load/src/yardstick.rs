//! A fixed amount of work whose CPU time tells how fast the machine is at this moment.
//!
//! A virtual machine's cores change their speed with the neighbours of its host: the same program costs 20 to 40 % more
//! CPU time in one minute than in the next, and nothing inside the machine shows it. What was measured beside this work
//! can be stated at the work's nominal speed. It has the parts that a router's CPU time has, neither of them clever:
//! arithmetic that depends on its last result, and bytes that pass through the kernel's TCP. The cost of waking another
//! core is measured besides. (A walk through more memory than the cache has was tried, too: it told more about what
//! others did on the machine than about what was measured, and made figures spread two to four times as far.)

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

const MULTIPLICATIONS: u64 = 3_000_000;
const MESSAGE: usize = 1_024;
const MESSAGES: usize = 3_000;
const WAKES: usize = 500;

/// CPU time of each part of the work, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Yardstick {
    /// Multiplications, each of the last one's result.
    pub arithmetic_us: f64,
    /// Messages of 1 kB over a loopback connection, written and read by one thread.
    pub system_us: f64,
    /// Bytes between two threads on two cores, each of which sleeps until one comes; the time of both. Zero where there
    /// is one core. NOTE: left to the scheduler it is 3 or 37 ms on our virtual machine, by whether they share a core.
    pub wake_us: f64,
}

/// Does the work once.
///
/// # Errors
/// When there is no loopback.
pub fn yardstick() -> io::Result<Yardstick> {
    // The last core is the one where benchmarks put what they measure.
    let (other, own) = cores()?;
    stay_on(own)?;
    let (mut near, mut far) = connected()?;
    let (mut here, there) = connected()?;
    Ok(Yardstick {
        arithmetic_us: cost(|| Ok(arithmetic()))?,
        system_us: cost(|| system(&mut near, &mut far))?,
        wake_us: if other == own { 0.0 } else { cost(|| wake(&mut here, there, other))? },
    })
}

/// CPU time of all threads of this process.
pub(crate) fn cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// CPU time of what it does, in microseconds.
fn cost<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<f64> {
    let before = cpu();
    std::hint::black_box(work()?);
    Ok(cpu().saturating_sub(before).as_secs_f64() * 1e6)
}

fn arithmetic() -> u64 {
    (0..MULTIPLICATIONS).fold(1, |state: u64, number| (state ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

fn system(near: &mut TcpStream, far: &mut TcpStream) -> io::Result<()> {
    let mut message = [7; MESSAGE];
    for _ in 0..MESSAGES {
        near.write_all(&message)?;
        far.read_exact(&mut message)?;
    }
    Ok(())
}

fn wake(here: &mut TcpStream, mut there: TcpStream, other: usize) -> io::Result<()> {
    let answering = thread::spawn(move || stay_on(other).and_then(|()| echo(&mut there)));
    let mut byte = [0];
    for _ in 0..WAKES {
        here.write_all(&byte)?;
        here.read_exact(&mut byte)?;
    }
    answering.join().map_err(|_| io::Error::other("the other thread ended"))?
}

/// The first and the last core that this process may use.
fn cores() -> io::Result<(usize, usize)> {
    let allowed = sched_getaffinity(None)?;
    let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
    let first = cores.next().unwrap_or_default();
    Ok((first, cores.next_back().unwrap_or(first)))
}

/// Keeps this thread on a core.
fn stay_on(core: usize) -> io::Result<()> {
    let mut only = CpuSet::new();
    only.set(core);
    Ok(sched_setaffinity(None, &only)?)
}

fn echo(stream: &mut TcpStream) -> io::Result<()> {
    let mut byte = [0];
    for _ in 0..WAKES {
        stream.read_exact(&mut byte)?;
        stream.write_all(&byte)?;
    }
    Ok(())
}

/// A connection to itself.
fn connected() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    Ok((near, far))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_takes_time() {
        let Yardstick { arithmetic_us, system_us, wake_us } = yardstick().unwrap();
        assert!(arithmetic_us > 0.0 && system_us > 0.0 && wake_us >= 0.0);
    }
}
