//! The state machine of a request. `decide` plans and reserves; `advance` takes what happened to an attempt and
//! settles it; between the two, [`Step`] says what the gateway has to do. Every reservation is settled exactly
//! once: a ticket that is dropped unsettled gives back what it holds and counts as a bug.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use edgeroute_limits::{Held, Limits, Refused, Row};
use edgeroute_wire::{Dialect, Edit, Operation, Piece, SpliceError, Usage, splice};
use smallvec::SmallVec;

use crate::facts::{Facts, LiveFacts};
use crate::failure::{Failure, FailureKind};
use crate::meter::{self, Meter};
use crate::place::{self, Carried, Reply};
use crate::plan::{Candidate, Plan, Planned, plan, plan_head};
use crate::recall::Recalled;
use crate::refusal::{Code, Refusal};
use crate::request::{Now, Request, dialect_of};
use crate::snapshot::{Key, Replica, Snapshot, Target};
use crate::step::{Attempt, Content, End, Event, Outcome, Step};
use crate::trace::Trace;

/// nginx's status for a client that left before it had a response: for the record only, nobody receives it.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// The open bookkeeping of one request.
#[derive(Debug)]
pub struct Ticket {
    pub(crate) plan: Plan,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) times: Times,
    pub(crate) attempts: u32,
    pub(crate) usage: Option<Usage>,
    pub(crate) failure: Option<Failure>,
    /// Attempts after which another was made, as `provider/model: reason`; `provider/model credential 2: reason` where
    /// there are several.
    pub(crate) failed: Vec<String>,
    pub(crate) outcome: Outcome,
    pub(crate) status: u16,
    pub(crate) row: Arc<Row>,
    pub(crate) step: Step,
    pub(crate) held: Option<Held>,
    /// The candidate that is being tried or was tried last.
    pub(crate) current: Option<Candidate>,
    /// What the current attempt adds to the load of its endpoint.
    carried: Option<Carried>,
    next: usize,
    open: bool,
}

/// Moments and durations of a request, microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    pub(crate) started: u64,
    pub(crate) attempt_started: u64,
    /// Time spent waiting for providers until the response was there.
    pub(crate) waited: u64,
    pub(crate) first_event: Option<u64>,
    pub(crate) overhead: Option<u64>,
}

/// Decides a request: plans it, then reserves what it may use.
pub fn decide(
    snapshot: &Arc<Snapshot>,
    row: &Arc<Row>,
    facts: &dyn Facts,
    request: &Request<'_>,
    now: Now,
    seed: u64,
) -> Ticket {
    let (plan, planned) = plan(snapshot, facts, request, seed, &mut Trace::default());
    let mut ticket = Ticket::new(snapshot, row, plan, now);
    match planned {
        Ok(Planned::Attempt) => ticket.admit(facts, now),
        Ok(Planned::Recalled(Recalled::Answer(answer))) => ticket.admit_recalled(Step::Answer(answer), now),
        Ok(Planned::Recalled(Recalled::Join)) => ticket.admit_recalled(Step::Join, now),
        Ok(Planned::Recalled(Recalled::Embed)) => ticket.admit_recalled(Step::Embed, now),
        Ok(Planned::List(names)) => ticket.step = Step::List(names),
        Ok(Planned::Describe(name)) => ticket.step = Step::Describe(name),
        Err(refusal) => ticket.refuse(refusal, Outcome::Refused),
    }
    ticket
}

/// Refuses a request whose body has not been read, if its head suffices for that or the body is too late.
#[cold]
pub fn refuse_unread(
    snapshot: &Arc<Snapshot>,
    row: &Arc<Row>,
    request: &Request<'_>,
    late: bool,
    now: Now,
) -> Option<Ticket> {
    let (plan, checked) = plan_head(snapshot, request);
    let refusal = match checked {
        Err(refusal) => refusal,
        Ok(()) if late => body_timeout(),
        Ok(()) => return None,
    };
    let mut ticket = Ticket::new(snapshot, row, plan, now);
    ticket.refuse(refusal, Outcome::Refused);
    Some(ticket)
}

