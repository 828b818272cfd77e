//! A scripted server on loopback and a driver for the client with a clock of its own.
#![allow(dead_code, unreachable_pub)]

pub mod tls;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use edgeroute_upstream::{
    Body, Client, Deadlines, Error, Event, ExchangeId, Limits, Origin, Request, Settings,
};
use mio::unix::SourceFd;
use mio::{Interest, Token};

/// How long a test waits for what should happen at once.
const HANG: Duration = Duration::from_secs(20);

pub const DEADLINES: Deadlines = Deadlines {
    connect: Duration::from_secs(2),
    first_byte: Duration::from_secs(30),
    gap: Duration::from_secs(10),
    total: Duration::from_secs(100),
};

/// Accepts connections and runs the script for each on a thread: `script(number of the connection from 0, stream)`.
pub struct Server {
    pub address: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Server {
    pub fn start(script: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let (count, script) = (Arc::clone(&accepted), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(HANG)).unwrap();
                let number = count.fetch_add(1, Ordering::SeqCst);
                let script = Arc::clone(&script);
                thread::spawn(move || script(number, stream));
            }
        });
        Self { address, accepted }
    }

    /// Answers every request on every connection with what `answer` returns, and never closes.
    pub fn answering(answer: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start(move |_, mut stream| {
            while let Some((_, body)) = read_request(&mut stream) {
                stream.write_all(&answer(&body)).unwrap();
            }
        })
    }

    pub fn origin(&self) -> Arc<Origin> {
        Arc::new(Origin::parse(&format!("http://{}", self.address)).unwrap())
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// Head and body of the next request; `None` if the client closed or reset the connection instead.
pub fn read_request(stream: &mut impl Read) -> Option<(String, Vec<u8>)> {
    let head = read_head(stream)?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// The head of the next request, and no byte more.
pub fn read_head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    Some(String::from_utf8(head).unwrap())
}

/// Whether the client closed or reset the connection, sooner or later.
pub fn closed_by_client(stream: &mut TcpStream) -> bool {
    let mut sink = [0; 4096];
    loop {
        match stream.read(&mut sink) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

/// Makes closing the stream send a reset.
pub fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

pub fn answer(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

pub const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

/// A client whose time stands still unless a test moves it.
pub struct Driver {
    pub client: Client,
    pub now: Instant,
    /// Those of every origin.
    limits: Limits,
    seen: HashMap<ExchangeId, Vec<Event>>,
    event_loop: mio::Poll,
}

/// All that happened to an exchange.
#[derive(Debug, Default)]
pub struct Outcome {
    pub status: u16,
    pub body: Vec<u8>,
    /// Sizes of the chunks of a stream.
    pub chunks: Vec<usize>,
    /// Ended as it should.
    pub complete: bool,
    pub error: Option<Error>,
}

impl Outcome {
    pub fn text(&self) -> &str {
        assert!(self.complete, "{:?}", self.error);
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Driver {
    pub fn new(settings: Settings) -> Self {
        Self {
            client: Client::new(settings).unwrap(),
            now: Instant::now(),
            limits: Limits::default(),
            seen: HashMap::new(),
            event_loop: mio::Poll::new().unwrap(),
        }
    }

    pub fn limited(limits: Limits) -> Self {
        Self { limits, ..Self::new(Settings::default()) }
    }

    /// At most so many connections to each origin.
    pub fn with_connections(connections: usize) -> Self {
        Self::limited(Limits { connections, ..Limits::default() })
    }

    pub fn start(&mut self, origin: &Arc<Origin>, body: impl Into<Body>) -> ExchangeId {
        self.start_with(origin, body, DEADLINES)
    }

    pub fn start_with(
        &mut self,
        origin: &Arc<Origin>,
        body: impl Into<Body>,
        deadlines: Deadlines,
    ) -> ExchangeId {
        let request = Request {
            origin: Arc::new(Origin::clone(origin).limited_to(self.limits)),
            path: "/v1/chat",
            headers: &[("authorization", b"Bearer secret")],
            body: body.into(),
            deadlines,
        };
        self.client.start(request, self.now)
    }

    /// One call of the client's `poll`. True if more is ready.
    pub fn poll(&mut self) -> bool {
        let mut events = Vec::new();
        let more = self.client.poll(self.now, &mut events);
        for (id, event) in events {
            self.seen.entry(id).or_default().push(event);
        }
        more
    }

    /// Serves whatever becomes ready, sleeping on the descriptor as an event loop would, until `done`.
    pub fn until(&mut self, mut done: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        let mut more = self.poll();
        while !done(self) {
            assert!(start.elapsed() < HANG, "nothing happened");
            if !more {
                self.wait();
            }
            more = self.poll();
        }
    }

    /// Sleeps until the descriptor is readable, or for a moment, since scripts do not wake it.
    fn wait(&mut self) {
        let descriptor = self.client.as_raw_fd();
        let mut source = SourceFd(&descriptor);
        // Registered anew each time: that makes it level-triggered, as in a Python event loop.
        self.event_loop.registry().register(&mut source, Token(0), Interest::READABLE).unwrap();
        let mut ready = mio::Events::with_capacity(1);
        self.event_loop.poll(&mut ready, Some(Duration::from_millis(20))).unwrap();
        self.event_loop.registry().deregister(&mut source).unwrap();
    }

    /// Serves until a message comes from a script.
    pub fn until_told<T>(&mut self, messages: &mpsc::Receiver<T>) -> T {
        let mut message = None;
        self.until(|_| {
            message = messages.try_recv().ok();
            message.is_some()
        });
        message.unwrap()
    }

    pub fn is_finished(&self, id: ExchangeId) -> bool {
        let last = self.seen.get(&id).and_then(|events| events.last());
        matches!(last, Some(Event::Response { .. } | Event::End | Event::Failed(_)))
    }

    /// Bytes of a stream seen so far; 0 before its head.
    pub fn streamed(&self, id: ExchangeId) -> usize {
        let events = self.seen.get(&id).map(Vec::as_slice).unwrap_or_default();
        events.iter().map(|event| if let Event::Chunk(chunk) = event { chunk.len() } else { 0 }).sum()
    }

    pub fn events(&self, id: ExchangeId) -> usize {
        self.seen.get(&id).map_or(0, Vec::len)
    }

    /// Serves until the exchange has ended.
    pub fn finish(&mut self, id: ExchangeId) -> Outcome {
        self.until(|driver| driver.is_finished(id));
        let mut outcome = Outcome::default();
        for event in self.seen.remove(&id).unwrap_or_default() {
            assert!(!outcome.complete && outcome.error.is_none(), "an event after the last");
            match event {
                Event::Response { head, body } => {
                    outcome = Outcome { status: head.status(), body, complete: true, ..Outcome::default() };
                }
                Event::Head(head) => outcome.status = head.status(),
                Event::Chunk(chunk) => {
                    assert!(outcome.status != 0 && !chunk.is_empty());
                    outcome.chunks.push(chunk.len());
                    outcome.body.extend(chunk);
                }
                Event::End => outcome.complete = true,
                Event::Failed(error) => outcome.error = Some(error),
            }
        }
        outcome
    }

    pub fn exchange(&mut self, origin: &Arc<Origin>, body: impl Into<Body>) -> Outcome {
        let id = self.start(origin, body);
        self.finish(id)
    }

    pub fn fail(&mut self, id: ExchangeId) -> Error {
        let outcome = self.finish(id);
        outcome.error.unwrap_or_else(|| panic!("it succeeded with {}", outcome.status))
    }
}
