//! Server-sent events, checked as they pass (WHATWG HTML §9.2).

use std::borrow::Cow;
use std::mem;

use memchr::{memchr2, memmem};

use crate::cursor::skip_whitespace;
use crate::dialect::Dialect;
use crate::document::{Document, Kind};
use crate::usage::{Reported, Usage};

/// The largest event that passes.
pub const MAX_EVENT_BYTES: usize = 1 << 20;

/// A stream that cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// An event is too large, or does not end.
    #[error("the provider sent an event of more than {MAX_EVENT_BYTES} bytes")]
    TooLarge,
}

/// What is left of a stream that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remainder {
    /// The stream ended after a whole event.
    Nothing,
    /// The last event, of this many bytes, has no end; it was not passed on.
    Partial(usize),
}

/// A stream of events from a provider: passes whole events on byte for byte and notes what they say. A blank line ends
/// an event; a line ends with LF, CR LF or CR. Comments and unknown fields pass.
#[derive(Debug)]
pub struct EventStream {
    hide_usage: bool,
    /// The event that has begun.
    held: Vec<u8>,
    /// The current line has no bytes yet.
    line_is_empty: bool,
    /// The last byte was CR, a LF that follows belongs to it.
    after_return: bool,
    /// The last whole event was not passed on.
    was_hidden: bool,
    facts: Facts,
}

/// What the events have said.
#[derive(Debug)]
struct Facts {
    dialect: Dialect,
    reported: Reported,
    /// Events with data.
    passed: u64,
    /// Of these, the ones with content.
    content: u64,
    ended: bool,
    failed: bool,
    usage_key: memmem::Finder<'static>,
    error_key: memmem::Finder<'static>,
}

/// The fields of one event that matter here.
struct Event<'e> {
    name: &'e [u8],
    data: Cow<'e, [u8]>,
}

impl EventStream {
    /// A stream that begins. With `hide_usage` the OpenAI chunk that carries nothing but the usage is not passed on.
    pub fn new(dialect: Dialect, hide_usage: bool) -> Self {
        Self {
            hide_usage,
            held: Vec::new(),
            line_is_empty: true,
            after_return: false,
            was_hidden: false,
            facts: Facts::new(dialect),
        }
    }

    /// Takes what arrived and appends the events that are now whole to `out`.
    ///
    /// # Errors
    /// When an event has more than [`MAX_EVENT_BYTES`]. The whole events before it have been appended, so that an error
    /// event may follow; feed nothing more.
    pub fn feed(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), EventError> {
        let mut at = self.finish_line_end(chunk, out);
        if !self.held.is_empty() {
            let end = self.end_of_event(chunk, at);
            self.hold(slice(chunk, at, end.unwrap_or(chunk.len())))?;
            let Some(end) = end else { return Ok(()) };
            self.was_hidden = self.facts.note(&self.held) && self.hide_usage;
            if !self.was_hidden {
                out.extend_from_slice(&self.held);
            }
            self.held.clear();
            at = end;
        }
        // Events that pass one after the other are copied at once.
        let mut copied = at;
        while let Some(end) = self.end_of_event(chunk, at) {
            if end - at > MAX_EVENT_BYTES {
                out.extend_from_slice(slice(chunk, copied, at));
                return Err(EventError::TooLarge);
            }
            self.was_hidden = self.facts.note(slice(chunk, at, end)) && self.hide_usage;
            if self.was_hidden {
                out.extend_from_slice(slice(chunk, copied, at));
                copied = end;
            }
            at = end;
        }
        out.extend_from_slice(slice(chunk, copied, at));
        self.hold(slice(chunk, at, chunk.len()))
    }

    /// The stream has ended. An end marker that says nothing else counts as seen even if the blank line after it is
    /// missing, unless its own data is cut; the last event of a response carries all of it, and was not passed on.
    pub fn finish(&mut self) -> Remainder {
        if self.held.is_empty() {
            return Remainder::Nothing;
        }
        let last = Event::read(&self.held);
        self.facts.ended |= self.facts.is_bare_end(&last) && !is_cut(&last.data);
        Remainder::Partial(self.held.len())
    }