/// Counts a request that is refused unread because as many as may be are open; returns the caller's dialect. There is
/// no ticket, and no line in the log: while it is refused, a request must cost next to nothing.
pub fn turn_away(snapshot: &Snapshot, row: &Row, request: &Request<'_>) -> Dialect {
    Meter::lock(snapshot, row).turned_away();
    dialect_of(request)
}

impl Ticket {
    pub(crate) fn new(snapshot: &Arc<Snapshot>, row: &Arc<Row>, plan: Plan, now: Now) -> Self {
        Self {
            snapshot: Arc::clone(snapshot),
            row: Arc::clone(row),
            times: Times { started: now.monotonic_us, ..Times::default() },
            attempts: 0,
            usage: None,
            failure: None,
            failed: Vec::new(),
            outcome: Outcome::Ok,
            status: 200,
            step: Step::Attempt,
            held: None,
            current: None,
            carried: None,
            next: 0,
            open: false,
            plan,
        }
    }

    /// What to do next.
    pub fn step(&self) -> &Step {
        &self.step
    }

    /// The protocol the caller speaks.
    pub fn dialect(&self) -> Dialect {
        self.plan.dialect
    }

    /// Whether the client asked for a stream.
    pub fn stream(&self) -> bool {
        self.plan.stream
    }

    /// Whether the provider's usage event must be kept from the client, who did not ask for it.
    pub fn hides_usage(&self) -> bool {
        self.plan.splice.usage.is_some()
    }

