//! The members of a group in the order in which they are tried.

use edgeroute_placement::{
    Decision, Load as Filled, Order, Price, PromptBlocks, Rendezvous, Ring, Tokens, cheapest, least_load,
    power_of_two, weighted,
};
use smallvec::SmallVec;

use super::Asked;
use super::affinity::AffinityPool;
use super::endpoint::Load;
use super::key::{self, KeySource};
use super::strategy::{Chooser, Group, Member};
use crate::snapshot::Snapshot;
use crate::trace::{Phase, Trace};

/// One request's choice among the members of a group.
pub(crate) struct Choice<'a, 'v> {
    group: &'a Group,
    asked: &'a Asked<'a, 'v>,
    /// What the `*` of a target's name stands for.
    rest: &'a str,
    seed: u64,
    /// Whether each member can be reached.
    live: SmallVec<[bool; 16]>,
}

/// So many candidates are tried at most, or as many as there may be attempts: no request sorts thousands.
const MOST_ORDERED: usize = 64;

/// Tokens by position of a member.
pub(crate) type Uncached = SmallVec<[(u16, u64); 8]>;

/// A number of each member, by position.
type Numbers = SmallVec<[f64; 16]>;

impl<'a, 'v> Choice<'a, 'v> {
    pub(crate) fn new(group: &'a Group, asked: &'a Asked<'a, 'v>, rest: &'a str, seed: u64) -> Self {
        let facts = asked.variables.facts;
        let mut live: SmallVec<[bool; 16]> =
            group.members.iter().map(|member| !facts.is_open(&member.breaker)).collect();
        if !live.contains(&true) {
            live.fill(true);
        }
        Self { group, asked, rest, seed, live }
    }

    /// All members, first choice first, those that cannot be reached last.
    pub(crate) fn order(&self, trace: &mut Trace) -> Order {
        let first = match &self.group.chooser {
            Chooser::RoundRobin { round, turns } => {
                let turn = self.asked.variables.facts.turn(*turns);
                let count = self.group.members.len() as u64;
                let first = (turn..turn.saturating_add(count)).map(|turn| round.at(turn));
                Order::from_iter(first.take(MOST_ORDERED))
            }
            Chooser::LeastLoad => self.by_load(least_load, trace),
            Chooser::PowerOfTwo => self.by_load(power_of_two, trace),
            Chooser::Latency => self.by_latency(trace),
            Chooser::Cost(prices) => self.by_cost(prices, trace),
            Chooser::Session { keys, rendezvous } => self.by_session(keys, rendezvous, trace),
            Chooser::BoundedHash { keys, ring } => self.by_bounded_hash(keys, ring, trace),
            // Decided where its blocks are kept.
            Chooser::Affinity(_) => Order::new(),
        };
        self.complete(&first, trace)
    }

    /// The same by affinity, and the prompt tokens that each member would have to read.
    pub(crate) fn affinity(
        &self,
        pool: &AffinityPool,
        blocks: &PromptBlocks,
        trace: &mut Trace,
    ) -> (Order, Uncached) {
        let live: SmallVec<[u16; 16]> =
            (0..).zip(&self.live).filter(|(_, live)| **live).map(|(position, _)| position).collect();
        let members: SmallVec<[(u16, Load); 16]> = live
            .iter()
            .filter_map(|position| Some((*position, self.load(self.member(*position)?))))
            .collect();
        let Some(decision) =
            pool.choose(blocks, &members, self.asked.output_tokens, self.asked.variables.facts)
        else {
            return (self.complete(&[], trace), Uncached::new());
        };
        if trace.is_on() {
            self.note_affinity(&decision, blocks, &members, trace);
        }
        let order: Order =
            decision.order().iter().filter_map(|among| live.get(usize::from(*among)).copied()).collect();
        let tokens = decision.considered.iter().map(|considered| considered.uncached_tokens as u64);
        (self.complete(&order, trace), live.into_iter().zip(tokens).collect())
    }

    /// Those of `first` in their order, then the others as listed; what cannot be reached after all that can.
    fn complete(&self, first: &[u16], trace: &mut Trace) -> Order {
        let count = self.live.len();
        let most = MOST_ORDERED.max(self.snapshot().defaults.attempts as usize).min(count);
        let mut order = Order::new();
        let mut taken = SmallVec::<[bool; 16]>::from_elem(false, count);
        for reachable in [true, false] {
            for position in first.iter().copied().chain(0..count as u16) {
                let index = usize::from(position);
                let Some(taken) = taken.get_mut(index) else { continue };
                if order.len() == most || *taken || self.live.get(index) != Some(&reachable) {
                    continue;
                }
                *taken = true;
                order.push(position);
                if !reachable {
                    self.note(position, trace, || "is tried last: it could not be reached lately".into());
                }
            }
        }
        order
    }

