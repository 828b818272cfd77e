//! Reads one HTTP/1.1 response from bytes, however they are cut (RFC 9112), without doing I/O itself.
//!
//! Strict on purpose: where two readers could disagree about where a message ends, this one refuses.

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Status};
use memchr::memchr2_iter;

use crate::head::{Entry, Head};

/// How every response begins.
const BEGINNING: &[u8] = b"HTTP/1.";
/// Bytes of a head, status line and empty line included.
const MAX_HEAD: usize = 64 * 1024;
/// Header lines of a head.
const MAX_HEADERS: usize = 128;
/// Responses with a status of 1xx before the final one.
const MAX_INTERIM: u8 = 8;
/// Hexadecimal digits of a chunk size: 15 cannot overflow.
const MAX_SIZE_DIGITS: u8 = 15;
/// Bytes of chunk extensions and trailers in one response.
const MAX_IGNORED: usize = 16 * 1024;
/// What is reserved at a time on the word of a `content-length`; also what one read takes in at most.
const MAX_RESERVED: usize = 256 * 1024;
/// Less room than this is not worth a read.
const LEAST_SPARE: usize = 64 * 1024;
const UNASKED: Malformed = Malformed("bytes follow the end of the response");

/// Reads one response. Feed it bytes as they come; take out the head and the decoded body as they become known.
#[derive(Debug)]
pub struct Reader {
    state: State,
    lines: Lines,
    /// The beginning of a head, or of trailers, whose end has not arrived.
    partial: Vec<u8>,
    head: Option<Head>,
    body: Vec<u8>,
    length: Option<u64>,
    keep_alive: bool,
    interim: u8,
    ignored: usize,
    /// The request was a CONNECT.
    connect: bool,
}

/// Why bytes are not an acceptable response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// Body bytes left, never 0.
    Counted(u64),
    UntilClose,
    ChunkSize {
        size: u64,
        digits: u8,
    },
    ChunkExtension {
        size: u64,
    },
    ChunkSizeLf {
        size: u64,
    },
    /// Chunk bytes left, never 0.
    ChunkData(u64),
    ChunkDataCr,
    ChunkDataLf,
    Trailers,
    Complete,
}

/// Finds the empty line that ends a head or the trailers, and refuses CR without LF and LF without CR.
#[derive(Debug, Clone, Copy)]
struct Lines {
    after_cr: bool,
    line_is_empty: bool,
}

/// What a head says about the message around it.
struct Framing {
    length: Option<u64>,
    chunked: bool,
    keep_alive: bool,
    /// Names listed by `connection`, which are hop-by-hop too.
    nominated: Vec<String>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            state: State::Head,
            lines: Lines::START,
            partial: Vec::new(),
            head: None,
            body: Vec::new(),
            length: None,
            keep_alive: false,
            interim: 0,
            ignored: 0,
            connect: false,
        }
    }
}

impl Reader {
    /// Reads the response to a CONNECT: one of success ends with its head, whatever the head says of a body.
    pub fn of_connect() -> Self {
        Self { connect: true, ..Self::default() }
    }

    /// Reads all of `data`. After an error the connection is of no further use.
    pub fn feed(&mut self, mut data: &[u8]) -> Result<(), Malformed> {
        while self.state == State::Head {
            self.check_beginning(data)?;
            let Some(end) = self.lines.find_end(data)? else { return self.keep_partial(data) };
            let (head, rest) = data.split_at(end);
            if self.partial.is_empty() {
                self.read_head(head)?;
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(head);
                self.read_head(&whole)?;
            }
            data = rest;
        }
        self.read_body(data)
    }

