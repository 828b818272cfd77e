//! What a ticket does whose response is shared: with requests that asked the same meanwhile, or with the cache.

use std::sync::Arc;

use edgeroute_router::{End, Event, Joined, Step};
use edgeroute_upstream::ExchangeId;
use edgeroute_wire::Dialect;
use edgeroute_wire::finish::Finishing;
use parking_lot::Mutex;
use pyo3::prelude::*;

use crate::flight::{Ended, Flight, Heard, Landed, Listener, Role};
use crate::state::{Response, State, Wake};
use crate::ticket::PyTicket;
use crate::worker::Core;

/// The largest response that the cache keeps, in bytes.
pub(crate) const MOST_KEPT: usize = 1 << 20;

impl State {
    /// Records what is to come, if others may want it. They can join where the model shares.
    pub(crate) fn lead(&mut self, core: &Core) {
        let Some(key) = self.ticket.recall_key().filter(|_| self.listener.is_none()) else { return };
        let shares = self.ticket.shares();
        let most = if shares { self.ticket.snapshot().max_stream } else { MOST_KEPT as u64 };
        let flight = Arc::new(Mutex::new(Flight::new(usize::try_from(most).unwrap_or(usize::MAX))));
        let finishing = self.ticket.operation().map(Finishing::new);
        self.listener = Listener::join(Arc::clone(&flight), Role::Leads, self.wants()).map(Box::new);
        if let Some(listener) = &mut self.listener {
            listener.finishing = finishing;
        }
        if shares {
            core.flights.open(key, flight);
        }
    }

    /// Joins the flight of an identical request; false if there is none any more, which the ticket is told.
    pub(crate) fn join(&mut self, core: &Core) -> bool {
        let flight = self.ticket.recall_key().and_then(|key| core.flights.find(key));
        self.listener =
            flight.and_then(|flight| Listener::join(flight, Role::Follows, self.wants())).map(Box::new);
        if self.listener.is_none() {
            self.missing(core);
        }
        self.listener.is_some()
    }

    /// Tells those who joined what came of the exchange, if there was no response and no other attempt follows.
    pub(crate) fn land(&mut self, core: &Core) {
        let Some(listener) = &self.listener else { return };
        if let Step::Refuse(refusal) = self.ticket.step() {
            let landed = Landed::Refused(refusal.clone(), self.ticket.outcome());
            listener.flight.lock().land(landed);
            self.close_flight(core);
        }
    }

    /// Nobody can join from now on.
    pub(crate) fn close_flight(&self, core: &Core) {
        if let (Some(listener), Some(key)) = (&self.listener, self.ticket.recall_key()) {
            core.flights.close(key, &listener.flight);
        }
    }

    /// A follower looks at what has happened.
    pub(crate) fn follow(&mut self, core: &Core) -> Option<Wake> {
        if self.is_over() {
            return None;
        }
        if !matches!(self.ticket.step(), Step::Join) {
            return self.wake_listener(core);
        }
        let (landed, ended) = {
            let flight = self.listener.as_ref()?.flight.lock();
            (flight.landed.clone(), flight.ended.is_some())
        };
        let joined = match landed {
            Some(Landed::Refused(refusal, outcome)) => Joined::Refused(refusal, outcome),
            Some(Landed::Response { reply, outcome, usage, whole }) => {
                let status = reply.0.status();
                self.response = Some(Response::Shared { reply, whole });
                Joined::Response { status, outcome, usage, whole }
            }
            // Whoever led has left between two attempts.
            None if ended => {
                self.listener = None;
                self.missing(core);
                return self.wake(None);
            }
            None => return None,
        };
        self.ticket.advance(Event::Joined(joined), core.now());
        self.wake(None)
    }

    /// What comes next of the recording: empty at its end, None while there is nothing.
    pub(crate) fn hear(&mut self, core: &Core) -> Option<Vec<u8>> {
        let listener = self.listener.as_mut()?;
        let was_done = listener.done;
        match listener.hear(core) {
            Heard::Events(events) => {
                if listener.role != Role::Leads {
                    self.ticket.first_event(core.now());
                }
                Some(events)
            }
            Heard::Nothing => None,
            Heard::End if was_done => Some(Vec::new()),
            Heard::End => {
                let told = match listener.role {
                    Role::Leads => None,
                    Role::Follows => {
                        let ended = listener.flight.lock().ended.clone();
                        let ended = ended.filter(|_| listener.broken.is_none());
                        ended.map(|Ended { end, usage, .. }| Event::Ended { end, usage, events: 0 })
                    }
                    Role::Replays { usage, .. } => Some(Event::Answered { usage }),
                };
                if let Some(event) = told {
                    self.ticket.advance(event, core.now());
                }
                Some(Vec::new())
            }
        }
    }

