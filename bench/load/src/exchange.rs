//! One request and what comes back, without I/O and without a clock: times are given, from the start of the run.

use std::time::Duration;

use edgeroute_upstream::Reader;
use edgeroute_wire::{Dialect, EventStream};

use crate::reply::Replies;
use crate::requests::Kind;
use crate::results::Results;

const OVERHEAD: &str = "x-edgeroute-overhead-us";

/// One request that was sent.
#[derive(Debug)]
pub(crate) struct Exchange {
    intended: Duration,
    kind: Kind,
    reader: Reader,
    status: u16,
    /// Set if a stream was asked for.
    stream: Option<Stream>,
}

/// Whether more is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The response has not ended.
    Waiting,
    /// It has ended, and is in the results.
    Complete {
        /// Whether its connection can carry another request.
        reusable: bool,
    },
    /// Its client leaves now, as it was meant to.
    Abandoned,
}

/// Why a request counts as failed. `Display` is the key in the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// No connection.
    #[error("connect")]
    Connect,
    /// The connection ended before the response.
    #[error("cut")]
    Cut,
    /// Not HTTP/1.1 as it must be.
    #[error("malformed")]
    Malformed,
    /// Not the status that belongs to such a request.
    #[error("status {0}")]
    Status(u16),
    /// A whole response where a stream was asked for.
    #[error("no stream")]
    NoStream,
    /// The stream holds an error event.
    #[error("error event")]
    ErrorEvent,
    /// The stream ends without its dialect's end marker.
    #[error("no end marker")]
    NoEndMarker,
    /// Still open when the run's patience ended.
    #[error("unfinished")]
    Unfinished,
}

#[derive(Debug)]
struct Stream {
    events: EventStream,
    begun: bool,
    /// When the mock sends them.
    replies: Replies,
    /// Where whole events go; only their number is of interest.
    passed: Vec<u8>,
    last: Option<Duration>,
}

impl Exchange {
    /// A request that was due at `intended`; with a dialect it asks for a stream of that dialect.
    pub(crate) fn new(intended: Duration, kind: Kind, stream: Option<Dialect>, replies: Replies) -> Self {
        let stream = stream.map(|dialect| Stream {
            events: EventStream::new(dialect, false),
            begun: false,
            replies,
            passed: Vec::new(),
            last: None,
        });
        Self { intended, kind, reader: Reader::default(), status: 0, stream }
    }

    /// Takes what arrived at `now`.
    pub(crate) fn receive(&mut self, bytes: &[u8], now: Duration, results: &mut Results) -> Progress {
        if self.kind == Kind::Abandoned {
            results.meant(self.kind);
            return Progress::Abandoned;
        }
        if self.reader.feed(bytes).is_err() {
            return self.fail(Failure::Malformed, results);
        }
        if let Some(head) = self.reader.take_head() {
            self.status = head.status();
            let overhead =
                head.header(OVERHEAD).and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
            if let Some(overhead) = overhead.filter(|_| self.kind == Kind::Good) {
                results.overhead(Duration::from_micros(overhead));
            }
            if let Some(stream) = &mut self.stream {
                stream.begun = head.is_event_stream();
            }
        }
        let body = self.reader.take_body();
        if let Some(stream) = self.stream.as_mut().filter(|stream| stream.begun)
            && !stream.receive(&body, self.intended, now, results)
        {
            return self.fail(Failure::Malformed, results);
        }
        if self.reader.is_complete() { self.finish(now, results) } else { Progress::Waiting }
    }

    /// The connection was closed by the other side at `now`.
    pub(crate) fn close(&mut self, now: Duration, results: &mut Results) -> Progress {
        if self.reader.end_of_input() { self.finish(now, results) } else { self.fail(Failure::Cut, results) }
    }

    /// Gives the request up.
    pub(crate) fn fail(&mut self, failure: Failure, results: &mut Results) -> Progress {
        results.fail(self.kind, failure);
        Progress::Complete { reusable: false }
    }

    fn finish(&mut self, now: Duration, results: &mut Results) -> Progress {
        let latency = now.saturating_sub(self.intended);
        if self.kind == Kind::Good && self.status == 503 {
            results.refused(latency);
        }
        match self.failure() {
            None if self.kind == Kind::Good => results.complete(latency),
            None => results.meant(self.kind),
            Some(failure) => results.fail(self.kind, failure),
        }
        Progress::Complete { reusable: self.reader.is_reusable() }
    }

    /// What is wrong with a response that is complete.
    fn failure(&self) -> Option<Failure> {
        let expected = match self.kind {
            Kind::Good | Kind::Abandoned => self.status == 200,
            Kind::Malformed => (400..500).contains(&self.status),
            Kind::Failing => (500..600).contains(&self.status),
        };
        if !expected {
            return Some(Failure::Status(self.status));
        }
        if self.kind != Kind::Good {
            return None;
        }
        let stream = self.stream.as_ref()?;
        if !stream.begun {
            Some(Failure::NoStream)
        } else if stream.events.failed() {
            Some(Failure::ErrorEvent)
        } else if !stream.events.ended() {
            Some(Failure::NoEndMarker)
        } else {
            None
        }
    }
}