    /// The configuration this request sees from start to end.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The exchange to start.
    pub fn attempt(&self, now: Now) -> Option<Attempt<'_>> {
        let target = self.target_entry()?;
        let provider = self.snapshot.provider_of(target)?;
        let current = self.current?;
        let replica_index = usize::from(current.replica);
        Some(Attempt {
            provider,
            provider_index: usize::from(target.provider),
            replica: provider.replicas.get(replica_index)?,
            replica_index,
            path: self.plan.operation?.path(),
            credential: provider.credentials.get(usize::from(current.credential)),
            headers: &self.plan.headers,
            connect_ms: target.deadlines.connect_ms,
            first_byte_ms: target.deadlines.first_byte_ms,
            gap_ms: target.deadlines.gap_ms,
            total_ms: self.remaining_ms(now),
        })
    }

    /// Tells the body of the current attempt piece by piece: the client's bytes with the model's name replaced, the
    /// request for usage added where it was missing, and what rules change. `size` is that of the client's body.
    pub fn splice(&self, size: usize, each: impl FnMut(Piece<'_>)) -> Result<(), SpliceError> {
        let Some(span) = self.plan.splice.model else { return Ok(()) };
        let quoted = self.target_entry().map_or_else(Cow::default, |target| target.quoted_model(self.rest()));
        let changes = self.plan.splice.changes.iter().map(|(span, with)| Edit { span: *span, with });
        let mut edits: SmallVec<[Edit<'_>; 4]> = changes.collect();
        if let Some(usage) = self.plan.splice.usage {
            edits.push(usage);
        }
        if let Some(salt) = self.cache_salt() {
            edits.push(salt);
        }
        if let Some(texts) = self.missing_texts() {
            edits.push(texts);
        }
        edits.push(Edit { span, with: &quoted });
        // They do not overlap, being of different top-level fields; insertions come before the first field.
        edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
        splice(size, &edits, each)
    }

    /// The exchange of the current attempt was started.
    pub fn attempt_started(&mut self, now: Now) {
        self.times.attempt_started = now.monotonic_us;
        if self.plan.placed.is_some()
            && let Some(candidate) = self.current
        {
            place::insert(&self.snapshot, &self.plan, candidate, now);
        }
    }

    /// Takes what happened to the current attempt and finds the next step. What is told of an attempt that has ended
    /// changes nothing, except that a client may leave before it has the answer.
    pub fn advance(&mut self, event: Event, now: Now) {
        match (event, &self.step) {
            (Event::Ended { end, usage, events }, _) if self.open => self.ended(end, usage, events, now),
            (Event::Ended { end, usage, .. }, Step::Answer(_) | Step::Join | Step::Embed | Step::Relay)
                if self.held.is_some() =>
            {
                self.recalled_ended(end, usage);
            }
            (Event::Ended { end: End::ClientGone, .. }, _) => self.client_gone(),
            (Event::Ended { end: End::Failed(failure), .. }, Step::Relay) => self.cut(failure),
            (Event::Failed(failure), Step::Attempt) if self.open => self.attempt_failed(failure, now),
            (Event::Failed(failure), Step::Relay) if self.open => {
                self.ended(End::Failed(failure), None, 0, now);
            }
            (Event::Responded { status, content, usage }, Step::Attempt) if self.open => {
                self.responded(status, content, usage, now);
            }
            (Event::Answered { usage }, Step::Answer(_)) => self.settle_recalled(usage),
            (Event::Joined(joined), Step::Join) => self.joined(joined, now),
            (Event::Failed(failure), Step::Answer(_) | Step::Join | Step::Embed) => self.stopped(failure),
            _ => {}
        }
    }

    /// Whether another target or replica may be tried after the current attempt: not only another credential.
    pub fn has_another(&self, now: Now) -> bool {
        let left = self.plan.candidates.get(self.next..).unwrap_or_default();
        let other =
            |candidate: &Candidate| self.current.is_some_and(|tried| !tried.asks_the_same(*candidate));
        self.attempts < self.snapshot.defaults.attempts
            && self.remaining_ms(now) > 0
            && left.iter().any(other)
    }

    /// The first content of a stream was handed to the server.
    pub fn first_event(&mut self, now: Now) {
        let since = now.monotonic_us.saturating_sub(self.times.started);
        self.times.first_event.get_or_insert(since);
        let waited_us = self.attempt_us(now);
        if let Some(carried) = &mut self.carried {
            carried.first_token(&self.snapshot, &self.row, waited_us, now);
        }
    }

    /// The response is being handed to the server: returns the overhead, in microseconds. It is the time since
    /// `decide` began, less the time spent waiting for providers.
    pub fn handed(&mut self, now: Now) -> u64 {
        let since = now.monotonic_us.saturating_sub(self.times.started);
        *self.times.overhead.get_or_insert(since.saturating_sub(self.times.waited))
    }

    /// Public name of the model that answers.
    pub fn model(&self) -> Option<&str> {
        self.snapshot.model(self.plan.model?).map(|model| &*model.name)
    }

    /// The target that answers or was tried last, as `provider/model`.
    pub fn target(&self) -> Option<Cow<'_, str>> {
        Some(self.target_entry()?.name_with(self.rest()))
    }

    /// Which of its provider's credentials was used last, from 1; none where there is no choice.
    pub fn credential(&self) -> Option<u16> {
        self.current?.credential_position(&self.snapshot)
    }

    /// Name of the rule that matched; of several, the last.
    pub fn rule(&self) -> Option<&str> {
        self.snapshot.rule(*self.plan.rules.last()?).map(|rule| &*rule.name)
    }

    /// How the request ended, as far as it has.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// What a model is asked to do, if the request got so far.
    pub fn operation(&self) -> Option<Operation> {
        self.plan.operation
    }

    /// Attempts so far.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Code of edgeroute's own error, or kind of the provider's failure.
    pub(crate) fn error(&self) -> Option<&'static str> {
        match &self.step {
            Step::Refuse(refusal) => Some(refusal.code.name()),
            _ => self.failure.as_ref().map(|failure| failure.kind.name()),
        }
    }

    pub(crate) fn row(&self) -> &Row {
        &self.row
    }

    pub(crate) fn target_index(&self) -> Option<u16> {
        self.current.map(|candidate| candidate.target)
    }

    pub(crate) fn key(&self) -> Option<&Key> {
        self.snapshot.key(self.plan.key?)
    }

    pub(crate) fn target_entry(&self) -> Option<&Target> {
        self.snapshot.target(self.current?.target)
    }

    /// What the `*` of the current target stands for.
    fn rest(&self) -> &str {
        self.current.map_or("", |candidate| self.plan.rest_in(&self.snapshot, candidate.fallback))
    }

    /// What keeps the tenant's prompts apart in the cache of an engine.
    fn cache_salt(&self) -> Option<Edit<'_>> {
        let salt = self.plan.placed.as_ref()?.cache_salt(self.current?)?;
        self.snapshot.provider_of(self.target_entry()?)?.engine.map(|_| salt)
    }

    /// Microseconds since the current attempt was started.
    fn attempt_us(&self, now: Now) -> u64 {
        now.monotonic_us.saturating_sub(self.times.attempt_started)
    }

    fn remaining_ms(&self, now: Now) -> u64 {
        let elapsed = now.monotonic_us.saturating_sub(self.times.started) / 1_000;
        self.snapshot.defaults.total_ms.saturating_sub(elapsed)
    }

    pub(crate) fn admit(&mut self, facts: &dyn Facts, now: Now) {
        let reserved = match self.key() {
            Some(key) => Limits::reserve(&key.scopes, &self.row, self.plan.tokens, now.unix_ms),
            None => return,
        };
        match reserved {
            Ok(held) => {
                self.held = Some(held);
                self.open_next(facts, now);
            }
            Err(refused) => self.limited(refused),
        }
    }

    #[cold]
    pub(crate) fn limited(&mut self, refused: Refused) {
        let (scope, limit) = match &refused {
            Refused::Requests { scope, .. } => (*scope, "requests_per_minute"),
            Refused::Tokens { scope, .. } => (*scope, "tokens_per_minute"),
            Refused::Concurrency { scope, .. } => (*scope, "concurrency"),
        };
        let Some(key) = self.plan.key else { return };
        let of_team = scope > 0;
        let (kind, name) = self.snapshot.limit_owner(key, of_team);
        Meter::lock(&self.snapshot, &self.row).limit_refused(key, of_team, limit);
        let retry_after = match &refused {
            Refused::Concurrency { .. } => Some(1),
            other => other.retry_after_ms().map(|ms| ms.div_ceil(1_000)),
        };
        let mut refusal = match retry_after {
            Some(seconds) => Refusal::new(
                Code::LimitExceeded,
                format!("{limit} of {kind} `{name}` is used up ({refused}); try again in {seconds} s"),
            ),
            None => Refusal::new(
                Code::LimitTooSmall,
                format!(
                    "this request alone is larger than {limit} of {kind} `{name}` ({refused}); ask for fewer tokens"
                ),
            ),
        };
        refusal.retry_after = retry_after;
        // It would have been a hit, or a miss; it is neither.
        self.plan.recall = None;
        self.refuse(refusal, Outcome::Refused);
    }

    /// Takes the next candidate, those whose breaker is open last, so that the last usable one is always tried.
    /// Returns false where none is left.
    pub(crate) fn open_next(&mut self, facts: &dyn Facts, now: Now) -> bool {
        let most = self.snapshot.defaults.attempts;
        let Some(left) = self.plan.candidates.get(self.next..).filter(|left| !left.is_empty()) else {
            return false;
        };
        if self.attempts >= most {
            return false;
        }
        let closed = |candidate: &Candidate| {
            replica_of(&self.snapshot, *candidate).is_some_and(|replica| !facts.is_open(&replica.breaker))
        };
        let ahead = left.iter().position(closed).unwrap_or(0);
        if let Some(left) = self.plan.candidates.get_mut(self.next..=self.next + ahead) {
            left.rotate_right(1);
        }
        self.current = self.plan.candidates.get(self.next).copied();
        self.next += 1;
        self.attempts += 1;
        self.step = Step::Attempt;
        if let Some(target) = self.target_entry() {
            self.row.gauge(target.in_flight).fetch_add(1, Ordering::Relaxed);
            self.open = true;
        }
        if !self.snapshot.endpoints.is_empty() {
            self.carried = self.current.and_then(|candidate| {
                Carried::take_up(&self.snapshot, &self.plan, candidate, &self.row, now)
            });
        }
        true
    }

    /// Settles the current attempt: once, whatever happens to it.
    fn close_attempt(&mut self, outcome: &'static str) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        if let Some(carried) = self.carried.take() {
            carried.put_down(&self.snapshot, &self.row);
        }
        if let (Some(target), Some(candidate)) = (self.target_entry(), self.current) {
            self.row.gauge(target.in_flight).fetch_sub(1, Ordering::Relaxed);
            Meter::lock(&self.snapshot, &self.row).attempt(candidate.target, outcome);
        }
    }

    /// Learns from a complete reply.
    fn learn(&self, usage: Option<Usage>, now: Now) {
        if let (Some(carried), Some(candidate)) = (&self.carried, self.current) {
            let reply = Reply { usage, took_us: self.attempt_us(now), now };
            carried.learn(&self.snapshot, &self.plan, candidate, &self.row, reply);
        }
    }

    /// The current candidate's cache may be gone.
    fn forget(&self, now: Now) {
        if let Some(candidate) = self.current {
            place::forget(&self.snapshot, &self.plan, candidate, now);
        }
    }

    fn attempt_failed(&mut self, failure: Failure, now: Now) {
        self.waited(now);
        if failure.kind.may_have_lost_cache() {
            self.forget(now);
        }
        self.close_attempt(failure.kind.name());
        if let Some(replica) = self.replica() {
            match failure.kind {
                FailureKind::Connect | FailureKind::ConnectTimeout => {
                    replica.breaker.record_failure(self.row.cells(), now.unix_ms);
                }
                // Nothing is known of the connection.
                FailureKind::QueueFull
                | FailureKind::QueueTimeout
                | FailureKind::TotalTimeout
                | FailureKind::Unsendable
                | FailureKind::Stopping => {}
                _ => replica.breaker.record_success(self.row.cells()),
            }
        }
        // A fallback may ask the same replica for another model, if it can be reached at all.
        let unreachable = failure.kind.is_of_connection();
        self.pass_over(|tried, other| {
            other.replica == tried.replica && (unreachable || other.fallback == tried.fallback)
        });
        let another = failure.kind.allows_another() && self.try_another(failure.kind.name(), now);
        if !another {
            let refusal = failure.refusal(self.provider_name());
            self.refuse(refusal, Outcome::UpstreamError);
            self.settle(0);
        }
        self.failure = Some(failure);
    }

    /// Drops the candidates left of the same target that would fail as the current one did: those that are `alike`.
    #[cold]
    fn pass_over(&mut self, alike: impl Fn(Candidate, Candidate) -> bool) {
        let Some(tried) = self.current else { return };
        let mut index = 0;
        self.plan.candidates.retain(|other| {
            index += 1;
            index <= self.next || other.target != tried.target || !alike(tried, *other)
        });
    }

    /// Opens the next attempt after one that failed for `reason`.
    #[cold]
    fn try_another(&mut self, reason: &str, now: Now) -> bool {
        let mut failed = self.target().unwrap_or_default().into_owned();
        if let Some(position) = self.credential() {
            failed.push_str(&format!(" credential {position}"));
        }
        failed.push_str(&format!(": {reason}"));
        let row = Arc::clone(&self.row);
        let facts = LiveFacts::new(row.cells(), now.unix_ms);
        let another = self.remaining_ms(now) > 0 && self.open_next(&facts, now);
        if another {
            self.failed.push(failed);
        }
        another
    }

    fn responded(&mut self, status: u16, content: Content, usage: Option<Usage>, now: Now) {
        let protocol = |detail: String| Event::Failed(Failure { kind: FailureKind::Protocol, detail });
        match status {
            200..=299 => {
                if let Content::Other(what) = content {
                    let detail = format!("answered with neither JSON nor an event stream: {what}");
                    return self.advance(protocol(detail), now);
                }
            }
            100..=399 => return self.advance(protocol(format!("answered with status {status}")), now),
            _ => {}
        }
        self.waited(now);
        if let Some(replica) = self.replica() {
            replica.breaker.record_success(self.row.cells());
        }
        self.status = status;
        self.failure = None;
        if status < 300 {
            self.step = Step::Relay;
            if content == Content::Json {
                let spent = self.spent_on_texts();
                let usage = usage.map(|usage| Usage { input: usage.input.saturating_add(spent), ..usage });
                self.usage = usage;
                self.learn(usage, now);
                self.close_attempt("ok");
                self.settle(usage.map_or(self.plan.tokens.unwrap_or(0), Usage::total));
            }
            return;
        }
        if status >= 500 {
            self.forget(now);
        }
        self.close_attempt(match status {
            429 => "rate_limited",
            500.. => "status_5xx",
            _ => "status_4xx",
        });
        match status {
            401 | 403 => self.pass_over(|tried, other| other.credential == tried.credential),
            408 | 500.. => self.pass_over(Candidate::asks_the_same),
            _ => {} // 429 is about one account at one replica
        }
        let again = matches!(status, 401 | 403 | 408 | 429 | 500..);
        if again && self.try_another(&format!("status {status}"), now) {
            return;
        }
        self.settle(0);
        self.outcome = if again { Outcome::UpstreamError } else { Outcome::ClientError };
        match (status, content) {
            (401 | 403, _) => {
                let message = format!(
                    "provider `{}` refused edgeroute's own credential (status {status}); its api_key must be checked by the operator",
                    self.provider_name()
                );
                self.refuse(Refusal::new(Code::UpstreamAuthentication, message), Outcome::UpstreamError);
            }
            (_, Content::Json) => self.step = Step::Relay,
            (_, content) => {
                let detail = match content {
                    Content::Other(what) => what.into_owned(),
                    _ => "text/event-stream".into(),
                };
                self.failure = Some(Failure { kind: FailureKind::Protocol, detail });
                let message = format!("provider `{}` answered with status {status}", self.provider_name());
                let mut refusal = Refusal::new(Code::UpstreamError, message);
                if status < 500 {
                    refusal.status = status;
                }
                let outcome = self.outcome;
                self.refuse(refusal, outcome);
            }
        }
    }

    fn ended(&mut self, end: End, usage: Option<Usage>, events: u64, now: Now) {
        self.usage = usage;
        // Without a final report, what was relayed is counted: an event is about a token.
        let input = usage.map_or(self.plan.prompt_tokens, |usage| usage.input);
        let output = usage.map_or(0, |usage| usage.output).max(events);
        let tokens = match (&end, usage) {
            (End::Complete, Some(usage)) => usage.total(),
            _ => input.saturating_add(output),
        };
        match end {
            End::Complete => {
                self.learn(usage, now);
                self.close_attempt("ok");
            }
            End::ProviderError => {
                self.close_attempt("error_event");
                self.outcome = Outcome::UpstreamError;
            }
            End::Failed(failure) => {
                if failure.kind.may_have_lost_cache() {
                    self.forget(now);
                }
                self.close_attempt(failure.kind.name());
                self.cut(failure);
            }
            End::ClientGone => {
                self.close_attempt("cancelled");
                self.client_gone();
            }
        }
        self.settle(tokens);
    }

    /// The client does not get all of the response.
    pub(crate) fn cut(&mut self, failure: Failure) {
        self.outcome = Outcome::Cut;
        self.failure = Some(failure);
    }

    pub(crate) fn client_gone(&mut self) {
        self.outcome = Outcome::Disconnected;
        if self.times.overhead.is_none() {
            self.status = CLIENT_CLOSED_REQUEST;
        }
    }

    pub(crate) fn refuse(&mut self, refusal: Refusal, outcome: Outcome) {
        self.status = refusal.status;
        self.outcome = outcome;
        self.step = Step::Refuse(refusal);
    }

    pub(crate) fn settle(&mut self, tokens: u64) {
        if let Some(held) = self.held.take() {
            held.settle(&self.row, tokens);
        }
    }

    pub(crate) fn waited(&mut self, now: Now) {
        self.times.waited += now.monotonic_us.saturating_sub(self.times.attempt_started);
    }

    fn replica(&self) -> Option<&Replica> {
        replica_of(&self.snapshot, self.current?)
    }

    fn provider_name(&self) -> &str {
        self.target_entry()
            .and_then(|target| self.snapshot.provider_of(target))
            .map_or("", |provider| &provider.name)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.open || self.held.is_some() {
            self.close_attempt("dropped");
            if let Some(held) = self.held.take() {
                held.refund(&self.row);
            }
            meter::dropped(self.row.cells(), "ticket");
        }
    }
}

#[cold]
fn body_timeout() -> Refusal {
    let message =
        "the body did not arrive in time; send it faster, or have the operator raise `timeouts.body`";
    Refusal::new(Code::BodyTimeout, message)
}

fn replica_of(snapshot: &Snapshot, candidate: Candidate) -> Option<&Replica> {
    let provider = snapshot.provider_of(snapshot.target(candidate.target)?)?;
    provider.replicas.get(usize::from(candidate.replica))
}
