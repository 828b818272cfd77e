//! Requests of edgeroute's own to providers, from the first attempt until it is known what came of them. Nobody waits in
//! Python for any of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use edgeroute_router::{Content, End, Event as RouterEvent, Judge, Outcome, Step, Ticket, forward};
use edgeroute_upstream::{Event, ExchangeId};
use edgeroute_wire::Operation;
use parking_lot::Mutex;
use pyo3::prelude::*;

use crate::embedding::WantedVector;
use crate::exchange::{content, failure};
use crate::recall::Comparison;
use crate::snapshot::Loaded;
use crate::state::Outgoing;
use crate::ticket::PyTicket;
use crate::worker::Core;

/// A warning about a target is not repeated sooner.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(600);

/// The requests of a worker's own whose exchange is under way.
#[derive(Default)]
pub(crate) struct Inquiries {
    open: Mutex<HashMap<ExchangeId, Inquiry>>,
    warned: Mutex<HashMap<Box<str>, Instant>>,
}

struct Inquiry {
    ticket: Ticket,
    loaded: Arc<Loaded>,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Bytes,
    purpose: Purpose,
}

/// What the reply is wanted for.
pub(crate) enum Purpose {
    Vector(WantedVector),
    Verdict(Comparison, Arc<Judge>),
}

/// The body of a reply, or a sentence that says why there is none.
pub(crate) type Told = Result<Vec<u8>, String>;

impl Core {
    /// Asks a target. What comes of it is told where [`Purpose`] says, unless it cannot even begin.
    pub(crate) fn inquire(
        &self,
        loaded: &Arc<Loaded>,
        target: u16,
        operation: Operation,
        body: Vec<u8>,
        purpose: Purpose,
    ) -> Result<(), Purpose> {
        let ticket = Ticket::inquire(&loaded.snapshot, &self.row, target, operation, &body, self.now());
        let Some(ticket) = ticket else { return Err(purpose) };
        let headers = forward::own_headers(ticket.dialect());
        self.attempt(Inquiry { ticket, loaded: Arc::clone(loaded), headers, body: body.into(), purpose })
    }

    /// Starts the exchange of the current attempt.
    fn attempt(&self, mut inquiry: Inquiry) -> Result<(), Purpose> {
        let now = self.now();
        let outgoing = Outgoing::of(&inquiry.ticket, &inquiry.body, &inquiry.headers, &inquiry.loaded, now);
        let Some(exchange) = outgoing.map(|outgoing| outgoing.start(self)) else {
            inquiry.give_up(self);
            return Err(inquiry.purpose);
        };
        inquiry.ticket.attempt_started(now);
        self.inquiries.open.lock().insert(exchange, inquiry);
        Ok(())
    }

    /// Takes what happened to an exchange, if it is one of these. Gives back the tickets that have waited for it.
    pub(crate) fn take_inquiry(&self, exchange: ExchangeId, event: Event) -> Vec<Py<PyTicket>> {
        let Some(mut inquiry) = self.inquiries.open.lock().remove(&exchange) else { return Vec::new() };
        let mut reply = Vec::new();
        let responded = |status, content| RouterEvent::Responded { status, content, usage: None };
        let (status, event) = match event {
            Event::Response { head, body } => {
                reply = body;
                (head.status(), responded(head.status(), content(&head)))
            }
            Event::Failed(error) => (0, RouterEvent::Failed(failure(&error))),
            // What follows is not read: nobody has asked for a stream.
            Event::Head(_) | Event::Chunk(_) | Event::End => {
                self.client.lock().cancel(exchange);
                (200, responded(200, Content::Other("text/event-stream".into())))
            }
        };
        inquiry.ticket.advance(event, self.now());
        let told = match inquiry.ticket.step() {
            Step::Attempt => match self.attempt(inquiry) {
                Ok(()) => return Vec::new(),
                Err(purpose) => return self.told(purpose, Err("it cannot be asked again".into())),
            },
            Step::Refuse(refusal) => Err(refusal.message.clone()),
            _ if inquiry.ticket.outcome() == Outcome::Ok => Ok(reply),
            _ => Err(format!("it answered with status {status}")),
        };
        self.told(inquiry.purpose, told)
    }

    fn told(&self, purpose: Purpose, told: Told) -> Vec<Py<PyTicket>> {
        match purpose {
            Purpose::Vector(wanted) => self.take_vector(&wanted, told),
            Purpose::Verdict(comparison, judge) => {
                self.take_verdict(&comparison, &judge, told);
                Vec::new()
            }
        }
    }

    /// Tells the operator, now and then, that a target fails.
    #[cold]
    pub(crate) fn warn_of(&self, what: &str, target: &str, why: &str) {
        let (mut warned, now) = (self.inquiries.warned.lock(), Instant::now());
        if warned.get(target).is_none_or(|before| now - *before >= BETWEEN_WARNINGS) {
            warned.insert(target.into(), now);
            self.cache.warn(format!("the cache's {what} `{target}` fails: {why}"));
        }
    }

    /// Ends all of them.
    pub(crate) fn end_inquiries(&self) {
        let inquiries = std::mem::take(&mut *self.inquiries.open.lock());
        for (exchange, mut inquiry) in inquiries {
            self.client.lock().cancel(exchange);
            inquiry.give_up(self);
        }
    }
}

impl Inquiry {
    /// Closes the attempt that is open.
    fn give_up(&mut self, core: &Core) {
        self.ticket.advance(RouterEvent::Ended { end: End::ClientGone, usage: None, events: 0 }, core.now());
    }
}