    /// The usage reported so far: the last one of an OpenAI stream, the running one of an Anthropic stream.
    pub fn usage(&self) -> Option<Usage> {
        self.facts.reported.usage()
    }

    /// Whether the dialect's end marker has been seen: `[DONE]`; `response.completed`, `response.incomplete` or
    /// `response.failed`; `message_stop`.
    pub fn ended(&self) -> bool {
        self.facts.ended
    }

    /// Whether the provider has sent an error event, or says that the response has failed.
    pub fn failed(&self) -> bool {
        self.facts.failed
    }

    /// Events with content so far: OpenAI chunks with more than usage, deltas of a response, Anthropic content block
    /// deltas.
    pub fn events(&self) -> u64 {
        self.facts.content
    }

    /// Whole events with data so far: the number that the next one has in the stream of a response.
    pub fn sequence_number(&self) -> u64 {
        self.facts.passed
    }

    /// A LF at the start of a chunk that ends the same line as the CR before it. Returns where the rest begins.
    fn finish_line_end(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> usize {
        let Some(first) = chunk.first() else { return 0 };
        if !mem::take(&mut self.after_return) || *first != b'\n' {
            return 0;
        }
        if !self.held.is_empty() {
            self.held.push(b'\n');
        } else if !self.was_hidden {
            out.push(b'\n');
        }
        1
    }

    /// The end of the first event that ends after `at`, its blank line included.
    fn end_of_event(&mut self, chunk: &[u8], mut at: usize) -> Option<usize> {
        loop {
            let rest = chunk.get(at..)?;
            let Some(length) = memchr2(b'\n', b'\r', rest) else {
                self.line_is_empty &= rest.is_empty();
                return None;
            };
            let blank = self.line_is_empty && length == 0;
            let end = at + length;
            at = end + 1;
            if chunk.get(end) == Some(&b'\r') {
                match chunk.get(at) {
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                    None => self.after_return = true,
                }
            }
            self.line_is_empty = true;
            if blank {
                return Some(at);
            }
        }
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), EventError> {
        if self.held.len() + bytes.len() > MAX_EVENT_BYTES {
            return Err(EventError::TooLarge);
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }
}

impl Facts {
    fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            reported: Reported::default(),
            passed: 0,
            content: 0,
            ended: false,
            failed: false,
            usage_key: memmem::Finder::new(b"\"usage\""),
            error_key: memmem::Finder::new(b"\"error\""),
        }
    }

    /// Notes what a whole event says; whether it is an OpenAI chunk that carries nothing but the usage.
    fn note(&mut self, event: &[u8]) -> bool {
        let event = Event::read(event);
        self.passed += u64::from(!event.data.is_empty());
        if event.name == b"error" {
            self.failed = true;
            return false;
        }
        if self.is_bare_end(&event) {
            self.ended = true;
            return false;
        }
        match self.dialect {
            Dialect::OpenAiChat => return self.note_chat(&event.data),
            Dialect::OpenAiResponses => self.note_response(&event),
            Dialect::AnthropicMessages => self.note_anthropic(&event),
        }
        false
    }

    /// Whether the event ends the stream, and does nothing else.
    fn is_bare_end(&self, event: &Event<'_>) -> bool {
        match self.dialect {
            Dialect::OpenAiChat => *event.data == *b"[DONE]",
            Dialect::OpenAiResponses => false,
            Dialect::AnthropicMessages => event.name == b"message_stop",
        }
    }

    fn note_chat(&mut self, data: &[u8]) -> bool {
        if data.is_empty() {
            return false;
        }
        // Text may hold these words too, so a hit only means that the chunk's fields are worth a look.
        let look = self.may_report_usage(data) || self.error_key.find(data).is_some();
        let Some(chunk) = look.then(|| Document::scan(data).ok()).flatten() else {
            self.content += 1;
            return false;
        };
        if has_error(&chunk) {
            self.failed = true;
            return false;
        }
        self.reported.add(self.dialect, &chunk);
        let is_object = |name| chunk.get(name).is_some_and(|field| field.kind == Kind::Object);
        let only_usage = is_object("usage") && has_no_choices(&chunk);
        self.content += u64::from(!only_usage);
        only_usage
    }

