//! One request and its response, wherever it stands: in the queue, looking up, or on a connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::body::Body;
use crate::error::{Deadline, Failure, Kind};
use crate::event::{Event, Events, ExchangeId};
use crate::head::Head;
use crate::origin::Origin;
use crate::request::{Deadlines, Request};
use crate::response::{Malformed, Reader};
use crate::slots::Key;

pub(crate) struct Exchange {
    pub(crate) origin: Arc<Origin>,
    pub(crate) pool: Key,
    pub(crate) place: Place,
    pub(crate) head: Vec<u8>,
    pub(crate) body: Body,
    pub(crate) deadlines: Deadlines,
    pub(crate) started: Instant,
    /// When it began to wait for the connection it is on or will get.
    pub(crate) wanted_connection: Instant,
    /// It had to wait for that in its pool's queue.
    pub(crate) queued: bool,
    /// When the request began to go out.
    pub(crate) began: Option<Instant>,
    /// When bytes of the final response last arrived.
    pub(crate) heard: Option<Instant>,
    pub(crate) reading: bool,
    /// Reading was switched on again: the time since the last bytes was not the provider's.
    pub(crate) resumed: bool,
    pub(crate) first_byte: bool,
    /// The head of an event stream was handed out.
    pub(crate) streaming: bool,
    pub(crate) reader: Reader,
    /// The timer entry while it is on no connection.
    pub(crate) armed: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On its way from one to another, or to its end.
    Nowhere,
    /// In its pool's queue, at the place of this number.
    Waiting(u64),
    /// Counted as a connection of its pool, which needs an address first.
    Resolving,
    On(Key),
}

impl Exchange {
    /// `head` is the request's, encoded.
    pub(crate) fn new(request: Request<'_>, head: Vec<u8>, pool: Key, now: Instant) -> Self {
        Self {
            origin: request.origin,
            pool,
            place: Place::Nowhere,
            head,
            body: request.body,
            deadlines: request.deadlines,
            started: now,
            wanted_connection: now,
            queued: false,
            began: None,
            heard: None,
            reading: true,
            resumed: false,
            first_byte: false,
            streaming: false,
            reader: Reader::default(),
            armed: None,
        }
    }

    /// Takes in response bytes; an event stream's head is handed out as soon as it is complete.
    pub(crate) fn receive(
        &mut self,
        id: ExchangeId,
        bytes: &[u8],
        now: Instant,
        max_body: usize,
        events: &mut Events,
    ) -> Result<(), Failure> {
        self.first_byte = true;
        let fed = self.reader.feed(bytes);
        // The gap between two arrivals counts once the head is whole; before that, it is all the time the head has.
        if self.reader.has_begun() && (self.heard.is_none() || self.reader.has_head()) {
            self.heard = Some(now);
        }
        if !self.streaming && self.reader.head().is_some_and(Head::is_event_stream) {
            self.streaming = true;
            events.extend(self.reader.take_head().map(|head| (id, Event::Head(head))));
        }
        fed.map_err(|Malformed(reason)| Failure::new(Kind::Protocol, reason))?;
        if !self.streaming && self.reader.expected_size() > max_body as u64 {
            return Err(Failure::new(Kind::TooLarge, format!("more than the {max_body} bytes allowed")));
        }
        Ok(())
    }

    /// Hands out what arrived of an event stream.
    pub(crate) fn flush(&mut self, id: ExchangeId, events: &mut Events) {
        if !self.streaming {
            return;
        }
        let chunk = self.reader.take_body();
        if !chunk.is_empty() {
            events.push((id, Event::Chunk(chunk)));
        }
    }

    /// Hands out the end of a complete response.
    pub(crate) fn finish(mut self, id: ExchangeId, events: &mut Events) {
        self.flush(id, events);
        match self.reader.take_head() {
            Some(head) => events.push((id, Event::Response { head, body: self.reader.take_body() })),
            None => events.push((id, Event::End)),
        }
    }

    #[cold]
    pub(crate) fn fail(mut self, id: ExchangeId, failure: Failure, events: &mut Events) {
        self.flush(id, events);
        let error = failure.into_error(&self.origin, self.first_byte);
        events.push((id, Event::Failed(error)));
    }

    /// The deadline that comes first in the present phase.
    pub(crate) fn deadline(&self) -> Option<(Instant, Deadline)> {
        let phase = match (self.began, self.heard) {
            (None, _) if self.queued => self.connect_deadline().map(|at| (at, Deadline::Queue)),
            (None, _) => self.connect_deadline().map(|at| (at, Deadline::Connect)),
            (Some(_), _) if !self.reading => None,
            (Some(began), None) => {
                began.checked_add(self.deadlines.first_byte).map(|at| (at, Deadline::FirstByte))
            }
            (Some(_), Some(heard)) => heard.checked_add(self.deadlines.gap).map(|at| (at, Deadline::Gap)),
        };
        let total = self.started.checked_add(self.deadlines.total).map(|at| (at, Deadline::Total));
        [phase, total].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    pub(crate) fn connect_deadline(&self) -> Option<Instant> {
        self.wanted_connection.checked_add(self.deadlines.connect)
    }

    /// How long the deadline allowed, for the error's sentence.
    pub(crate) fn allowance(&self, deadline: Deadline) -> Duration {
        match deadline {
            Deadline::Queue | Deadline::Connect => self.deadlines.connect,
            Deadline::FirstByte => self.deadlines.first_byte,
            Deadline::Gap => self.deadlines.gap,
            Deadline::Total => self.deadlines.total,
        }
    }

    /// After reading was switched on again, the time before that does not count.
    pub(crate) fn restart_clock(&mut self, now: Instant) {
        if std::mem::take(&mut self.resumed) {
            let clock = if self.heard.is_some() { &mut self.heard } else { &mut self.began };
            *clock = clock.map(|_| now);
        }
    }

    /// Wants another connection: the one it was on turned out to be stale.
    pub(crate) fn start_over(&mut self, now: Instant) {
        self.wanted_connection = now;
        self.queued = false;
        self.began = None;
    }
}
