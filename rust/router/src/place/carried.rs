//! What an attempt adds to the load of its endpoint, and what is learned from how it goes.

use edgeroute_placement::Latency;
use edgeroute_shared::Row;
use edgeroute_wire::Usage;

use super::affinity::AffinityPool;
use super::endpoint::{Endpoint, EndpointId};
use super::strategy::{Chooser, Strategy};
use super::{Placed, PlacedPool};
use crate::plan::{Candidate, Plan};
use crate::request::Now;
use crate::snapshot::Snapshot;

/// The load of one attempt, from when it is admitted until it is settled.
#[derive(Debug)]
#[must_use = "a load that is not put down stays counted until its worker ends"]
pub(crate) struct Carried {
    endpoint: EndpointId,
    prompt_tokens: u64,
    context_tokens: u64,
    uncached_tokens: u64,
    /// Whether the endpoint had nothing else to read.
    is_alone: bool,
    /// Microseconds from the request's being sent to the first of its reply's content.
    first_token_us: Option<u64>,
}

/// A reply that is complete.
pub(crate) struct Reply {
    pub(crate) usage: Option<Usage>,
    /// Microseconds since the request was sent.
    pub(crate) took_us: u64,
    pub(crate) now: Now,
}

/// The pool by whose index a candidate was chosen, and its position there.
struct Chosen<'a> {
    pool: &'a AffinityPool,
    placed: &'a Placed,
    of_pool: &'a PlacedPool,
    member: u16,
}

impl Carried {
    /// Adds the attempt's load, if anything is kept of its endpoint.
    pub(crate) fn take_up(snapshot: &Snapshot, plan: &Plan, candidate: Candidate, row: &Row) -> Option<Self> {
        let id = snapshot.endpoint_of(candidate)?;
        let endpoint = snapshot.endpoint(Some(id))?;
        let by_index = plan.placed.as_deref().and_then(|placed| placed.pool(candidate));
        // What uses no tokens of a model is a request and nothing else.
        let (prompt_tokens, output_tokens) = plan.load_tokens.unwrap_or_default();
        let prompt_tokens = match by_index {
            Some(pool) if plan.load_tokens.is_some() => pool.tokens,
            _ => prompt_tokens,
        };
        let uncached = Chosen::find(snapshot, plan, candidate).and_then(|chosen| chosen.uncached_tokens());
        let carried = Self {
            endpoint: id,
            prompt_tokens,
            context_tokens: prompt_tokens.saturating_add(output_tokens),
            uncached_tokens: uncached.map_or(prompt_tokens, |tokens| tokens.min(prompt_tokens)),
            is_alone: endpoint.uncached.total(row.cells()) == 0,
            first_token_us: None,
        };
        endpoint.requests.add(row, 1);
        endpoint.tokens.add(row, carried.context_tokens);
        endpoint.uncached.add(row, carried.uncached_tokens);
        Some(carried)
    }

    /// The first content of the reply has come: the prompt was read.
    pub(crate) fn first_token(&mut self, snapshot: &Snapshot, row: &Row, waited_us: u64, now: Now) {
        if self.first_token_us.is_some() {
            return;
        }
        self.first_token_us = Some(waited_us);
        if let Some(endpoint) = snapshot.endpoint(Some(self.endpoint)) {
            endpoint.uncached.remove(row, self.uncached_tokens);
            let ms = waited_us as f32 / 1_000.0;
            endpoint.record_first_token(row.cells(), self.prompt_tokens, ms, now.unix_ms);
        }
    }

    /// Takes the load away again.
    pub(crate) fn put_down(self, snapshot: &Snapshot, row: &Row) {
        let Some(endpoint) = snapshot.endpoint(Some(self.endpoint)) else { return };
        if self.first_token_us.is_none() {
            endpoint.uncached.remove(row, self.uncached_tokens);
        }
        endpoint.tokens.remove(row, self.context_tokens);
        endpoint.requests.remove(row, 1);
    }