impl Stream {
    /// False if the bytes are no event stream.
    fn receive(&mut self, bytes: &[u8], intended: Duration, now: Duration, results: &mut Results) -> bool {
        let before = self.events.events();
        let fits = self.events.feed(bytes, &mut self.passed).is_ok();
        self.passed.clear();
        for event in before..self.events.events() {
            results.event_delay(now.saturating_sub(intended + self.replies.due(event)));
            match self.last.replace(now) {
                None => results.first_event(now.saturating_sub(intended)),
                Some(last) => results.next_event(now.saturating_sub(last)),
            }
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::Usage;
    use crate::results::{Course, Summary};
    use proptest::prelude::*;

    const REPLIES: Replies = Replies { status: 200, text: 40, events: 5, first_ms: 0, gap_ms: 0 };
    const OPENAI: Option<Dialect> = Some(Dialect::OpenAiChat);

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// A whole response at once, and the end of the connection.
    fn outcome(response: &str, kind: Kind, stream: Option<Dialect>) -> Summary {
        let mut results = Results::default();
        let mut exchange = Exchange::new(ms(0), kind, stream, REPLIES);
        if exchange.receive(response.as_bytes(), ms(1), &mut results) == Progress::Waiting {
            exchange.close(ms(1), &mut results);
        }
        results.summary(Course::default())
    }

    #[test]
    fn failures_are_told_apart() {
        let check = |response: &str, stream, expected: &str| {
            let summary = outcome(response, Kind::Good, stream);
            let errors: Vec<(&str, u64)> =
                summary.errors.iter().map(|(kind, count)| (&**kind, *count)).collect();
            let expected = if expected.is_empty() { vec![] } else { vec![(expected, 1)] };
            assert_eq!(errors, expected, "{response}");
            assert_eq!(summary.completed, 1 - summary.errors.len() as u64, "{response}");
        };
        let stream = |data: &str| {
            format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{data}")
        };
        check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", None, "");
        check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", OPENAI, "no stream");
        check("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}", None, "cut");
        check("", None, "cut");
        check("HTTP/1.1 429 -\r\ncontent-length: 0\r\n\r\n", OPENAI, "status 429");
        check("SSH-2.0-OpenSSH\r\n", None, "malformed");
        check(&stream("data: {\"choices\":[1]}\n\ndata: [DONE]\n\n"), OPENAI, "");
        check(&stream("data: {\"choices\":[1]}\n\n"), OPENAI, "no end marker");
        check(&stream("data: {\"error\":{}}\n\ndata: [DONE]\n\n"), OPENAI, "error event");
        check(&stream("event: message_stop\ndata: {}\n\n"), Some(Dialect::AnthropicMessages), "");
        check(&stream("event: error\ndata: {}\n\n"), Some(Dialect::AnthropicMessages), "error event");
    }

    #[test]
    fn latency_counts_from_the_intended_time() {
        // One request per millisecond; the system answers nothing from 100 ms to 600 ms, and at once otherwise.
        let mut results = Results::default();
        for intended in (0..1_000).map(ms) {
            let answered = if (ms(100)..ms(600)).contains(&intended) { ms(600) } else { intended };
            let mut exchange = Exchange::new(intended, Kind::Good, None, REPLIES);
            let response = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            assert_eq!(
                exchange.receive(response, answered, &mut results),
                Progress::Complete { reusable: true }
            );
        }
        let latency = results.summary(Course::default()).latency_us;
        // Half of the requests fell into the stall and waited for 1 to 500 ms.
        assert_eq!(latency.count, 1_000);
        assert!((0.0..1_100.0).contains(&latency.p50), "{latency:?}");
        assert!((395_000.0..405_000.0).contains(&latency.p90), "{latency:?}");
        assert!((485_000.0..495_000.0).contains(&latency.p99), "{latency:?}");
        assert!((499_000.0..501_000.0).contains(&latency.max), "{latency:?}");
    }

    #[test]
    fn events_are_timed_as_they_come() {
        for dialect in [Dialect::OpenAiChat, Dialect::AnthropicMessages] {
            let script = REPLIES.script(dialect, Usage::default());
            let mut results = Results::default();
            let mut exchange = Exchange::new(ms(10), Kind::Good, Some(dialect), REPLIES);
            exchange.receive(&script.head, ms(20), &mut results);
            for (beat, at) in script.beats.iter().zip([30, 40, 40, 45, 95, 200]) {
                exchange.receive(beat, ms(at), &mut results);
            }
            let summary = results.summary(Course::default());
            assert_eq!((summary.completed, summary.events, summary.gap_us.count), (1, 5, 4), "{dialect}");
            let close = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 0.01, "{found}");
            close(summary.first_event_us.max, 20_000.0);
            close(summary.gap_us.p50, 5_000.0);
            close(summary.gap_us.max, 50_000.0);
            close(summary.latency_us.max, 190_000.0);
        }
    }

    proptest! {
        #[test]
        fn a_stream_is_the_same_however_it_arrives(cuts in prop::collection::vec(1usize..80, 0..60), anthropic: bool) {
            let dialect = if anthropic { Dialect::AnthropicMessages } else { Dialect::OpenAiChat };
            let script = REPLIES.script(dialect, Usage::default());
            let whole = [script.head, script.beats.concat()].concat();
            let mut results = Results::default();
            let mut exchange = Exchange::new(ms(0), Kind::Good, Some(dialect), REPLIES);
            let mut rest = &whole[..];
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                rest = later;
                let progress = exchange.receive(now, ms(1), &mut results);
                prop_assert_eq!(progress == Progress::Waiting, !rest.is_empty());
                if rest.is_empty() { break }
            }
            if !rest.is_empty() {
                exchange.receive(rest, ms(1), &mut results);
            }
            let summary = results.summary(Course::default());
            prop_assert_eq!((summary.completed, summary.events, summary.errors.len()), (1, 5, 0));
        }
    }
}