    /// Lets `read` append to the body as much as it has spare capacity for, which may be more than the response has.
    /// `None` if what comes next is not a body whose length is known: then it is for [`Reader::feed`].
    pub fn read_counted<T>(&mut self, read: impl FnOnce(&mut Vec<u8>) -> T) -> Option<Result<T, Malformed>> {
        let State::Counted(left) = self.state else { return None };
        // One byte more than there may be tells that there is none.
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).saturating_add(1).min(MAX_RESERVED);
        if self.body.capacity() - self.body.len() < wanted.min(LEAST_SPARE) {
            self.body.reserve(wanted);
        }
        let before = self.body.len();
        let outcome = read(&mut self.body);
        let count = (self.body.len() - before) as u64;
        if count > left {
            self.body.truncate(before + usize::try_from(left).unwrap_or(usize::MAX));
            self.state = State::Complete;
            return Some(Err(UNASKED));
        }
        self.state = if count == left { State::Complete } else { State::Counted(left - count) };
        Some(Ok(outcome))
    }

    /// Tells that the peer closed cleanly. True if that is a proper end of the response.
    pub fn end_of_input(&mut self) -> bool {
        if self.state == State::UntilClose {
            self.state = State::Complete;
        }
        self.is_complete()
    }

    /// Whether the response has ended.
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Whether the connection may carry another exchange after this one.
    pub fn is_reusable(&self) -> bool {
        self.is_complete() && self.keep_alive
    }

    /// Whether a byte of the final response (not 1xx) has certainly arrived.
    pub fn has_begun(&self) -> bool {
        self.state != State::Head || self.partial.get(9).is_some_and(|digit| *digit != b'1')
    }

    /// Whether the head of the final response is complete.
    pub fn has_head(&self) -> bool {
        self.state != State::Head
    }

    /// The head of the final response if it is complete and was not taken.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// The head of the final response, once, as soon as it is complete.
    pub fn take_head(&mut self) -> Option<Head> {
        self.head.take()
    }

    /// The body bytes decoded since the last call.
    pub fn take_body(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.body)
    }

    /// How large the untaken body is at least going to be: what has arrived, or the announced length.
    pub fn expected_size(&self) -> u64 {
        self.length.unwrap_or(0).max(self.body.len() as u64)
    }

    /// Tells garbage at its first wrong byte. httparse would also skip empty lines, which a response does not have.
    fn check_beginning(&self, data: &[u8]) -> Result<(), Malformed> {
        let expected = BEGINNING.iter().skip(self.partial.len());
        if data.iter().zip(expected).any(|(found, expected)| found != expected) {
            return Err(Malformed("the response does not begin with HTTP/1."));
        }
        Ok(())
    }

    fn keep_partial(&mut self, data: &[u8]) -> Result<(), Malformed> {
        self.partial.extend_from_slice(data);
        if self.partial.len() >= MAX_HEAD {
            return Err(Malformed("the head is larger than 64 KiB"));
        }
        Ok(())
    }

    /// `raw` ends with the first empty line.
    fn read_head(&mut self, raw: &[u8]) -> Result<(), Malformed> {
        if raw.len() > MAX_HEAD {
            return Err(Malformed("the head is larger than 64 KiB"));
        }
        let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut []);
        let parsed =
            ParserConfig::default().parse_response_with_uninit_headers(&mut response, raw, &mut headers);
        match parsed {
            Ok(Status::Complete(used)) if used == raw.len() => {}
            Ok(_) => return Err(Malformed("the head ends too early")),
            Err(error) => return Err(malformed_head(error)),
        }
        let (Some(status), Some(version)) = (response.code, response.version) else {
            return Err(Malformed("the status line is malformed"));
        };
        if self.connect && (200..300).contains(&status) {
            self.state = State::Complete;
            self.head = Some(index_head(status, raw, response.headers, &[])?);
            return Ok(());
        }
        let framing = Framing::read(version, response.headers)?;
        match status {
            101 => return Err(Malformed("the protocol was switched unasked")),
            100..=199 => return self.skip_interim(&framing),
            200..=599 => {}
            _ => return Err(Malformed("the status is not between 100 and 599")),
        }
        self.keep_alive = framing.keep_alive;
        self.state = match (status, framing.chunked, framing.length) {
            (204 | 304, _, _) => State::Complete,
            (_, true, _) => State::ChunkSize { size: 0, digits: 0 },
            (_, _, Some(0)) => State::Complete,
            (_, _, Some(length)) => State::Counted(length),
            (_, _, None) => {
                self.keep_alive = false;
                State::UntilClose
            }
        };
        if let State::Counted(length) = self.state {
            self.length = Some(length);
            let reserved = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(1).min(MAX_RESERVED);
            self.body.reserve_exact(reserved);
        }
        self.head = Some(index_head(status, raw, response.headers, &framing.nominated)?);
        Ok(())
    }

    fn skip_interim(&mut self, framing: &Framing) -> Result<(), Malformed> {
        if framing.chunked || framing.length.is_some() {
            return Err(Malformed("a 1xx response announces a body"));
        }
        self.interim += 1;
        if self.interim > MAX_INTERIM {
            return Err(Malformed("too many 1xx responses"));
        }
        self.lines = Lines::START;
        Ok(())
    }

    fn read_body(&mut self, mut data: &[u8]) -> Result<(), Malformed> {
        while let Some((&byte, after)) = data.split_first() {
            self.state = match self.state {
                State::Complete => return Err(UNASKED),
                State::Head => return Err(Malformed("the head is incomplete")),
                State::UntilClose => {
                    self.body.extend_from_slice(data);
                    return Ok(());
                }
                State::Counted(left) => match self.copy(&mut data, left) {
                    0 => State::Complete,
                    left => State::Counted(left),
                },
                State::ChunkData(left) => match self.copy(&mut data, left) {
                    0 => State::ChunkDataCr,
                    left => State::ChunkData(left),
                },
                State::Trailers => {
                    let end = self.lines.find_end(data)?;
                    let (now, later) = data.split_at(end.unwrap_or(data.len()));
                    self.ignore(now.len())?;
                    self.partial.extend_from_slice(now);
                    if end.is_none() {
                        return Ok(());
                    }
                    check_trailers(&std::mem::take(&mut self.partial))?;
                    data = later;
                    State::Complete
                }
                state => {
                    data = after;
                    self.chunk_border(state, byte)?
                }
            };
        }
        Ok(())
    }

    /// One byte between the data of two chunks.
    fn chunk_border(&mut self, state: State, byte: u8) -> Result<State, Malformed> {
        match (state, byte) {
            (State::ChunkSize { size, digits }, byte) if byte.is_ascii_hexdigit() => {
                if digits == MAX_SIZE_DIGITS {
                    return Err(Malformed("a chunk size has more than 15 digits"));
                }
                let digit = u64::from(char::from(byte).to_digit(16).unwrap_or(0));
                Ok(State::ChunkSize { size: size << 4 | digit, digits: digits + 1 })
            }
            (State::ChunkSize { size, digits: 1.. }, b'\r') => Ok(State::ChunkSizeLf { size }),
            (State::ChunkSize { size, digits: 1.. }, b';') => Ok(State::ChunkExtension { size }),
            (State::ChunkSize { .. }, _) => Err(Malformed("a chunk size is not a hexadecimal number")),
            (State::ChunkExtension { size }, b'\r') => Ok(State::ChunkSizeLf { size }),
            (State::ChunkExtension { .. }, b'\n') => Err(Malformed("a line ends without CR")),
            (State::ChunkExtension { .. }, _) => self.ignore(1).map(|()| state),
            (State::ChunkSizeLf { size: 0 }, b'\n') => {
                self.lines = Lines::START;
                Ok(State::Trailers)
            }
            (State::ChunkSizeLf { size }, b'\n') => Ok(State::ChunkData(size)),
            (State::ChunkDataCr, b'\r') => Ok(State::ChunkDataLf),
            (State::ChunkDataLf, b'\n') => Ok(State::ChunkSize { size: 0, digits: 0 }),
            _ => Err(Malformed("a chunk does not end with CRLF")),
        }
    }

    /// Moves up to `left` bytes from `data` to the body; returns how many are still missing.
    fn copy(&mut self, data: &mut &[u8], left: u64) -> u64 {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
        let (now, later) = data.split_at(count);
        self.body.extend_from_slice(now);
        *data = later;
        left - count as u64
    }

    fn ignore(&mut self, count: usize) -> Result<(), Malformed> {
        self.ignored += count;
        if self.ignored > MAX_IGNORED {
            return Err(Malformed("more than 16 KiB of chunk extensions and trailers"));
        }
        Ok(())
    }
}

