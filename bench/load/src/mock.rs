//! A provider that costs next to nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use edgeroute_wire::{Dialect, Document};
use mio::net::TcpListener;
use mio::{Events, Interest, Token};
use slab::Slab;

use crate::reactor::Reactor;
use crate::reply::{Replies, Script, refusal};
use crate::requests::dialect_of;
use crate::socket::{Received, Socket};

const LISTENER: Token = Token(usize::MAX - 1);
const READ_BUFFER: usize = 64 * 1_024;
const MAX_HEADERS: usize = 64;

/// A mock provider: chat completions and messages, whole and streamed, on connections that stay open. One thread.
pub struct Mock {
    listener: TcpListener,
    reactor: Reactor,
    replies: Replies,
    openai: Script,
    anthropic: Script,
    connections: Slab<Connection>,
    /// When a stream's next beat is due. Entries of streams that are gone are skipped.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    buffer: Vec<u8>,
}

struct Connection {
    socket: Socket,
    /// The beginning of a request.
    partial: Vec<u8>,
    stream: Option<Stream>,
}

#[derive(Clone, Copy)]
struct Stream {
    dialect: Dialect,
    with_usage: bool,
    /// Which beat is next, and when.
    beat: usize,
    at: Instant,
}

/// What a request asks for.
enum Wanted {
    Whole(Dialect),
    Stream { dialect: Dialect, with_usage: bool },
    Refused(&'static str),
}

impl Mock {
    /// Listens; connections wait until [`Mock::run`].
    ///
    /// # Errors
    /// When the address is in use.
    pub fn bind(address: SocketAddr, replies: Replies) -> io::Result<Self> {
        let mut listener = TcpListener::bind(address)?;
        let reactor = Reactor::new()?;
        reactor.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            listener,
            reactor,
            openai: replies.script(Dialect::OpenAiChat),
            anthropic: replies.script(Dialect::AnthropicMessages),
            replies,
            connections: Slab::new(),
            due: BinaryHeap::new(),
            buffer: vec![0; READ_BUFFER],
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves for ever.
    ///
    /// # Errors
    /// When the system is out of descriptors.
    pub fn run(&mut self) -> io::Result<()> {
        let mut ready = Events::with_capacity(1_024);
        loop {
            self.send_beats();
            let next = self.due.peek().map(|Reverse((at, _))| at.saturating_duration_since(Instant::now()));
            self.reactor.wait(&mut ready, next)?;
            for event in &ready {
                match event.token() {
                    LISTENER => self.accept()?,
                    Token(key) => self.serve(key),
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    let entry = self.connections.vacant_entry();
                    let socket = Socket::new(stream, self.reactor.registry(), Token(entry.key()))?;
                    entry.insert(Connection { socket, partial: Vec::new(), stream: None });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Moves a connection on that became ready; closes it if it is of no further use.
    fn serve(&mut self, key: usize) {
        if self.exchange(key).is_err() {
            self.connections.try_remove(key);
        }
    }

    fn exchange(&mut self, key: usize) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(key) else { return Ok(()) };
        connection.socket.flush()?;
        loop {
            match connection.socket.receive(&mut self.buffer)? {
                Received::Nothing => break,
                Received::Bytes(bytes) => connection.partial.extend_from_slice(bytes),
                Received::Closed => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        self.answer(key)
    }

    /// Answers the requests that are whole, one after the other.
    fn answer(&mut self, key: usize) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(key) else { return Ok(()) };
        while connection.stream.is_none()
            && let Some((wanted, length)) = read_request(&connection.partial)
        {
            connection.partial.drain(..length);
            match wanted {
                Wanted::Whole(dialect) => {
                    connection.socket.send(&pick(&self.openai, &self.anthropic, dialect).whole)?;
                }
                Wanted::Stream { dialect, with_usage } => {
                    connection.socket.send(&pick(&self.openai, &self.anthropic, dialect).head)?;
                    let at = Instant::now() + self.replies.first_event;
                    connection.stream = Some(Stream { dialect, with_usage, beat: 0, at });
                    self.due.push(Reverse((at, key)));
                }
                Wanted::Refused(status) => {
                    connection.socket.send(&refusal(status))?;
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
        }
        Ok(())
    }

    /// Sends what is due of all streams.
    fn send_beats(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((at, key))) = self.due.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            self.due.pop();
            if self.send_beat(key, at).is_err() {
                self.connections.try_remove(key);
            }
        }
    }

    fn send_beat(&mut self, key: usize, at: Instant) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(key) else { return Ok(()) };
        let Some(stream) = connection.stream.as_mut().filter(|stream| stream.at == at) else { return Ok(()) };
        let script = pick(&self.openai, &self.anthropic, stream.dialect);
        let last = stream.beat + 1 >= script.beats.len();
        let bytes = match script.beats.get(stream.beat) {
            Some(bytes) if !(last && stream.with_usage) => bytes,
            _ => &script.end_with_usage,
        };
        connection.socket.send(bytes)?;
        if last {
            connection.stream = None;
            return self.answer(key);
        }
        stream.beat += 1;
        // From the time it was due, so that the pace does not drift.
        stream.at += self.replies.gap;
        self.due.push(Reverse((stream.at, key)));
        Ok(())
    }
}

fn pick<'s>(openai: &'s Script, anthropic: &'s Script, dialect: Dialect) -> &'s Script {
    if dialect == Dialect::AnthropicMessages { anthropic } else { openai }
}

/// What the first request of these bytes asks for and how long it is; nothing if it is not whole.
fn read_request(bytes: &[u8]) -> Option<(Wanted, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let head = match request.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return None,
        Err(_) => return Some((Wanted::Refused("400 Bad Request"), bytes.len())),
    };
    let length = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let Some(length) = length.and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok()) else {
        return Some((Wanted::Refused("411 Length Required"), bytes.len()));
    };
    let end = head.checked_add(length)?;
    let body = bytes.get(head..end)?;
    let path = request.path.unwrap_or_default();
    if !path.ends_with("/chat/completions") && !path.ends_with("/messages") {
        return Some((Wanted::Refused("404 Not Found"), end));
    }
    Some((wanted(dialect_of(path), body), end))
}

fn wanted(dialect: Dialect, body: &[u8]) -> Wanted {
    let Ok(document) = Document::scan(body) else { return Wanted::Refused("400 Bad Request") };
    match document.boolean("stream") {
        Ok(Some(true)) => Wanted::Stream { dialect, with_usage: asks_for_usage(&document) },
        Ok(_) => Wanted::Whole(dialect),
        Err(_) => Wanted::Refused("400 Bad Request"),
    }
}

fn asks_for_usage(document: &Document<'_>) -> bool {
    let options = document.get("stream_options").and_then(|options| document.nested(options).ok());
    options.is_some_and(|options| matches!(options.boolean("include_usage"), Ok(Some(true))))
}
