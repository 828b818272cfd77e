//! A provider that costs next to nothing.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use edgeroute_wire::{Dialect, Document};
use mio::net::TcpListener;
use mio::{Events, Interest, Token};
use rustls::ServerConfig;
use slab::Slab;

use crate::engine::{Engine, Running};
use crate::reactor::Reactor;
use crate::reply::{Replies, Script, Usage, plain, refusal};
use crate::requests::dialect_of;
use crate::socket::{Received, Socket};

const LISTENER: Token = Token(usize::MAX - 1);
const READ_BUFFER: usize = 64 * 1_024;
const MAX_HEADERS: usize = 64;

/// A mock provider: chat completions and messages, whole and streamed, on connections that stay open. One thread. How it
/// replies is for each request to say ([`Replies`]). With an [`Engine`], the first event comes when the prompt has been
/// read, usage tells what of it was cached, and `GET /metrics` what vLLM's would.
pub struct Mock {
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    reactor: Reactor,
    scripts: Scripts,
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

struct Stream {
    script: Arc<(Replies, Script)>,
    with_usage: bool,
    /// Tokens of its prompt, where there is an engine.
    prompt: u64,
    /// Which beat is next, and when.
    beat: usize,
    at: Instant,
}

/// Replies that were asked for, by what the requests said under `mock` (nothing: as usual), made once each.
#[derive(Default)]
struct Scripts {
    engine: Option<Running>,
    openai: HashMap<Box<[u8]>, Arc<(Replies, Script)>>,
    anthropic: HashMap<Box<[u8]>, Arc<(Replies, Script)>>,
}

/// What a request asks for.
enum Wanted {
    Whole(Arc<(Replies, Script)>),
    Stream(Stream),
    Metrics,
    Refused(&'static str),
}

impl Mock {
    /// Listens; connections wait until [`Mock::run`]. With a configuration it speaks TLS.
    ///
    /// # Errors
    /// When the address is in use.
    pub fn bind(
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        engine: Option<Engine>,
    ) -> io::Result<Self> {
        let mut listener = TcpListener::bind(address)?;
        let reactor = Reactor::new()?;
        reactor.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            listener,
            tls,
            reactor,
            scripts: Scripts {
                engine: engine.map(|engine| Running::new(engine, Instant::now())),
                ..Scripts::default()
            },
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
                    let mut socket = Socket::new(stream, self.reactor.registry(), Token(entry.key()))?;
                    if let Some(config) = &self.tls {
                        socket.speak_tls(config).map_err(io::Error::other)?;
                    }
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
        while let Some(connection) = self.connections.get_mut(key)
            && connection.stream.is_none()
            && let Some((wanted, length)) = self.scripts.read_request(&connection.partial)
        {
            connection.partial.drain(..length);
            match wanted {
                Wanted::Whole(script) => connection.socket.send(&script.1.whole)?,
                Wanted::Stream(stream) => {
                    connection.socket.send(&stream.script.1.head)?;
                    self.due.push(Reverse((stream.at, key)));
                    connection.stream = Some(stream);
                }
                Wanted::Metrics => {
                    let text = self.metrics();
                    if let Some(connection) = self.connections.get_mut(key) {
                        connection.socket.send(&plain(&text))?;
                    }
                }
                Wanted::Refused(status) => {
                    connection.socket.send(&refusal(status))?;
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
        }
        Ok(())
    }

    /// What vLLM would say of itself: those of its metrics that routers read, by their names.
    fn metrics(&self) -> String {
        let Some(engine) = &self.scripts.engine else { return String::new() };
        let open = || self.connections.iter().filter_map(|(_, connection)| connection.stream.as_ref());
        // One prompt is being read, the others wait for that.
        let waiting = open().filter(|stream| stream.beat == 0).count().saturating_sub(1);
        let used = engine.share(open().map(|stream| stream.prompt).sum());
        [
            ("num_requests_running", (open().count() - waiting) as f64),
            ("num_requests_waiting", waiting as f64),
            ("kv_cache_usage_perc", used),
            ("prefix_cache_queries_total", engine.prompt_tokens as f64),
            ("prefix_cache_hits_total", engine.cached_tokens as f64),
        ]
        .map(|(name, value)| format!("vllm:{name}{{model_name=\"mock\"}} {value}\n"))
        .concat()
    }

    /// Sends what is due of all streams.
    fn send_beats(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((at, key))) = self.due.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            self.due.pop();
            if self.send_beats_of(key, at, now).is_err() {
                self.connections.try_remove(key);
            }
        }
    }