    /// Learns from a complete reply.
    pub(crate) fn learn(
        &self,
        snapshot: &Snapshot,
        plan: &Plan,
        candidate: Candidate,
        row: &Row,
        Reply { usage, took_us, now }: Reply,
    ) {
        let (cells, output) = (row.cells(), usage.map_or(0, |usage| usage.output));
        if let Some(endpoint) = snapshot.endpoint(Some(self.endpoint)) {
            let ms = took_us as f32 / 1_000.0;
            match self.first_token_us {
                Some(first_us) if output > 1 => {
                    let each = (ms - first_us as f32 / 1_000.0) / (output - 1) as f32;
                    endpoint.record_per_token(cells, self.prompt_tokens, each, now.unix_ms);
                }
                Some(_) => {}
                None => {
                    let rest = generating_ms(endpoint, row, self.prompt_tokens, output);
                    let first = (ms - rest).max(0.0);
                    endpoint.record_first_token(cells, self.prompt_tokens, first, now.unix_ms);
                }
            }
        }
        let Some(chosen) = Chosen::find(snapshot, plan, candidate) else { return };
        let counted = usage.map(|usage| (chosen.bytes(), usage.input));
        let read = self.first_token_us.filter(|_| self.is_alone).map(|first_us| {
            // The engine knows better than the index, where it says.
            let uncached = usage.filter(|usage| usage.cached_input > 0);
            let uncached = uncached.map_or(u64::MAX, |usage| usage.input - usage.cached_input);
            (self.uncached_tokens.min(uncached), first_us as f32 / 1e6)
        });
        chosen.pool.learn(cells, counted, read);
    }
}

/// What generating so many tokens has taken lately: a whole reply does not tell when its first token was there.
fn generating_ms(endpoint: &Endpoint, row: &Row, prompt_tokens: u64, output: u64) -> f32 {
    let each = endpoint.latency(row.cells()).per_token;
    let known = each.get(Latency::size(prompt_tokens)).and_then(|each| each.value_ms());
    known.unwrap_or(0.0) * output.saturating_sub(1) as f32
}

/// A candidate's cache will hold the prompt: it is being sent.
pub(crate) fn insert(snapshot: &Snapshot, plan: &Plan, candidate: Candidate, now: Now) {
    // What only counts tokens warms no cache.
    if plan.load_tokens.is_some()
        && let Some(chosen) = Chosen::find(snapshot, plan, candidate)
    {
        chosen.pool.insert(chosen.member, chosen.chain(), seconds(now));
    }
}

/// A candidate has failed: its cache may be gone.
#[cold]
pub(crate) fn forget(snapshot: &Snapshot, plan: &Plan, candidate: Candidate, now: Now) {
    if let Some(chosen) = Chosen::find(snapshot, plan, candidate) {
        chosen.pool.forget(chosen.member, seconds(now));
    }
}

/// Indexes keep whole seconds.
fn seconds(now: Now) -> u32 {
    (now.unix_ms / 1_000) as u32
}

impl<'a> Chosen<'a> {
    /// None where no index was asked.
    fn find(snapshot: &'a Snapshot, plan: &'a Plan, candidate: Candidate) -> Option<Self> {
        let placed = plan.placed.as_deref()?;
        let of_pool = placed.pool(candidate)?;
        let Strategy::Grouped(groups) = &snapshot.model(of_pool.model)?.strategy else { return None };
        let group = groups.get(of_pool.group)?;
        let Chooser::Affinity(pool) = &group.chooser else { return None };
        let member =
            group.members.iter().position(|member| member.candidate(candidate.fallback) == candidate)?;
        Some(Self { pool, placed, of_pool, member: member as u16 })
    }

    fn uncached_tokens(&self) -> Option<u64> {
        let of_member = self.of_pool.uncached.iter().find(|(member, _)| *member == self.member);
        of_member.map(|(_, tokens)| *tokens)
    }

    fn chain(&self) -> &'a [u64] {
        self.placed.prompts.get(self.of_pool.prompt).map_or(&[], |(_, blocks)| blocks.chain())
    }

    fn bytes(&self) -> u64 {
        self.placed.prompts.get(self.of_pool.prompt).map_or(0, |(_, blocks)| blocks.bytes())
    }
}
