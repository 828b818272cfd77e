//! Sends requests when they are due, over as many connections as it takes.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Token};
use slab::Slab;

use crate::arrivals::Arrivals;
use crate::exchange::{Exchange, Failure, Progress};
use crate::reactor::Reactor;
use crate::reply::Replies;
use crate::requests::{Requests, Traffic, requests};
use crate::results::{Course, Results, Summary};
use crate::socket::{Received, Socket};
use crate::yardstick::cpu;

const READ_BUFFER: usize = 64 * 1_024;

/// One run.
#[derive(Debug, Clone)]
pub struct Load {
    /// Whom to call.
    pub address: SocketAddr,
    /// What to send.
    pub traffic: Traffic,
    /// When to send. Without it, each connection sends its next request when it has the response to the last (closed
    /// loop), and the intended time is that of sending.
    pub arrivals: Option<Arrivals>,
    /// For how long.
    pub duration: Duration,
    /// The most requests.
    pub count: u64,
    /// The most connections. A request that finds none free waits for one; its latency includes that.
    pub connections: usize,
    /// Whether all of them are opened before the first request is due, instead of each when no other is free.
    pub connected: bool,
    /// How long to wait for what is open when the duration has passed.
    pub patience: Duration,
}

struct Generator<'l> {
    load: &'l Load,
    reactor: Reactor,
    requests: Requests,
    replies: Replies,
    connections: Slab<Connection>,
    idle: Vec<usize>,
    /// Intended times that are still to come.
    arrivals: Option<std::iter::Peekable<Arrivals>>,
    buffer: Vec<u8>,
    /// Where a padded request is put together.
    outgoing: Vec<u8>,
    started: Instant,
    results: Results,
    course: Course,
}

struct Connection {
    socket: Socket,
    connected: bool,
    exchange: Option<Exchange>,
}

/// Runs a load from now to its end.
///
/// # Errors
/// When the system is out of descriptors, what is asked of the mock makes no sense to it, or connections that are to be
/// open beforehand get no answer. Otherwise, a system under test that does not answer is a result, not an error.
pub fn generate(load: &Load) -> io::Result<Summary> {
    let mut generator = Generator {
        reactor: Reactor::new()?,
        requests: requests(&load.traffic),
        replies: match &load.traffic.mock {
            Some(mock) => serde_json::from_str(mock)?,
            None => Replies::default(),
        },
        connections: Slab::new(),
        idle: Vec::new(),
        arrivals: load.arrivals.clone().map(Iterator::peekable),
        buffer: vec![0; READ_BUFFER],
        outgoing: Vec::new(),
        started: Instant::now(),
        results: Results::default(),
        course: Course::default(),
        load,
    };
    if load.connected {
        generator.connect_all()?;
    }
    let cpu_before = cpu();
    generator.run()?;
    generator.course.cpu = cpu().saturating_sub(cpu_before);
    Ok(generator.results.summary(generator.course))
}