    fn by_load(&self, choose: fn(&[Filled], u64, u64) -> Option<u16>, trace: &mut Trace) -> Order {
        let tokens = self.asked.prompt_tokens().saturating_add(self.asked.output_tokens);
        let filled: SmallVec<[Filled; 16]> = self
            .members()
            .map(|(member, weight)| Filled { tokens: self.load(member).context_tokens, weight })
            .collect();
        for (position, load) in (0..).zip(&filled) {
            self.note(position, trace, || {
                format!("{} tokens in flight, weight {}", load.tokens, load.weight)
            });
        }
        let per_weight = filled.iter().map(|load| (load.tokens + tokens) as f64 / f64::from(load.weight));
        let chosen = choose(&filled, tokens, self.seed);
        self.sorted(chosen, &per_weight.collect())
    }

    fn by_latency(&self, trace: &mut Trace) -> Order {
        let (facts, prompt, output) =
            (self.asked.variables.facts, self.asked.prompt_tokens(), self.asked.output_tokens);
        let alone: Numbers = self
            .members()
            .map(|(member, _)| {
                let endpoint = self.snapshot().endpoint(member.endpoint);
                endpoint.map_or(0.0, |endpoint| facts.latency(endpoint).cost(prompt, output, 0))
            })
            .collect();
        // Who has no sample yet counts as the fastest of those who have.
        let fastest = alone.iter().copied().filter(|cost| *cost > 0.0).reduce(f64::min).unwrap_or(1.0);
        let costs = self.members().zip(&alone).map(|((member, weight), &alone)| {
            let known = if alone > 0.0 { alone } else { fastest };
            known * (self.load(member).requests + 1) as f64 / f64::from(weight)
        });
        let costs: Numbers = costs.collect();
        for ((position, cost), alone) in (0..).zip(&costs).zip(&alone) {
            let known = if *alone > 0.0 { "" } else { ", not measured yet" };
            self.note(position, trace, || {
                format!("about {cost:.0} ms for {prompt} + {output} tokens behind what waits{known}")
            });
        }
        self.sorted(None, &costs)
    }

    fn by_cost(&self, prices: &[Price], trace: &mut Trace) -> Order {
        let tokens =
            Tokens { input: self.asked.prompt_tokens(), cached_input: 0, output: self.asked.output_tokens };
        let loads = self
            .members()
            .map(|(member, weight)| self.load(member).context_tokens as f64 / f64::from(weight));
        // Equal prices keep the order of the loads.
        let by_load = self.sorted(None, &loads.collect());
        let of = |position: &u16| prices.get(usize::from(*position)).map(|price| (*price, tokens));
        let priced: Vec<(Price, Tokens)> = by_load.iter().filter_map(of).collect();
        for (position, price) in (0..).zip(prices) {
            self.note(position, trace, || {
                format!("{:.6} for {} + {} tokens", price.of(tokens), tokens.input, tokens.output)
            });
        }
        cheapest(&priced).iter().filter_map(|at| by_load.get(usize::from(*at)).copied()).collect()
    }

    fn by_session(&self, keys: &[KeySource], rendezvous: &Rendezvous, trace: &mut Trace) -> Order {
        match self.key(keys, trace) {
            Some(key) => rendezvous.order(key),
            None => self.drawn(),
        }
    }

    fn by_bounded_hash(&self, keys: &[KeySource], ring: &Ring, trace: &mut Trace) -> Order {
        let Some(key) = self.key(keys, trace) else { return self.drawn() };
        let loads: Vec<Option<u32>> = self
            .members()
            .map(|(member, weight)| {
                let requests = || u32::try_from(self.load(member).requests).unwrap_or(u32::MAX);
                (weight > 0).then(requests)
            })
            .collect();
        let chosen = ring.choose(key, &loads);
        let order = ring.order(key);
        let passed = order.iter().take_while(|position| Some(**position) != chosen);
        for position in passed {
            let requests = loads.get(usize::from(*position)).copied().flatten().unwrap_or(0);
            self.note(*position, trace, || {
                format!("is passed over: over the bound with {requests} requests")
            });
        }
        chosen.into_iter().chain(order).collect()
    }