    /// Gives what there is to a reader who waits.
    pub(crate) fn wake_listener(&mut self, core: &Core) -> Option<Wake> {
        if self.waiter.is_none() {
            // What it does not read may have to wait at the provider.
            self.listener.as_ref()?.flight.lock().regulate(core);
            return None;
        }
        let events = self.hear(core)?;
        self.wake(Some(events))
    }

    /// Leaves an exchange that others need to them. It has ended like this for the own client.
    pub(crate) fn leave_to_others(&mut self, core: &Core, end: End) -> Result<(), End> {
        let listener = self.listener.as_mut();
        match listener.filter(|listener| self.exchange.is_some() && listener.has_company()) {
            Some(listener) => {
                _ = listener.leave(core);
                listener.left = Some(end);
                Ok(())
            }
            None => Err(end),
        }
    }

    /// Ends it for everybody, unless all has been heard.
    pub(crate) fn end_listening(&mut self, core: &Core, end: End) {
        let Some(listener) = &mut self.listener else { return };
        let stream = self.stream.as_deref();
        let leads = listener.role == Role::Leads;
        let usage = match listener.role {
            Role::Replays { usage, .. } => usage,
            Role::Leads | Role::Follows => stream.and_then(|stream| stream.usage()),
        };
        if leads {
            let broken = listener.broken.or(Some("stopping"));
            let sequence_number = stream.map_or(0, |stream| stream.events.sequence_number());
            listener.flight.lock().end(Ended { end: end.clone(), broken, usage, sequence_number });
        }
        if !listener.done {
            let events = stream.map_or(0, |stream| stream.events.events());
            self.ticket.advance(Event::Ended { end, usage, events }, core.now());
            listener.done = true;
        }
        if leads {
            self.close_flight(core);
        }
    }

    /// How it has ended for a client that left an exchange which others need: the ticket is open until that ends.
    pub(crate) fn left(&self) -> Option<&End> {
        self.listener.as_ref()?.left.as_ref()
    }

    /// Ends a request whose client has left, once the exchange that others needed has ended.
    pub(crate) fn end_for_others(&mut self, core: &Core, id: &str) {
        if self.exchange.is_some() || matches!(self.ticket.step(), Step::Attempt) {
            return;
        }
        if let Some(end) = self.left().cloned().filter(|_| !self.closed) {
            self.ticket.advance(Event::Ended { end, usage: None, events: 0 }, core.now());
            self.record(core, id);
        }
    }

    /// Reads no more. Returns the exchange that nobody needs any more, though its ticket is open.
    pub(crate) fn leave(&mut self, core: &Core) -> Option<ExchangeId> {
        self.listener.as_mut()?.leave(core)
    }

    /// Those who wait to be told that something has happened.
    pub(crate) fn take_followers(&self) -> Vec<Py<PyTicket>> {
        let leads = self.listener.as_ref().filter(|listener| listener.role == Role::Leads);
        leads.map_or_else(Vec::new, |listener| listener.flight.lock().take_waiting())
    }

    /// Has this follower told when something happens.
    pub(crate) fn call_when_told(&self, ticket: &Bound<'_, PyTicket>) {
        let follows = self.listener.as_ref().filter(|listener| listener.role == Role::Follows);
        if let Some(listener) = follows {
            listener.flight.lock().call(ticket.clone().unbind());
        }
    }

    /// This exchange is under way.
    pub(crate) fn take_off(&mut self, exchange: ExchangeId) {
        self.exchange = Some(exchange);
        if let Some(listener) = &self.listener {
            listener.flight.lock().take_off(exchange);
        }
    }

    /// Code of what broke the stream, and the number that its next event has.
    pub(crate) fn broken(&self) -> (Option<&'static str>, u64) {
        let stream = self.stream.as_ref().map(|stream| (stream.broken, stream.events.sequence_number()));
        let Some(listener) = &self.listener else { return stream.unwrap_or_default() };
        let ended = listener.flight.lock().ended.as_ref().map(|ended| (ended.broken, ended.sequence_number));
        let (broken, number) = ended.or(stream).unwrap_or_default();
        (listener.broken.or(broken), number)
    }

    /// The dialect, and whether the client is not to see the usage.
    fn wants(&self) -> (Dialect, bool) {
        (self.ticket.dialect(), self.ticket.hides_usage())
    }
}
