//! All exchanges of one worker over one readiness set.

mod deadlines;
mod supply;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Poll, Token, Waker};

use crate::body::Body;
use crate::connection::{Buffers, Connection, Then, token};
use crate::error::{Failure, Kind};
use crate::event::{Event, Events, ExchangeId};
use crate::exchange::{Exchange, Place};
use crate::origin::Origin;
use crate::pool::Pools;
use crate::request::Request;
use crate::resolve::Resolver;
use crate::response::Malformed;
use crate::slots::{Key, Slots};
use crate::timers::Timers;

/// Sockets reported ready by one system call; more stay ready for the next.
const READY: usize = 1_024;
const WAKER: Token = Token(usize::MAX);

/// Bounds that hold for every exchange of a client; those of one origin are its [`Limits`](crate::Limits).
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long a connection may idle before it is closed; keep it below the provider's own limit.
    ///
    /// NOTE: how many idle is not bounded besides. With 256 at most, 1,500 clients at once had connections come and go all
    /// the time: 12,000 requests a second instead of 17,700.
    pub idle_timeout: Duration,
    /// The largest body of a whole response, in bytes. Event streams have no limit.
    pub max_body: usize,
    /// How long one call of [`Client::poll`] goes on serving connections before it yields.
    pub wake_budget: Duration,
}

/// All exchanges of one worker: `start` them, and `poll` when the descriptor is readable or `next_deadline` has come.
///
/// The descriptor ([`AsRawFd`]) becomes readable when there is something to serve; watch it level-triggered.
pub struct Client {
    poll: Poll,
    ready: mio::Events,
    waker: Arc<Waker>,
    settings: Settings,
    resolver: Resolver,
    pools: Pools,
    connections: Slots<Connection>,
    exchanges: Slots<Exchange>,
    timers: Timers<Owner>,
    /// Connections to serve: readiness is reported once, so what is left over must be remembered.
    queue: VecDeque<Key>,
    /// Pools in which an exchange that waits may go on.
    vacant: Vec<Key>,
    /// What happened and was not handed out.
    events: Events,
    buffers: Buffers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Connection(Key),
    /// While it is on no connection.
    Exchange(Key),
}

/// How serving a connection ended, short of failure.
enum Served {
    Wait,
    More,
    Complete { reusable: bool, more: bool },
    Unusable,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(4),
            max_body: 64 << 20,
            wake_budget: Duration::from_millis(1),
        }
    }
}

