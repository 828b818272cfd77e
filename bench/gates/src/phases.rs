//! The phases of a request that are computed, one by one: a chat of about 1 kB under the policy of `make bench`.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;

use edgeroute_router::{
    Content, End, Event, LiveFacts, LogFormat, Now, Request, Snapshot, Step, Ticket, decide, forward,
};
use edgeroute_shared::{Cells, Layout, Owner, Row};
use edgeroute_wire::{Dialect, Document, EventStream, usage};

use crate::Counter;

/// Different requests, so that no branch predictor and no cache of ours learns one.
const VARIETY: usize = 1_024;
const AT: Now = Now { unix_ms: 1_795_000_000_000, monotonic_us: 1_000_000 };
const LATER: Now = Now { unix_ms: 1_795_000_000_001, monotonic_us: 2_000_000 };
const HEADERS: &[(&[u8], &[u8])] = &[
    (b"host", b"127.0.0.1:4000"),
    (b"accept", b"application/json"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"connection", b"keep-alive"),
    (b"user-agent", b"OpenAI/Python 3.52.0"),
    (b"x-stainless-lang", b"python"),
    (b"x-stainless-package-version", b"3.52.0"),
    (b"x-stainless-os", b"Linux"),
    (b"x-stainless-arch", b"x64"),
    (b"x-stainless-runtime", b"CPython"),
    (b"authorization", b"Bearer sk-bench-key"),
    (b"content-type", b"application/json"),
    (b"content-length", b"1024"),
];
const WORDS: [&str; 16] = [
    "ocean",
    "maple",
    "harbor",
    "canyon",
    "violet",
    "lantern",
    "meadow",
    "copper",
    "winter",
    "\\n",
    "router",
    "\\\"name\\\"",
    "value",
    "because",
    "a",
    "of",
];
const REPLY: &[u8] = br#"{"id":"chatcmpl-1","object":"chat.completion","created":1790000000,"model":"a","choices":[{"index":0,"message":{"role":"assistant","content":"The ocean is deep, and the harbor is not."},"finish_reason":"stop"}],"usage":{"prompt_tokens":180,"completion_tokens":12,"total_tokens":192}}"#;

/// Runs the phase of this name.
pub(crate) fn run(phase: &str, configuration: &[u8], counter: &mut Counter) -> Result<(), Box<dyn Error>> {
    match phase {
        "scan" => scan(counter),
        "event" => event(counter),
        "decide" | "forward" | "advance" | "record" => {
            let host = Host::new(configuration)?;
            match phase {
                "decide" => host.decide(counter),
                "forward" => host.forward(counter),
                "advance" => host.advance(counter),
                _ => host.record(counter),
            }
        }
        other => return Err(format!("there is no phase `{other}`").into()),
    }
    Ok(())
}

/// The top-level scan of a body.
fn scan(counter: &mut Counter) {
    let bodies = bodies();
    counter.each(|counter, index| {
        let body = pick(&bodies, index);
        counter.measure(|| Document::scan(body).is_ok());
    });
}

/// One event of a stream, alone in its chunk.
fn event(counter: &mut Counter) {
    let mut random = Random(11);
    let events: Vec<Vec<u8>> = (0..VARIETY)
        .map(|_| {
            let word = random.text(4);
            format!("data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,\"model\":\"a\",\"system_fingerprint\":\"fp_1\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{word}\"}},\"logprobs\":null,\"finish_reason\":null}}],\"usage\":null}}\n\n").into_bytes()
        })
        .collect();
    let mut stream = EventStream::new(Dialect::OpenAiChat, true);
    let mut out = Vec::with_capacity(1 << 12);
    counter.each(|counter, index| {
        out.clear();
        counter.measure(|| stream.feed(pick(&events, index), &mut out).is_ok());
    });
}

/// A host with one worker, and what its clients send.
struct Host {
    cells: Cells,
    row: Arc<Row>,
    snapshot: Arc<Snapshot>,
    bodies: Vec<Vec<u8>>,
}

