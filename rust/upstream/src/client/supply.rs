//! How an exchange comes to a connection: an idle one, a new one, or its turn in the queue.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::Client;
use crate::connection::{Attempt, Connection, Stage, token};
use crate::error::{Failure, Kind};
use crate::exchange::Place;
use crate::resolve::{Answer, Found};
use crate::slots::Key;
use crate::tls::Session;
use crate::tunnel::Tunnel;

impl Client {
    /// Puts an exchange on an idle connection, a new one, or in the queue.
    pub(super) fn place(&mut self, key: Key, now: Instant) {
        let Some(index) = self.exchanges.get(key).map(|exchange| exchange.pool) else { return };
        while let Some(idle) = self.pools.get_mut(index).and_then(|pool| pool.idle.pop()) {
            let Some(connection) = self.connections.get_mut(idle) else { continue };
            if connection.revive(&mut self.buffers) {
                return self.begin(key, idle, now);
            }
            self.close(idle);
        }
        let Some(pool) = self.pools.get_mut(index) else { return };
        if pool.open < self.settings.connections {
            return self.open(key, now);
        }
        pool.waiting.push_back(key);
        if let Some(exchange) = self.exchanges.get_mut(key) {
            exchange.queued = true;
        }
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

    /// Gets a new connection for an exchange, the addresses first if need be.
    pub(super) fn open(&mut self, key: Key, now: Instant) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let Some(pool) = self.pools.get_mut(exchange.pool) else { return };
        pool.open += 1;
        let needs_config = pool.origin.is_tls() && pool.tls.is_none();
        if let Some(addresses) = pool.addresses(now).filter(|_| !needs_config) {
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
        let found = answer.found.map(|Found { addresses, config }| {
            pool.found(Arc::clone(&addresses), now);
            pool.tls = config.or(pool.tls.take());
            addresses
        });
        for key in resolving {
            if self.exchanges.get(key).is_none() {
                continue;
            }
            match &found {
                Ok(addresses) => self.connect(key, Arc::clone(addresses), now),
                Err(failure) => self.fail_exchange(key, failure.clone()),
            }
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
        let mut attempt = Attempt::new(addresses, exchange.connect_deadline());
        let opened = tls.and_then(|tls| {
            let stream = attempt.connect(now)?;
            Ok(Connection::new(stream, tunnel, tls, attempt, exchange.pool, key, now))
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
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(failure) => return self.try_next_address(key, failure, now).map(|()| false),
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

    /// Connects to the next address of the host; without one, `failure` stands.
    pub(super) fn try_next_address(
        &mut self,
        key: Key,
        failure: Failure,
        now: Instant,
    ) -> Result<(), Failure> {
        let Some(connection) = self.connections.get_mut(key) else { return Ok(()) };
        let pool = connection.pool;
        if let Stage::Connecting(attempt) = &mut connection.stage
            && attempt.has_next()
            && let Ok(stream) = attempt.connect(now)
        {
            connection.replace_stream(stream);
            return connection.register(self.poll.registry(), token(key));
        }
        if let Some(pool) = self.pools.get_mut(pool) {
            pool.forget_addresses();
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
                pool.skip_gone(&self.exchanges);
                if pool.idle.is_empty() && pool.open >= self.settings.connections {
                    break;
                }
                let Some(key) = pool.waiting.pop_front() else { break };
                self.place(key, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Deadlines, Event, ExchangeId, Origin, Request, Settings};
    use bytes::Bytes;
    use std::collections::HashSet;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::Duration;

    /// A name whose addresses are given; the client, the exchange, and the time it started.
    fn start(addresses: &[SocketAddr]) -> (Client, ExchangeId, Instant) {
        let mut client = Client::new(Settings::default()).unwrap();
        let origin = Arc::new(Origin::parse("http://several.invalid").unwrap());
        let now = Instant::now();
        let index = client.pools.find(&origin);
        client.pools.get_mut(index).unwrap().found(addresses.into(), now);
        let long = Duration::from_secs(100);
        let deadlines =
            Deadlines { connect: Duration::from_secs(4), first_byte: long, gap: long, total: long };
        let request = Request { origin, path: "/", headers: &[], body: Bytes::new(), deadlines };
        let id = client.start(request, now);
        (client, id, now)
    }

    fn pools(client: &Client) -> Vec<Key> {
        client.pools.besides(&HashSet::new())
    }

    fn finish(client: &mut Client, now: Instant) -> Event {
        let hang_guard = Instant::now() + Duration::from_secs(20);
        let mut events = Vec::new();
        while Instant::now() < hang_guard {
            client.poll(now, &mut events);
            if let Some((_, event)) = events.pop() {
                return event;
            }
            std::thread::yield_now();
        }
        panic!("nothing happened");
    }

    fn server() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 1_000]).unwrap() > 0);
            stream.write_all(b"HTTP/1.1 204 -\r\n\r\n").unwrap();
        });
        address
    }

    fn refusing() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    #[test]
    fn addresses_are_tried_one_after_the_other() {
        let unreachable = "0.0.0.1:80".parse().unwrap();
        let (mut client, _, now) = start(&[refusing(), unreachable, refusing(), server()]);
        let event = finish(&mut client, now);
        assert!(matches!(event, Event::Response { .. }), "{event:?}");
        let (mut client, _, now) = start(&[refusing(), refusing()]);
        let Event::Failed(error) = finish(&mut client, now) else { panic!("it did not fail") };
        assert_eq!(error.kind, Kind::Connect);
        let pool = pools(&client)[0];
        assert_eq!(client.pools.get_mut(pool).unwrap().open, 0);
        assert!(client.pools.get_mut(pool).unwrap().addresses(now).is_none(), "looked up again next time");
    }

    #[test]
    fn what_the_configuration_no_longer_names_is_forgotten_when_nothing_is_under_way() {
        let (mut client, _, now) = start(&[server()]);
        client.retain([]);
        assert_eq!(pools(&client).len(), 1, "an exchange is under way");
        let event = finish(&mut client, now);
        assert!(matches!(event, Event::Response { .. }), "{event:?}");
        client.retain([&Origin::parse("http://several.invalid/another/path").unwrap()]);
        assert_eq!(pools(&client).len(), 1, "still named");
        client.retain([]);
        assert_eq!(pools(&client), []);
        assert_eq!(client.connections.key_at(0), None, "the idle connection is closed");

        // A lookup that is answered when nobody waits any more does no harm.
        client.pools.find(&Arc::new(Origin::parse("http://late.invalid").unwrap()));
        let gone = pools(&client)[0];
        client.retain([]);
        client.resolved(Answer { pool: gone, found: Err(Failure::new(Kind::Resolve, "late")) }, now);
        assert_eq!(pools(&client), []);
    }

    #[test]
    fn a_silent_address_takes_only_its_share_of_the_deadline() {
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let silent = listener.local_addr().unwrap().as_socket().unwrap();
        let _fill = [0; 4].map(|_| mio::net::TcpStream::connect(silent).unwrap());
        let (mut client, _, now) = start(&[silent, server()]);
        assert_eq!(client.next_deadline(), Some(now + Duration::from_secs(2)));
        let event = finish(&mut client, now + Duration::from_secs(2));
        assert!(matches!(event, Event::Response { .. }), "{event:?}");
    }
}