impl Generator<'_> {
    fn run(&mut self) -> io::Result<()> {
        let mut ready = Events::with_capacity(1_024);
        let end = self.load.duration;
        let last = end + self.load.patience;
        let mut sending = true;
        loop {
            let now = self.started.elapsed();
            if sending {
                // Once more after the end, for what became due while this thread waited for a core.
                self.send_due(now)?;
                sending = now < end && self.course.sent < self.load.count;
                self.course.sending = self.started.elapsed();
                self.course.completed_meanwhile = self.results.completed();
            }
            if !sending && (now >= last || self.idle.len() == self.connections.len()) {
                break;
            }
            let next = if sending { self.next_send() } else { last };
            self.turn(&mut ready, next)?;
        }
        self.finish();
        Ok(())
    }

    /// Serves what becomes ready, at the latest at this time.
    fn turn(&mut self, ready: &mut Events, until: Duration) -> io::Result<()> {
        self.reactor.wait(ready, Some(until.saturating_sub(self.started.elapsed())))?;
        for event in &*ready {
            self.serve(event.token().0, event.is_writable());
        }
        Ok(())
    }

    /// Opens all connections, one after the other, each with an exchange that does not count: only an answer tells
    /// that the server has accepted it.
    fn connect_all(&mut self) -> io::Result<()> {
        let mut ready = Events::with_capacity(16);
        for _ in 0..self.load.connections {
            let key = self.connect()?;
            self.started = Instant::now();
            self.send(key, Duration::ZERO);
            while self.connections.get(key).is_some_and(|connection| connection.exchange.is_some()) {
                if self.started.elapsed() >= self.load.patience {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "a connection got no answer"));
                }
                self.turn(&mut ready, self.load.patience)?;
            }
        }
        self.results = Results::default();
        self.course = Course { connections: self.connections.len(), ..Course::default() };
        self.started = Instant::now();
        Ok(())
    }

    /// When something is to do even if no socket becomes ready.
    fn next_send(&mut self) -> Duration {
        let has_room = !self.idle.is_empty() || self.connections.len() < self.load.connections;
        match self.arrivals.as_mut().and_then(|arrivals| arrivals.peek()) {
            Some(intended) if has_room => (*intended).min(self.load.duration),
            _ => self.load.duration,
        }
    }

    /// Sends what is due, as long as there are connections.
    fn send_due(&mut self, now: Duration) -> io::Result<()> {
        while self.course.sent < self.load.count
            && let Some(intended) = self.intended(now)
            && let Some(key) = self.free_connection()?
        {
            if let Some(arrivals) = &mut self.arrivals {
                arrivals.next();
            }
            self.send(key, intended);
        }
        Ok(())
    }

    /// The time at which a request was to be sent that can be sent now.
    fn intended(&mut self, now: Duration) -> Option<Duration> {
        let intended = match &mut self.arrivals {
            Some(arrivals) => *arrivals.peek()?,
            None => now,
        };
        (intended <= now && intended < self.load.duration).then_some(intended)
    }

    /// Sends the next request.
    fn send(&mut self, key: usize, intended: Duration) {
        let number = self.course.sent as usize % self.requests.all.len();
        let (Some(connection), Some(request)) =
            (self.connections.get_mut(key), self.requests.all.get(number))
        else {
            return;
        };
        self.course.sent += 1;
        let sent_at = self.started.elapsed();
        // In a closed loop it is due when it is sent.
        let intended = if self.arrivals.is_some() { intended } else { sent_at };
        self.results.send(sent_at.saturating_sub(intended));
        let mut bytes = &request.bytes[..];
        if request.padded {
            self.outgoing.clear();
            self.outgoing.extend_from_slice(bytes);
            self.outgoing.extend_from_slice(&self.requests.padding);
            bytes = &self.outgoing;
        }
        if request.leaves {
            let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
            let _ = connection.socket.send(half); // whether it arrives is nobody's business
            self.results.meant(request.kind);
            return self.drop_connection(key);
        }
        connection.exchange = Some(Exchange::new(intended, request.kind, request.stream, self.replies));
        if connection.socket.send(bytes).is_err() {
            self.drop_connection(key);
        }
    }

    /// An idle connection or a new one; none if there are as many as may be.
    fn free_connection(&mut self) -> io::Result<Option<usize>> {
        if let Some(key) = self.idle.pop() {
            return Ok(Some(key));
        }
        if self.connections.len() >= self.load.connections {
            return Ok(None);
        }
        self.connect().map(Some)
    }

    /// A new connection; whether it could connect shows when it is used.
    fn connect(&mut self) -> io::Result<usize> {
        let entry = self.connections.vacant_entry();
        let key = entry.key();
        let stream = TcpStream::connect(self.load.address)?;
        let socket = Socket::new(stream, self.reactor.registry(), Token(key))?;
        entry.insert(Connection { socket, connected: false, exchange: None });
        self.course.connections = self.course.connections.max(self.connections.len());
        Ok(key)
    }

    /// Moves a connection on that became ready.
    fn serve(&mut self, key: usize, writable: bool) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if writable {
            if connection.socket.flush().is_err() {
                return self.drop_connection(key);
            }
            connection.connected = true;
        }
        while let Some(connection) = self.connections.get_mut(key) {
            let (progress, open) = match connection.socket.receive(&mut self.buffer) {
                Ok(Received::Nothing) => return,
                Ok(Received::Bytes(bytes)) => {
                    let Some(exchange) = &mut connection.exchange else {
                        return self.drop_connection(key);
                    };
                    (exchange.receive(bytes, self.started.elapsed(), &mut self.results), true)
                }
                Ok(Received::Closed) => {
                    let Some(mut exchange) = connection.exchange.take() else {
                        return self.drop_connection(key);
                    };
                    (exchange.close(self.started.elapsed(), &mut self.results), false)
                }
                Err(_) => return self.drop_connection(key),
            };
            let reusable = match progress {
                Progress::Waiting => continue,
                Progress::Complete { reusable } => reusable,
                Progress::Abandoned => false,
            };
            connection.exchange = None;
            if !(open && reusable) {
                return self.drop_connection(key);
            }
            self.idle.push(key);
        }
    }

    /// Closes a connection; a request on it has failed.
    fn drop_connection(&mut self, key: usize) {
        let Some(connection) = self.connections.try_remove(key) else { return };
        self.idle.retain(|idle| *idle != key);
        if let Some(mut exchange) = connection.exchange {
            let failure = if connection.connected { Failure::Cut } else { Failure::Connect };
            exchange.fail(failure, &mut self.results);
        }
    }

    /// What is still open has failed, and what was due and not sent is counted.
    fn finish(&mut self) {
        self.course.took = self.started.elapsed();
        for mut exchange in self.connections.drain().filter_map(|connection| connection.exchange) {
            exchange.fail(Failure::Unfinished, &mut self.results);
        }
        let left = (self.load.count - self.course.sent) as usize;
        let arrivals = self.arrivals.iter_mut().flatten();
        let due = arrivals.take_while(|intended| *intended < self.load.duration);
        self.course.unsent = due.take(left).count() as u64;
    }
}
