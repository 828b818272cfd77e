//! How an exchange comes to a connection: an idle one, a new one, or its turn in the queue.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::Client;
use crate::connection::{Connection, Stage, token};
use crate::error::{Failure, Kind};
use crate::exchange::Place;
use crate::race::Race;
use crate::resolve::{Answer, Found};
use crate::slots::Key;
use crate::tls::Session;
use crate::tunnel::Tunnel;

impl Client {
    /// Puts an exchange on an idle connection, a new one, or in the queue.
    pub(super) fn place(&mut self, key: Key, now: Instant) {
        let Some(index) = self.exchanges.get(key).map(|exchange| exchange.pool) else { return };
        self.refresh(index, now);
        while let Some(idle) = self.pools.get_mut(index).and_then(|pool| pool.idle.pop_back()) {
            let Some(connection) = self.connections.get_mut(idle) else { continue };
            if connection.revive(&mut self.buffers) {
                return self.begin(key, idle, now);
            }
            self.close(idle);
        }
        let (Some(pool), Some(exchange)) = (self.pools.get_mut(index), self.exchanges.get_mut(key)) else {
            return;
        };
        if pool.has_room() {
            return self.open(key, now);
        }
        if pool.is_full() {
            let context = format!("{} wait already", pool.waiting.len());
            return self.fail_exchange(key, Failure::new(Kind::QueueFull, context));
        }
        exchange.place = Place::Waiting(pool.waiting.join(key));
        exchange.queued = true;
        self.arm_exchange(key);
    }

    /// Sends the request on an open connection.
    fn begin(&mut self, key: Key, on: Key, now: Instant) {
        let (Some(exchange), Some(connection)) = (self.exchanges.get_mut(key), self.connections.get_mut(on))
        else {
            return;
        };
        connection.exchange = Some(key);
        exchange.place = Place::On(on);
        exchange.began = Some(now);
        let more = connection.send(&exchange.head, &exchange.body);
        if more || connection.has_write_failed() {
            self.enqueue(on);
            self.wake();
        }
        self.arm(on);
    }

    /// Looks up the addresses anew, beside the traffic, when it is time.
    fn refresh(&mut self, index: Key, now: Instant) {
        let Some(pool) = self.pools.get_mut(index) else { return };
        if pool.looking_up || !pool.addresses.are_due(now) {
            return;
        }
        pool.looking_up = self.resolver.look_up(index, &pool.origin, false).is_ok();
        if !pool.looking_up {
            pool.addresses.failed(now);
        }
    }