    /// What an event is stands in its data as well, which is scanned only if the event's name does not say it, or if it
    /// holds the usage.
    fn note_response(&mut self, event: &Event<'_>) {
        let named = event.name.starts_with(b"response.");
        let look = !named || is_end_of_response(event.name);
        let data = look.then(|| Document::scan(&event.data).ok()).flatten();
        let written = data.as_ref().and_then(|data| data.string("type").ok()?).unwrap_or_default();
        let kind = if named { event.name } else { written.as_bytes() };
        if is_end_of_response(kind) {
            self.ended = true;
            self.failed |= kind == b"response.failed";
            let response = data.and_then(|data| data.nested(data.get("response")?).ok());
            if let Some(response) = response {
                self.reported.add(self.dialect, &response);
            }
        } else if kind == b"error" || data.is_some_and(|data| has_error(&data)) {
            self.failed = true;
        } else {
            self.content += u64::from(kind.starts_with(b"response.") && kind.ends_with(b".delta"));
        }
    }

    fn note_anthropic(&mut self, event: &Event<'_>) {
        match event.name {
            b"content_block_delta" => self.content += 1,
            b"message_start" => {
                let Ok(start) = Document::scan(&event.data) else { return };
                let message = start.get("message").and_then(|message| start.nested(message).ok());
                if let Some(message) = message {
                    self.reported.add(self.dialect, &message);
                }
            }
            b"message_delta" => {
                if let Ok(delta) = Document::scan(&event.data) {
                    self.reported.add(self.dialect, &delta);
                }
            }
            _ => {}
        }
    }

    /// Whether there is a key `usage` at any depth whose value is not null. Most chunks say `"usage":null`.
    fn may_report_usage(&self, data: &[u8]) -> bool {
        self.usage_key.find_iter(data).any(|key| {
            let colon = skip_whitespace(data, key + self.usage_key.needle().len());
            let value = skip_whitespace(data, colon + 1);
            data.get(colon) == Some(&b':') && !slice(data, value, data.len()).starts_with(b"null")
        })
    }
}

impl<'e> Event<'e> {
    fn read(mut rest: &'e [u8]) -> Self {
        let mut event = Self { name: b"", data: Cow::Borrowed(b"") };
        let mut has_data = false;
        while !rest.is_empty() {
            let length = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let line = slice(rest, 0, length);
            rest = slice(rest, length + 1, rest.len());
            if let Some(value) = value_of(line, b"data") {
                if has_data {
                    let joined = event.data.to_mut();
                    joined.push(b'\n');
                    joined.extend_from_slice(value);
                } else {
                    event.data = Cow::Borrowed(value);
                    has_data = true;
                }
            } else if let Some(value) = value_of(line, b"event") {
                event.name = value;
            }
        }
        event
    }
}

/// The value of a line of this field; a line without a colon has an empty one.
fn value_of<'l>(line: &'l [u8], field: &[u8]) -> Option<&'l [u8]> {
    let rest = line.strip_prefix(field)?;
    if rest.is_empty() {
        return Some(rest);
    }
    let value = rest.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

/// Whether JSON data stops in the middle.
fn is_cut(data: &[u8]) -> bool {
    data.starts_with(b"{") && Document::scan(data).is_err()
}

fn is_end_of_response(kind: &[u8]) -> bool {
    matches!(kind, b"response.completed" | b"response.incomplete" | b"response.failed")
}

fn has_error(chunk: &Document<'_>) -> bool {
    chunk.get("error").is_some_and(|error| error.kind != Kind::Null)
}

fn has_no_choices(chunk: &Document<'_>) -> bool {
    let Some(choices) = chunk.get("choices").filter(|choices| choices.kind == Kind::Array) else {
        return false;
    };
    let inside = skip_whitespace(chunk.bytes(), choices.value.start as usize + 1);
    inside + 1 == choices.value.end as usize
}

fn slice(bytes: &[u8], start: usize, end: usize) -> &[u8] {
    bytes.get(start..end).unwrap_or_default()
}
