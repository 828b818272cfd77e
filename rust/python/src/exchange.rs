//! From what `upstream` reports to what `router` understands, and the stream between provider and client.

use edgeroute_router::{Content, End, Failure, FailureKind};
use edgeroute_upstream::{Deadline, Error, Head, Kind};
use edgeroute_wire::{EventStream, Remainder, Usage};

/// Bytes that may wait for a slow client before reading from the provider stops.
pub(crate) const HIGH_WATER: usize = 256 * 1024;

/// A stream being relayed: events checked as they pass, and what the client has not yet taken.
pub(crate) struct Stream {
    /// The head, as long as nothing of the stream is there to be relayed: until then another target may answer.
    pub(crate) head: Option<Head>,
    pub(crate) events: EventStream,
    pub(crate) waiting: Vec<u8>,
    /// Reading from the provider has been stopped until the client takes what waits.
    pub(crate) paused: bool,
    /// Set when nothing more will come; taken when the ticket is told.
    pub(crate) ended: bool,
    /// The stream broke: what the client must be told after the last whole event.
    pub(crate) broken: Option<&'static str>,
}

impl Stream {
    pub(crate) fn new(head: Head, events: EventStream) -> Self {
        Self { head: Some(head), events, waiting: Vec::new(), paused: false, ended: false, broken: None }
    }

    /// How the stream ended once the provider has sent its last byte.
    pub(crate) fn finish(&mut self) -> End {
        let remainder = self.events.finish();
        if self.events.failed() {
            return End::ProviderError;
        }
        match remainder {
            _ if self.events.ended() => End::Complete,
            Remainder::Nothing => cut("the stream ended without its end marker"),
            Remainder::Partial(_) => cut("the stream ended inside an event"),
        }
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        self.events.usage()
    }
}

fn cut(detail: &str) -> End {
    End::Failed(Failure { kind: FailureKind::Cut, detail: detail.into() })
}

/// The router's view of a failed exchange.
pub(crate) fn failure(error: &Error) -> Failure {
    let kind = match error.kind {
        Kind::Resolve | Kind::Connect | Kind::Tls => FailureKind::Connect,
        Kind::QueueFull => FailureKind::QueueFull,
        Kind::Timeout(Deadline::Queue) => FailureKind::QueueTimeout,
        Kind::Timeout(Deadline::Connect) => FailureKind::ConnectTimeout,
        Kind::Timeout(Deadline::FirstByte) => FailureKind::FirstByteTimeout,
        Kind::Timeout(Deadline::Gap) => FailureKind::GapTimeout,
        Kind::Timeout(Deadline::Total) => FailureKind::TotalTimeout,
        Kind::Protocol => FailureKind::Protocol,
        Kind::Cut => FailureKind::Cut,
        Kind::TooLarge => FailureKind::TooLarge,
        Kind::Request => FailureKind::Unsendable,
    };
    Failure { kind, detail: error.to_string() }
}

/// Characters of a media type in the log.
const MOST_LOGGED: usize = 100;

/// What the response's content type declares.
pub(crate) fn content(head: &Head) -> Content {
    if head.is_event_stream() {
        return Content::Events;
    }
    let declared = head.header("content-type").unwrap_or_default();
    let essence = declared.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let suffix = essence.len().checked_sub(5).and_then(|start| essence.get(start..)).unwrap_or_default();
    if essence.eq_ignore_ascii_case(b"application/json") || suffix.eq_ignore_ascii_case(b"+json") {
        Content::Json
    } else {
        Content::Other(match essence {
            b"" => "no content-type".into(),
            // It is the provider's, and a log line has an end.
            other => String::from_utf8_lossy(other).chars().take(MOST_LOGGED).collect::<String>().into(),
        })
    }
}
