//! Readiness of sockets, and one timer that is exact to microseconds.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use rustix::time::{timerfd_create, timerfd_settime};

const TIMER: Token = Token(usize::MAX);

/// A readiness set with a timer. NOTE: the timeout of `epoll_wait` counts in milliseconds and has the slack of ordinary
/// threads; a timer descriptor has neither, and requests are due every few hundred microseconds.
pub(crate) struct Reactor {
    poll: Poll,
    timer: OwnedFd,
}

impl Reactor {
    pub(crate) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        Ok(Self { poll, timer })
    }

    pub(crate) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Waits until a socket is ready, or until `after` has passed; without it, for ever.
    pub(crate) fn wait(&mut self, ready: &mut Events, after: Option<Duration>) -> io::Result<()> {
        if let Some(after) = after {
            // Zero would disarm the timer.
            let after = after.max(Duration::from_nanos(1));
            let value = Timespec::try_from(after).map_err(io::Error::other)?;
            let never = Timespec { tv_sec: 0, tv_nsec: 0 };
            let spec = Itimerspec { it_interval: never, it_value: value };
            // Setting it also clears what expired before.
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &spec)?;
        }
        match self.poll.poll(ready, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                ready.clear();
                Ok(())
            }
            result => result,
        }
    }
}