impl Host {
    fn new(configuration: &[u8]) -> Result<Self, Box<dyn Error>> {
        let cells = Cells::anonymous(Layout::default())?;
        let row = Arc::new(cells.claim_row(Owner::current()?)?);
        let snapshot = Arc::new(Snapshot::compile(configuration, &cells, 1, 0)?);
        let host = Self { cells, row, snapshot, bodies: bodies() };
        match host.start(0).step() {
            Step::Attempt => Ok(host),
            other => Err(format!("the first request gets {other:?} and no attempt").into()),
        }
    }

    /// Key, body, rules, placement, limits.
    fn decide(&self, counter: &mut Counter) {
        counter.each(|counter, index| {
            let request = self.request(index);
            let ticket = counter.measure(|| self.ticket(&request, index));
            leave(ticket);
        });
    }

    /// What goes to the provider: header fields and the spliced body.
    fn forward(&self, counter: &mut Counter) {
        counter.each(|counter, index| {
            let request = self.request(index);
            let ticket = self.ticket(&request, index);
            counter.measure(|| {
                let client = forward::client_headers(ticket.dialect(), &request);
                let mut pieces = 0;
                let written = ticket.splice(request.body.len(), |piece| {
                    black_box(piece);
                    pieces += 1;
                });
                let attempt = ticket.attempt(AT);
                let headers =
                    attempt.map(|attempt| black_box(forward::attempt_headers(&attempt, &client)).len());
                (written.is_ok(), pieces, headers)
            });
            leave(ticket);
        });
    }

    /// A whole response: its usage is found, and the attempt and the request are settled.
    fn advance(&self, counter: &mut Counter) {
        counter.each(|counter, index| {
            let mut ticket = self.start(index);
            counter.measure(|| respond(&mut ticket));
        });
    }

    /// The overhead, the metrics and the log line.
    fn record(&self, counter: &mut Counter) {
        let mut log = Vec::with_capacity(1 << 20);
        counter.each(|counter, index| {
            let mut ticket = self.start(index);
            respond(&mut ticket);
            log.clear();
            counter.measure(|| {
                ticket.handed(LATER);
                ticket.record("req_0123456789abcdef", LATER, LogFormat::Json, &mut log);
            });
        });
    }

    fn request(&self, index: usize) -> Request<'_> {
        Request {
            method: "POST",
            path: "/v1/chat/completions",
            query: "",
            headers: HEADERS.into(),
            peer: "127.0.0.1:50000",
            body: pick(&self.bodies, index),
        }
    }

    fn ticket(&self, request: &Request<'_>, index: usize) -> Ticket {
        let facts = LiveFacts::new(&self.cells, AT.unix_ms);
        decide(&self.snapshot, &self.row, &facts, request, AT, index as u64)
    }

    fn start(&self, index: usize) -> Ticket {
        let mut ticket = self.ticket(&self.request(index), index);
        ticket.attempt_started(AT);
        ticket
    }
}

fn respond(ticket: &mut Ticket) {
    let usage = usage::read(Dialect::OpenAiChat, REPLY);
    ticket.advance(Event::Responded { status: 200, content: Content::Json, usage }, LATER);
}

/// Gives back what a ticket holds.
fn leave(mut ticket: Ticket) {
    ticket.advance(Event::Ended { end: End::ClientGone, usage: None, events: 0 }, LATER);
}

fn bodies() -> Vec<Vec<u8>> {
    let mut random = Random(7);
    let body = |number: usize| {
        let (temperature, most) = (random.below(10), 100 + random.below(400));
        let (system, question) = (random.text(250), random.text(550));
        format!(
            r#"{{"model":"gpt-4o-mini","temperature":0.{temperature},"max_tokens":{most},"messages":[{{"role":"system","content":"You are a helpful assistant. {system}"}},{{"role":"user","content":"Question {number}: {question}"}}]}}"#
        )
        .into_bytes()
    };
    (0..VARIETY).map(body).collect()
}

fn pick(of: &[Vec<u8>], index: usize) -> &[u8] {
    of.get(index % VARIETY).map_or(&[], Vec::as_slice)
}

/// A generator of our own, so that inputs are the same on every machine (Knuth's MMIX).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    /// Words as they stand in JSON, some of them escapes.
    fn text(&mut self, bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 16);
        while text.len() < bytes {
            text.push_str(WORDS.get(self.below(WORDS.len())).copied().unwrap_or_default());
            text.push(' ');
        }
        text
    }
}