    /// Sends a stream's beats that are due at once: those without a gap are a burst.
    fn send_beats_of(&mut self, key: usize, at: Instant, now: Instant) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(key) else { return Ok(()) };
        let Some(stream) = connection.stream.as_mut().filter(|stream| stream.at == at) else { return Ok(()) };
        let (replies, script) = &*stream.script;
        let first = stream.beat;
        while stream.beat < script.beats.len() && stream.at <= now {
            stream.beat += 1;
            // From the time it was due, so that the pace does not drift.
            stream.at += replies.lasts(1);
        }
        let ended = stream.beat == script.beats.len();
        let whole_beats = first..stream.beat - usize::from(ended);
        let mut bytes = script.beats.get(whole_beats).unwrap_or_default().concat();
        if ended {
            let end = script.beats.last().filter(|_| !stream.with_usage);
            bytes.extend_from_slice(end.unwrap_or(&script.end_with_usage));
        }
        let next = stream.at;
        connection.socket.send(&bytes)?;
        if ended {
            connection.stream = None;
            return self.answer(key);
        }
        self.due.push(Reverse((next, key)));
        Ok(())
    }
}

impl Scripts {
    /// What the first request of these bytes asks for and how long it is; nothing if it is not whole.
    fn read_request(&mut self, bytes: &[u8]) -> Option<(Wanted, usize)> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let head = match request.parse(bytes) {
            Ok(httparse::Status::Complete(head)) => head,
            Ok(httparse::Status::Partial) => return None,
            Err(_) => return Some((Wanted::Refused("400 Bad Request"), bytes.len())),
        };
        if request.method == Some("GET") && request.path == Some("/metrics") {
            return Some((Wanted::Metrics, head));
        }
        let length = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
        let Some(length) = length.and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok())
        else {
            return Some((Wanted::Refused("411 Length Required"), bytes.len()));
        };
        let end = head.checked_add(length)?;
        let body = bytes.get(head..end)?;
        let path = request.path.unwrap_or_default();
        if !path.ends_with("/chat/completions") && !path.ends_with("/messages") {
            return Some((Wanted::Refused("404 Not Found"), end));
        }
        Some((self.wanted(dialect_of(path), body).unwrap_or(Wanted::Refused("400 Bad Request")), end))
    }

    /// Nothing if the body makes no sense.
    fn wanted(&mut self, dialect: Dialect, body: &[u8]) -> Option<Wanted> {
        let document = Document::scan(body).ok()?;
        let asked = document.get("mock").map(|field| field.value.of(body)).unwrap_or_default();
        let script = self.script(dialect, asked)?;
        let good = script.0.status == 200;
        let streams = good && document.boolean("stream").ok()?.unwrap_or(false);
        let with_usage = asks_for_usage(&document);
        let now = Instant::now();
        Some(match &mut self.engine {
            Some(engine) if good => {
                let (replies, (read, usage)) = (script.0, engine.read(&document, now));
                let (mut script, mut at) = (replies.script(dialect, usage), read);
                if !streams {
                    script = script.into_late();
                    at += replies.lasts(replies.events.into());
                }
                let script = Arc::new((replies, script));
                Wanted::Stream(Stream { script, with_usage, prompt: usage.prompt, beat: 0, at })
            }
            _ if streams => {
                let at = now + script.0.due(0);
                Wanted::Stream(Stream { script, with_usage, prompt: 0, beat: 0, at })
            }
            _ => Wanted::Whole(script),
        })
    }

    fn script(&mut self, dialect: Dialect, asked: &[u8]) -> Option<Arc<(Replies, Script)>> {
        let scripts =
            if dialect == Dialect::AnthropicMessages { &mut self.anthropic } else { &mut self.openai };
        if let Some(script) = scripts.get(asked) {
            return Some(Arc::clone(script));
        }
        let replies: Replies =
            if asked.is_empty() { Replies::default() } else { serde_json::from_slice(asked).ok()? };
        let script = Arc::new((replies, replies.script(dialect, Usage::default())));
        scripts.insert(asked.into(), Arc::clone(&script));
        Some(script)
    }
}

fn asks_for_usage(document: &Document<'_>) -> bool {
    let options = document.get("stream_options").and_then(|options| document.nested(options).ok());
    options.is_some_and(|options| matches!(options.boolean("include_usage"), Ok(Some(true))))
}