    /// Gets a new connection for an exchange, the addresses first if need be.
    pub(super) fn open(&mut self, key: Key, now: Instant) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let Some(pool) = self.pools.get_mut(exchange.pool) else { return };
        pool.open += 1;
        let needs_config = pool.needs_config();
        if let Some(addresses) = pool.addresses.fresh(now).filter(|_| !needs_config) {
            return self.connect(key, addresses, now);
        }
        exchange.place = Place::Resolving;
        pool.resolving.push(key);
        let index = exchange.pool;
        if !std::mem::replace(&mut pool.looking_up, true)
            && let Err(failure) = self.resolver.look_up(index, &pool.origin, needs_config)
        {
            return self.resolved(Answer { pool: index, found: Err(failure) }, now);
        }
        self.arm_exchange(key);
    }

    pub(super) fn resolved(&mut self, answer: Answer, now: Instant) {
        let Some(pool) = self.pools.get_mut(answer.pool) else { return };
        pool.looking_up = false;
        let resolving = std::mem::take(&mut pool.resolving);
        let mut failure = Failure::new(Kind::Resolve, "the name has no address");
        match answer.found {
            Ok(Found { addresses, config }) => {
                pool.addresses.answer(&addresses, now);
                pool.tls = config.or(pool.tls.take());
            }
            Err(why) => {
                pool.addresses.failed(now);
                failure = why;
            }
        }
        // What was known before is better than nothing.
        let addresses = pool.addresses.last_known().filter(|_| !pool.needs_config());
        self.close_gone(answer.pool);
        for key in resolving {
            match &addresses {
                _ if self.exchanges.get(key).is_none() => {}
                Some(addresses) => self.connect(key, Arc::clone(addresses), now),
                None => self.fail_exchange(key, failure.clone()),
            }
        }
    }

    /// Closes idle connections to addresses that the name has no more; busy ones close after their exchange.
    fn close_gone(&mut self, index: Key) {
        let Some(pool) = self.pools.get_mut(index) else { return };
        let is_gone = |key: &Key| {
            self.connections.get(*key).is_some_and(|connection| pool.addresses.is_gone(connection.address))
        };
        let gone: Vec<Key> = pool.idle.iter().copied().filter(is_gone).collect();
        for key in gone {
            self.close(key);
        }
    }

    fn connect(&mut self, key: Key, addresses: Arc<[SocketAddr]>, now: Instant) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let Some(pool) = self.pools.get_mut(exchange.pool) else { return };
        let tls = match (&pool.tls, pool.origin.is_tls()) {
            (Some(config), true) => Session::new(Arc::clone(config), pool.origin.host()).map(Some),
            (None, true) => Err(Failure::new(Kind::Tls, "TLS is not configured")),
            (_, false) => Ok(None),
        };
        let tunnel = Tunnel::for_route(pool.origin.route());
        let opened = tls.and_then(|tls| {
            let (race, stream) = Race::start(addresses, exchange.connect_deadline(), now)?;
            Ok(Connection::new(stream, tunnel, tls, race, exchange.pool, key, now))
        });
        // From here on the exchange counts as one of its pool's connections in any case.
        exchange.place = Place::Resolving;
        let connection = match opened {
            Ok(connection) => connection,
            Err(failure) => return self.fail_exchange(key, failure),
        };
        let on = self.connections.insert(connection);
        exchange.place = Place::On(on);
        let registered = self
            .connections
            .get_mut(on)
            .map_or(Ok(()), |connection| connection.register(self.poll.registry(), token(on)));
        match registered {
            Ok(()) => self.arm(on),
            Err(failure) => self.fail_connection(on, failure, now),
        }
    }

    /// Brings a connection as far as it gets. True if requests can be sent.
    pub(super) fn establish(&mut self, key: Key, now: Instant) -> Result<bool, Failure> {
        let Some(connection) = self.connections.get_mut(key) else { return Ok(false) };
        if matches!(connection.stage, Stage::Connecting(_)) {
            match connection.check_connected() {
                Ok(Some(address)) => {
                    if let Some(pool) = self.pools.get_mut(connection.pool) {
                        pool.addresses.prefer(address);
                    }
                }
                Ok(None) => return Ok(false),
                Err(failure) => return self.go_on_without_latest(key, failure, now).map(|()| false),
            }
        }
        if matches!(connection.stage, Stage::Tunnelling) && !connection.open_tunnel(&mut self.buffers)? {
            return Ok(false);
        }
        if matches!(connection.stage, Stage::Handshaking) && !connection.shake_hands(&mut self.buffers)? {
            return Ok(false);
        }
        let exchange = connection.exchange.and_then(|exchange| self.exchanges.get_mut(exchange));
        if let Some(exchange) = exchange {
            exchange.began.get_or_insert(now);
        }
        Ok(true)
    }

    /// Begins to connect to the next address of the host beside the attempts under way.
    pub(super) fn attempt_next(&mut self, key: Key, now: Instant) -> Result<(), Failure> {
        let Some(connection) = self.connections.get_mut(key) else { return Ok(()) };
        connection.attempt_next(self.poll.registry(), token(key), now).map(|_| ())
    }

    /// Goes on with other attempts than the latest, which failed; without any, its `failure` stands.
    fn go_on_without_latest(&mut self, key: Key, failure: Failure, now: Instant) -> Result<(), Failure> {
        let Some(connection) = self.connections.get_mut(key) else { return Ok(()) };
        if connection.drop_latest(self.poll.registry(), token(key), now)? {
            return Ok(());
        }
        if let Some(pool) = self.pools.get_mut(connection.pool) {
            pool.addresses.forget();
        }
        Err(failure)
    }

    /// Closes a connection; its exchange, if any, is the caller's to deal with.
    pub(super) fn close(&mut self, key: Key) {
        let Some(connection) = self.connections.remove(key) else { return };
        self.release(connection.pool);
        if connection.exchange.is_none()
            && let Some(pool) = self.pools.get_mut(connection.pool)
        {
            pool.remove_idle(key);
        }
    }

    /// A place for a connection became free.
    pub(super) fn release(&mut self, index: Key) {
        let Some(pool) = self.pools.get_mut(index) else { return };
        pool.open = pool.open.saturating_sub(1);
        if !pool.waiting.is_empty() {
            self.vacant.push(index);
        }
    }

    /// Lets waiting exchanges go on, in turn.
    pub(super) fn fill_vacancies(&mut self, now: Instant) {
        while let Some(index) = self.vacant.pop() {
            while let Some(pool) = self.pools.get_mut(index) {
                if pool.idle.is_empty() && !pool.has_room() {
                    break;
                }
                let Some(key) = pool.waiting.next() else { break };
                self.place(key, now);
            }
        }
    }
}

#[cfg(test)]
mod tests;
