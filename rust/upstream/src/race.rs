//! Connecting to a host with several addresses, as happy eyeballs do (RFC 8305 §5): one attempt after the other, but
//! without waiting for the end of those before, and the first that is established wins.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use crate::error::{Failure, Kind};

/// How long an attempt is alone with those before it: the recommended Connection Attempt Delay.
const DELAY: Duration = Duration::from_millis(250);
/// The least that it is shortened to where the connect deadline is near: RFC 8305's recommended minimum.
const LEAST_DELAY: Duration = Duration::from_millis(100);

/// Addresses in the order to try them, and the attempts under way but for the latest.
pub(crate) struct Race {
    addresses: Arc<[SocketAddr]>,
    /// How many have been tried.
    tried: usize,
    /// Where the latest attempt goes.
    pub(crate) latest: SocketAddr,
    pub(crate) earlier: Vec<(TcpStream, SocketAddr)>,
    /// When the next attempt is to begin, if none is established until then.
    next_at: Option<Instant>,
    /// When the connect deadline passes.
    deadline: Option<Instant>,
}

impl Race {
    /// Begins with the first address that the system accepts.
    pub(crate) fn start(
        addresses: Arc<[SocketAddr]>,
        deadline: Option<Instant>,
        now: Instant,
    ) -> Result<(Self, TcpStream), Failure> {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut race =
            Self { addresses, tried: 0, latest: nowhere, earlier: Vec::new(), next_at: None, deadline };
        let stream = race.attempt(now)?;
        Ok((race, stream))
    }

    /// Begins to connect to the next address that the system accepts.
    pub(crate) fn attempt(&mut self, now: Instant) -> Result<TcpStream, Failure> {
        let mut failure = Failure::new(Kind::Connect, "no address is left to try");
        while let Some(address) = self.addresses.get(self.tried) {
            self.tried += 1;
            match TcpStream::connect(*address) {
                Ok(stream) => {
                    self.latest = *address;
                    self.next_at = self.next_attempt(now);
                    return Ok(stream);
                }
                Err(error) => failure = refused(&error, *address),
            }
        }
        self.next_at = None;
        Err(failure)
    }

    /// When the next attempt is to begin; `None` if no address is left.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.next_at
    }

    /// Every address left gets its turn before the deadline, if that is possible.
    fn next_attempt(&self, now: Instant) -> Option<Instant> {
        let left = u32::try_from(self.addresses.len().checked_sub(self.tried)?).unwrap_or(u32::MAX);
        if left == 0 {
            return None;
        }
        let share = self
            .deadline
            .map_or(DELAY, |deadline| deadline.saturating_duration_since(now) / left.saturating_add(1));
        now.checked_add(share.clamp(LEAST_DELAY, DELAY))
    }
}

/// Whether an attempt is established by now.
pub(crate) fn is_established(stream: &TcpStream, address: SocketAddr) -> Result<bool, Failure> {
    match stream.take_error() {
        Ok(None) => {}
        Ok(Some(error)) | Err(error) => return Err(refused(&error, address)),
    }
    match stream.peer_addr() {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(false),
        Err(error) => return Err(refused(&error, address)),
    }
    stream.set_nodelay(true).map_err(|error| refused(&error, address))?;
    Ok(true)
}

#[cold]
fn refused(error: &io::Error, address: SocketAddr) -> Failure {
    Failure::new(Kind::Connect, format!("{error}, at {address}"))
}