impl Lines {
    const START: Self = Self { after_cr: false, line_is_empty: true };

    /// The offset in `data` right after the empty line.
    fn find_end(&mut self, data: &[u8]) -> Result<Option<usize>, Malformed> {
        let mut seen = 0;
        for at in memchr2_iter(b'\r', b'\n', data) {
            self.text(at - seen)?;
            seen = at + 1;
            match (data.get(at) == Some(&b'\r'), self.after_cr) {
                (true, true) => return Err(Malformed("a CR without LF")),
                (true, false) => self.after_cr = true,
                (false, false) => return Err(Malformed("a line ends without CR")),
                (false, true) if self.line_is_empty => return Ok(Some(seen)),
                (false, true) => *self = Self::START,
            }
        }
        self.text(data.len() - seen)?;
        Ok(None)
    }

    /// `count` bytes that are neither CR nor LF.
    fn text(&mut self, count: usize) -> Result<(), Malformed> {
        if count == 0 {
            return Ok(());
        }
        self.line_is_empty = false;
        if self.after_cr { Err(Malformed("a CR without LF")) } else { Ok(()) }
    }
}

impl Framing {
    /// `version` is the minor version of HTTP/1.
    fn read(version: u8, headers: &[Header<'_>]) -> Result<Self, Malformed> {
        let mut framing =
            Self { length: None, chunked: false, keep_alive: version == 1, nominated: Vec::new() };
        for Header { name, value } in headers {
            if name.eq_ignore_ascii_case("content-length") {
                if framing.length.is_some() {
                    return Err(Malformed("content-length appears twice"));
                }
                framing.length = Some(parse_length(value)?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                if framing.chunked {
                    return Err(Malformed("transfer-encoding appears twice"));
                }
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Malformed("transfer-encoding is not `chunked`"));
                }
                framing.chunked = true;
            } else if name.eq_ignore_ascii_case("connection") {
                framing.read_connection(value);
            }
        }
        if framing.chunked && framing.length.is_some() {
            return Err(Malformed("both content-length and transfer-encoding"));
        }
        if framing.chunked && version == 0 {
            return Err(Malformed("transfer-encoding in an HTTP/1.0 response"));
        }
        Ok(framing)
    }