    /// The request's key, if it has one.
    fn key(&self, keys: &[KeySource], trace: &mut Trace) -> Option<u64> {
        let found = key::find(keys, self.asked);
        trace.note(Phase::Place, || match &found {
            Some((key, source)) => format!("key {key:016x} from {source}"),
            None => "the request has no key: drawn by weight".into(),
        });
        found.map(|(key, _)| key)
    }

    /// Drawn by weight.
    fn drawn(&self) -> Order {
        let weights: SmallVec<[u32; 16]> = self.members().map(|(_, weight)| weight).collect();
        weighted(&weights, self.seed)
    }

    /// The chosen one, then the others by these numbers. Equal ones take turns by the seed.
    fn sorted(&self, chosen: Option<u16>, numbers: &Numbers) -> Order {
        let count = numbers.len() as u64;
        let turn = |position: u16| (u64::from(position) + self.seed % count.max(1)) % count.max(1);
        let mut sorted: SmallVec<[(f64, u64, u16); 16]> =
            (0..).zip(numbers).map(|(position, number)| (*number, turn(position), position)).collect();
        let compare = |a: &(f64, u64, u16), b: &(f64, u64, u16)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        if sorted.len() > MOST_ORDERED {
            sorted.select_nth_unstable_by(MOST_ORDERED, compare);
            sorted.truncate(MOST_ORDERED);
        }
        sorted.sort_unstable_by(compare);
        chosen.into_iter().chain(sorted.into_iter().map(|(.., position)| position)).collect()
    }

    /// All members with their weights, zero for those that cannot be reached.
    fn members(&self) -> impl Iterator<Item = (&'a Member, u32)> {
        let group = self.group;
        group
            .members
            .iter()
            .zip(&self.live)
            .map(|(member, live)| (member, if *live { member.weight } else { 0 }))
    }

    fn member(&self, position: u16) -> Option<&'a Member> {
        self.group.members.get(usize::from(position))
    }

    fn load(&self, member: &Member) -> Load {
        let Some(endpoint) = self.snapshot().endpoint(member.endpoint) else { return Load::default() };
        let facts = self.asked.variables.facts;
        let load = facts.load(endpoint);
        match facts.signal(endpoint) {
            None => load,
            signal => load.corrected(signal, self.asked.prompt_tokens(), self.asked.output_tokens),
        }
    }

    fn snapshot(&self) -> &'v Snapshot {
        self.asked.variables.snapshot
    }

    fn note(&self, position: u16, trace: &mut Trace, note: impl FnOnce() -> String) {
        trace.note(Phase::Place, || {
            let member = self.member(position);
            let name = member.map(|member| member.candidate(0).describe(self.snapshot(), self.rest));
            format!("{}: {}", name.unwrap_or_default(), note())
        });
    }

    #[cold]
    fn note_affinity(
        &self,
        decision: &Decision,
        blocks: &PromptBlocks,
        members: &[(u16, Load)],
        trace: &mut Trace,
    ) {
        let chain = blocks.chain();
        let ends = chain.first().zip(chain.last());
        trace.note(Phase::Place, || {
            let hashes = ends.map_or_else(String::new, |(first, last)| format!(" ({first:016x} to {last:016x})"));
            format!(
                "the prompt has {} blocks{hashes}, of which every candidate has seen {}; affinity may lead to {:.0} \
                 tokens more than the least load, which is {:.0}",
                chain.len(),
                decision.hub_blocks,
                decision.bound,
                decision.least_load
            )
        });
        for ((among, considered), (position, load)) in (0..).zip(&decision.considered).zip(members) {
            let why = match decision.passed_over(among) {
                Some(why) => format!("passed over: {why}"),
                None => format!("chosen: {}", decision.reason),
            };
            let money =
                decision.money.get(among).map_or_else(String::new, |money| format!("; costs {money:.6}"));
            self.note(*position, trace, || {
                format!(
                    "has seen {} blocks, would read {:.0} tokens; {} requests, {} tokens in flight and {} not read yet \
                     make a load of {:.0}{money}; {why}",
                    considered.depth_blocks,
                    considered.uncached_tokens,
                    load.requests,
                    load.context_tokens,
                    load.uncached_tokens,
                    considered.load
                )
            });
        }
    }
}