impl Client {
    /// Makes a client without connections. Fails only if the system is out of descriptors.
    pub fn new(settings: Settings) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        Ok(Self {
            poll,
            ready: mio::Events::with_capacity(READY),
            resolver: Resolver::new(Arc::clone(&waker)),
            waker,
            settings,
            pools: Pools::new(),
            connections: Slots::new(),
            exchanges: Slots::new(),
            timers: Timers::new(),
            queue: VecDeque::new(),
            vacant: Vec::new(),
            events: Vec::new(),
            buffers: Buffers::new(),
        })
    }

    /// Starts an exchange. Whatever happens to it, at once or later, is reported by [`Client::poll`].
    pub fn start(&mut self, request: Request<'_>, now: Instant) -> ExchangeId {
        // Whoever waits for a place that a cancelled exchange left has been waiting longer.
        self.fill_vacancies(now);
        let pool = self.pools.find(&request.origin);
        let (head, refused) = match request.encode_head() {
            Ok(head) => (head, None),
            Err(failure) => (Vec::new(), Some(failure)),
        };
        let key = self.exchanges.insert(Exchange::new(request, head, pool, now));
        match refused {
            None => self.place(key, now),
            Some(failure) => self.fail_exchange(key, failure),
        }
        self.fill_vacancies(now);
        if !self.events.is_empty() {
            self.wake();
        }
        ExchangeId(key)
    }

    /// Ends an exchange without further events; its connection closes unless the response was complete.
    pub fn cancel(&mut self, id: ExchangeId) {
        if let Some(exchange) = self.exchanges.remove(id.0) {
            self.leave(&exchange);
        }
        self.events.retain(|(of, _)| *of != id);
        if !self.vacant.is_empty() {
            self.wake();
        }
    }

    /// Stops or resumes reading a response, so that a slow client holds back its provider.
    ///
    /// While reading is off, the first-byte and gap deadlines stand still; they start anew when it is on again.
    pub fn set_reading(&mut self, id: ExchangeId, reading: bool) {
        let Some(exchange) = self.exchanges.get_mut(id.0) else { return };
        if exchange.reading == reading {
            return;
        }
        exchange.reading = reading;
        exchange.resumed = reading;
        let Place::On(key) = exchange.place else { return };
        let Some(connection) = self.connections.get_mut(key) else { return };
        if let Err(error) = connection.set_reading(self.poll.registry(), token(key), reading) {
            self.close(key);
            self.fail_exchange(id.0, Failure::io(Kind::Cut, &error));
            self.wake();
        } else if reading {
            self.enqueue(key);
            self.wake();
        }
    }

    /// Changes [`Settings::max_body`], also for the exchanges under way.
    pub fn set_max_body(&mut self, bytes: usize) {
        self.settings.max_body = bytes;
    }

    /// Closes what is idle of all other origins and forgets those in which nothing is under way. Exchanges go on as they
    /// are; what they leave behind is forgotten next time.
    pub fn retain<'a>(&mut self, origins: impl IntoIterator<Item = &'a Origin>) {
        let routes = origins.into_iter().map(Origin::route).collect();
        for key in self.pools.besides(&routes) {
            let Some(pool) = self.pools.get_mut(key) else { continue };
            for idle in std::mem::take(&mut pool.idle) {
                self.close(idle);
            }
            self.pools.remove_vacant(key);
        }
        if !self.vacant.is_empty() {
            self.wake();
        }
    }

    /// Serves what is ready and appends what happened. Returns true if more is ready: call again soon.
    ///
    /// Deadlines are judged by `now`; the system clock is read only to keep to [`Settings::wake_budget`].
    pub fn poll(&mut self, now: Instant, events: &mut Vec<(ExchangeId, Event)>) -> bool {
        let began = Instant::now();
        if self.collect_ready() {
            while let Some(answer) = self.resolver.answer() {
                self.resolved(answer, now);
            }
        }
        self.fill_vacancies(now);
        for _ in 0..self.queue.len() {
            let Some(key) = self.queue.pop_front() else { break };
            self.serve(key, now);
            self.fill_vacancies(now);
            if began.elapsed() >= self.settings.wake_budget {
                break;
            }
        }
        self.expire(now);
        self.fill_vacancies(now);
        events.append(&mut self.events);
        !self.queue.is_empty()
    }

    /// Makes the descriptor readable, from any thread, so that `poll` is called.
    pub fn waker(&self) -> impl Fn() + Send + Sync + 'static {
        let waker = Arc::clone(&self.waker);
        move || {
            // It fails only where a wake-up is under way already.
            _ = waker.wake();
        }
    }

    /// When `poll` should be called at the latest, even if the descriptor stays silent.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Queues the connections that became ready. True if the resolver may have answered.
    fn collect_ready(&mut self) -> bool {
        let mut woken = false;
        // On a descriptor of our own this fails only if a signal interrupts it; then the next call will do.
        if self.poll.poll(&mut self.ready, Some(Duration::ZERO)).is_err() {
            return woken;
        }
        for event in &self.ready {
            if event.token() == WAKER {
                woken = true;
                continue;
            }
            let Some(key) = self.connections.key_at(event.token().0) else { continue };
            let Some(connection) = self.connections.get_mut(key) else { continue };
            connection.peer_closed |= event.is_read_closed() || event.is_error();
            if !std::mem::replace(&mut connection.queued, true) {
                self.queue.push_back(key);
            }
        }
        woken
    }

    fn serve(&mut self, key: Key, now: Instant) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.queued = false;
        }
        let served = match self.establish(key, now) {
            Ok(true) => self.exchange_bytes(key, now),
            Ok(false) => Ok(Served::Wait),
            Err(failure) => Err(failure),
        };
        match served {
            Ok(Served::Wait) => self.arm(key),
            Ok(Served::More) => {
                self.enqueue(key);
                self.arm(key);
            }
            Ok(Served::Complete { reusable, more }) => self.complete(key, reusable, more, now),
            Ok(Served::Unusable) => self.close(key),
            Err(failure) => self.fail_connection(key, failure, now),
        }
    }

    /// Writes what is left of the request and reads what is there of the response.
    fn exchange_bytes(&mut self, key: Key, now: Instant) -> Result<Served, Failure> {
        let Some(connection) = self.connections.get_mut(key) else { return Ok(Served::Wait) };
        let Some(of) = connection.exchange else {
            return Ok(match connection.receive(&mut self.buffers) {
                (&[], Then::Wait) => Served::Wait,
                (&[], Then::More) => Served::More,
                _ => Served::Unusable,
            });
        };
        let Some(exchange) = self.exchanges.get_mut(of) else { return Ok(Served::Unusable) };
        let more_to_send = connection.send(&exchange.head, &exchange.body);
        exchange.restart_clock(now);
        if !exchange.reading {
            return Ok(if more_to_send { Served::More } else { Served::Wait });
        }
        let direct = (!exchange.streaming).then(|| connection.receive_body(&mut exchange.reader)).flatten();
        let then = if let Some(received) = direct {
            let (any, then) = received.map_err(|Malformed(reason)| Failure::new(Kind::Protocol, reason))?;
            if any {
                exchange.heard = Some(now);
            }
            then
        } else {
            let (bytes, then) = connection.receive(&mut self.buffers);
            if !bytes.is_empty() {
                exchange.receive(ExchangeId(of), bytes, now, self.settings.max_body, &mut self.events)?;
                if connection.has_sent() {
                    exchange.body = Body::default();
                }
            }
            then
        };
        if exchange.reader.is_complete() {
            let reusable = exchange.reader.is_reusable()
                && connection.has_sent()
                && !connection.peer_closed
                && matches!(then, Then::Wait | Then::More);
            return Ok(Served::Complete { reusable, more: matches!(then, Then::More) });
        }
        match then {
            Then::Wait | Then::More => exchange.flush(ExchangeId(of), &mut self.events),
            Then::Closed if exchange.reader.end_of_input() => {
                return Ok(Served::Complete { reusable: false, more: false });
            }
            Then::Closed => return Err(Failure::new(Kind::Cut, "the provider closed the connection")),
            Then::Failed(failure) => return Err(failure),
        }
        Ok(if more_to_send || matches!(then, Then::More) { Served::More } else { Served::Wait })
    }

    fn complete(&mut self, key: Key, reusable: bool, more: bool, now: Instant) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if let Some(of) = connection.exchange.take()
            && let Some(exchange) = self.exchanges.remove(of)
        {
            exchange.finish(ExchangeId(of), &mut self.events);
        }
        let Some(pool) = self.pools.get_mut(connection.pool) else { return };
        if !reusable || pool.addresses.is_gone(connection.address) {
            return self.close(key);
        }
        connection.idle_since = now;
        pool.idle.push_back(key);
        if !pool.waiting.is_empty() {
            self.vacant.push(connection.pool);
        }
        if more {
            self.enqueue(key);
        }
        self.arm(key);
    }

    /// Closes a failed connection and fails its exchange, or gives it a fresh connection if the old one was stale.
    fn fail_connection(&mut self, key: Key, failure: Failure, now: Instant) {
        let Some(connection) = self.connections.get(key) else { return };
        let (of, reused) = (connection.exchange, connection.reused);
        self.close(key);
        let Some(of) = of else { return };
        let Some(exchange) = self.exchanges.get_mut(of) else { return };
        if reused && failure.kind == Kind::Cut && !exchange.first_byte {
            exchange.start_over(now);
            return self.open(of, now);
        }
        // Its connection is gone already.
        exchange.place = Place::Nowhere;
        self.fail_exchange(of, failure);
    }

    #[cold]
    fn fail_exchange(&mut self, key: Key, failure: Failure) {
        let Some(exchange) = self.exchanges.remove(key) else { return };
        self.leave(&exchange);
        exchange.fail(ExchangeId(key), failure, &mut self.events);
    }

    /// Gives back what an exchange that ends early holds.
    fn leave(&mut self, exchange: &Exchange) {
        match exchange.place {
            Place::On(key) => self.close(key),
            Place::Resolving => self.release(exchange.pool),
            Place::Waiting(number) => {
                if let Some(pool) = self.pools.get_mut(exchange.pool) {
                    pool.waiting.leave(number);
                }
            }
            Place::Nowhere => {}
        }
    }

    fn enqueue(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if !std::mem::replace(&mut connection.queued, true) {
            self.queue.push_back(key);
        }
    }

    /// Makes the descriptor readable, for what happened outside of `poll`.
    fn wake(&self) {
        // Fails only if the descriptor is closed, which it is not while `self` lives.
        let _ = self.waker.wake();
    }
}

impl AsRawFd for Client {
    fn as_raw_fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }
}