    fn read_connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"close") {
                self.keep_alive = false;
            } else if !option.eq_ignore_ascii_case(b"keep-alive") {
                self.nominated.push(String::from_utf8_lossy(option).into_owned());
            }
        }
    }
}

/// Trailers are thrown away, but what is there must be trailers: `raw` ends with their empty line.
fn check_trailers(raw: &[u8]) -> Result<(), Malformed> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    match httparse::parse_headers(raw, &mut headers) {
        Ok(Status::Complete((used, _))) if used == raw.len() => Ok(()),
        Ok(_) => Err(Malformed("the trailers end too early")),
        Err(error) => Err(malformed_head(error)),
    }
}

fn parse_length(value: &[u8]) -> Result<u64, Malformed> {
    let digits = std::str::from_utf8(value).unwrap_or_default();
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Malformed("content-length is not a number"));
    }
    digits.parse().map_err(|_| Malformed("content-length is not a number"))
}

fn index_head(
    status: u16,
    raw: &[u8],
    headers: &[Header<'_>],
    nominated: &[String],
) -> Result<Head, Malformed> {
    let base = raw.as_ptr().addr();
    let range = |part: &[u8]| {
        let start = part.as_ptr().addr() - base;
        let end = start + part.len();
        Some((u16::try_from(start).ok()?, u16::try_from(end).ok()?))
    };
    let mut copy = raw.to_vec();
    let mut index = Vec::with_capacity(headers.len());
    for Header { name, value } in headers {
        let concerns_connection = is_framing_or_hop_by_hop(name)
            || nominated.iter().any(|nominated| name.eq_ignore_ascii_case(nominated));
        if concerns_connection {
            continue;
        }
        let value = if value.is_empty() { Some((0, 0)) } else { range(value) };
        let (Some(name), Some(value)) = (range(name.as_bytes()), value) else {
            return Err(Malformed("the head is larger than 64 KiB"));
        };
        if let Some(bytes) = copy.get_mut(usize::from(name.0)..usize::from(name.1)) {
            bytes.make_ascii_lowercase();
        }
        index.push(Entry { name, value });
    }
    Ok(Head::new(status, copy, index))
}

fn is_framing_or_hop_by_hop(name: &str) -> bool {
    const NAMES: [&str; 9] = [
        "connection",
        "content-length",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

#[cold]
fn malformed_head(error: httparse::Error) -> Malformed {
    Malformed(match error {
        httparse::Error::HeaderName => "a header name is malformed",
        httparse::Error::HeaderValue => "a header value is malformed",
        httparse::Error::NewLine => "a line ends without CRLF",
        httparse::Error::Status => "the status is malformed",
        httparse::Error::TooManyHeaders => "more than 128 headers",
        httparse::Error::Version => "the version is not HTTP/1.0 or HTTP/1.1",
        httparse::Error::Token => "the status line is malformed",
    })
}
