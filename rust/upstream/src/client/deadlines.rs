//! When a connection or a waiting exchange is due, and what happens then.

use std::time::Instant;

use super::{Client, Owner};
use crate::connection::Stage;
use crate::error::{Deadline, Failure, Kind};
use crate::exchange::Place;
use crate::slots::Key;

/// A place became free, but not the time to open a connection.
const TOO_LATE: &str = "there was a free place too late to connect";

/// What is due on a connection.
enum Due {
    Idle,
    NextAddress,
    Timeout(Deadline),
}

impl Client {
    /// Acts on the deadlines that have passed.
    pub(super) fn expire(&mut self, now: Instant) {
        let mut put_off = Vec::new();
        while let Some((at, owner)) = self.timers.pop_due(now) {
            match owner {
                Owner::Exchange(key) => self.expire_exchange(key, at, now),
                Owner::Connection(key) => {
                    let Some(connection) = self.connections.get_mut(key) else { continue };
                    if connection.armed != Some(at) {
                        continue;
                    }
                    connection.armed = None;
                    let queued = connection.queued;
                    match self.due(key) {
                        Some((at, _)) if at > now => self.arm(key),
                        // What arrived in time is still to be read.
                        Some((_, due)) if queued && !matches!(due, Due::Timeout(Deadline::Total)) => {
                            put_off.push(key);
                        }
                        Some((_, Due::Timeout(deadline))) => self.time_out(key, deadline, now),
                        Some((_, Due::NextAddress)) => match self.attempt_next(key, now) {
                            Ok(()) => self.arm(key),
                            Err(failure) => self.fail_connection(key, failure, now),
                        },
                        Some((_, Due::Idle)) => self.close(key),
                        None => {}
                    }
                }
            }
        }
        for key in put_off {
            self.arm(key);
        }
    }

    fn expire_exchange(&mut self, key: Key, at: Instant, now: Instant) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if exchange.armed != Some(at) {
            return;
        }
        exchange.armed = None;
        let what = match exchange.place {
            Place::On(_) | Place::Nowhere => return,
            Place::Waiting(_) => "all connections are busy",
            Place::Resolving if exchange.queued => TOO_LATE,
            Place::Resolving => "looking up the host name",
        };
        match exchange.deadline() {
            Some((at, deadline)) if at <= now => {
                let context = format!("{what}; the limit is {:?}", exchange.allowance(deadline));
                self.fail_exchange(key, Failure::new(Kind::Timeout(deadline), context));
            }
            _ => self.arm_exchange(key),
        }
    }

    #[cold]
    fn time_out(&mut self, key: Key, deadline: Deadline, now: Instant) {
        let Some(connection) = self.connections.get(key) else { return };
        let Some(exchange) = connection.exchange.and_then(|of| self.exchanges.get(of)) else { return };
        let what = match connection.stage {
            _ if deadline == Deadline::Queue => TOO_LATE,
            Stage::Connecting(_) => "TCP connection not established",
            Stage::Tunnelling => "the proxy has not opened a tunnel",
            Stage::Handshaking => "TLS handshake not finished",
            Stage::Open if !connection.has_sent() => "request not fully taken",
            Stage::Open => "",
        };
        let separator = if what.is_empty() { "" } else { "; " };
        let context = format!("{what}{separator}the limit is {:?}", exchange.allowance(deadline));
        self.fail_connection(key, Failure::new(Kind::Timeout(deadline), context), now);
    }

    /// What is due on a connection next, and when.
    fn due(&self, key: Key) -> Option<(Instant, Due)> {
        let connection = self.connections.get(key)?;
        let Some(exchange) = connection.exchange.and_then(|of| self.exchanges.get(of)) else {
            let at = connection.idle_since.checked_add(self.settings.idle_timeout)?;
            return Some((at, Due::Idle));
        };
        let deadline = exchange.deadline().map(|(at, deadline)| (at, Due::Timeout(deadline)));
        let next_address = match &connection.stage {
            Stage::Connecting(race) => race.next_at().map(|at| (at, Due::NextAddress)),
            _ => None,
        };
        [deadline, next_address].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    pub(super) fn arm(&mut self, key: Key) {
        let Some((at, _)) = self.due(key) else { return };
        let Some(connection) = self.connections.get_mut(key) else { return };
        self.timers.arm(&mut connection.armed, at, Owner::Connection(key));
    }

    pub(super) fn arm_exchange(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let Some((at, _)) = exchange.deadline() else { return };
        self.timers.arm(&mut exchange.armed, at, Owner::Exchange(key));
    }
}
