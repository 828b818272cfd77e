//! Bounded-affinity hashing: to the target that holds the longest part of the prompt in its cache, unless it is so
//! much busier than another that reading the prompt there anew is sooner done.
//!
//! What it takes from others: chained block hashes and the bitmask of who has seen them (paged prompt caches, and the
//! routers of SGLang and llm-d); load in prompt tokens that no cache holds and nobody has read yet, and affinity as a
//! gate with an explicit release instead of a weight (llm-d, "sticky until saturated", 2026); a bound relative to the
//! mean load (consistent hashing with bounded loads, Mirrokni et al. 2016). Its own is where cold prompts go: to the
//! lighter of the first two in rendezvous order of the block in which the prompt leaves what everybody has seen. So
//! routers that know nothing of each other send one conversation to one place, and the part of the prompt that is
//! hashed follows from the traffic instead of from a setting.
//!
//! Where all candidates have prices, leaving a cache must pay: a second less of waiting may cost what
//! [`Affinity::second_price`] says, and reading the prompt anew elsewhere must not cost more than the waiting that it
//! saves. Likewise, a prompt leaves its cache for a candidate that would be cheaper even so. Prompts that no cache
//! holds go by weight, whatever the prices.
//!
//! ```
//! use std::sync::atomic::AtomicU64;
//!
//! use edgeroute_placement::affinity::Reason;
//! use edgeroute_placement::{
//!     Affinity, AffinityIndex, Candidate, Node, PrefillRate, PromptHasher, Slot, TokensPerByte,
//! };
//!
//! let memory: Vec<AtomicU64> = (0..8192).map(|_| AtomicU64::new(0)).collect();
//! let index = AffinityIndex::new(&memory)?;
//! let candidates = [
//!     Candidate::new(Slot::new(0)?, Node::new("gpu-0", 1)),
//!     Candidate::new(Slot::new(1)?, Node::new("gpu-1", 1)),
//! ];
//!
//! let mut hasher = PromptHasher::new(0);
//! hasher.update(&[b'a'; 4096]);
//! let blocks = hasher.finish();
//! let prompt = blocks.prompt(TokensPerByte::default());
//! let choose = || Affinity::default().choose(&prompt, &index, &candidates, PrefillRate::default(), 0);
//!
//! let first = choose().unwrap();
//! assert_eq!(first.reason, Reason::Cold);
//! index.insert(blocks.chain(), candidates[usize::from(first.chosen)].slot, 0);
//! let again = choose().unwrap();
//! assert_eq!((again.chosen, again.reason), (first.chosen, Reason::Warm));
//! # Ok::<(), edgeroute_placement::Error>(())
//! ```

use smallvec::SmallVec;

use crate::cost::{Price, Tokens};
use crate::decision::Wanted;
pub use crate::decision::{Considered, Decision, PassedOver, Reason};
use crate::index::{AffinityIndex, SLOTS, Slot};
use crate::learned::PrefillRate;
use crate::rendezvous::{Node, first_two};

/// The constants of the choice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affinity {
    /// Prefixes whose lengths differ by less count as equal, in tokens.
    pub margin_tokens: f64,
    /// How many seconds of reading a target with the prefix may be behind the least busy one, at least.
    pub bound_seconds: f64,
    /// How far it may be behind relative to the mean load; 0.25 is the customary c = 1.25.
    pub bound_share: f64,
    /// What a token of context that is being generated from weighs, beside one that has yet to be read.
    pub context_share: f64,
    /// What a second less of waiting may cost, in the currency of the prices.
    pub second_price: f64,
}

/// A prompt, as far as the choice needs to know it. See [`PromptBlocks::prompt`](crate::PromptBlocks::prompt).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prompt<'p> {
    /// One hash per block, each for the prompt up to there.
    pub chain: &'p [u64],
    /// The hash of the whole.
    pub tail: u64,
    /// Its length.
    pub tokens: f64,
    /// What a block of the chain holds.
    pub tokens_per_block: f64,
    /// What is expected to be generated; it counts where candidates have prices.
    pub output_tokens: f64,
}

/// A target that could serve the request now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Its place in the index.
    pub slot: Slot,
    /// Its name and weight. More weight is more capacity; of weight zero, it is not chosen.
    pub node: Node,
    /// Prompt tokens sent to it that its cache did not hold, of requests that have no first token yet.
    pub uncached_tokens: u64,
    /// Context of all its requests in flight, in tokens.
    pub context_tokens: u64,
    /// A prefix of fewer tokens is not in its cache, even if it was seen: what providers call the minimum length.
    pub least_tokens: u32,
    /// What it charges. Prices count if all candidates have one.
    pub price: Option<Price>,
}

impl Default for Affinity {
    /// 256 tokens; half a second, or a quarter of the mean load; a twentieth; a hundredth of whatever prices are in.
    fn default() -> Self {
        Self {
            margin_tokens: 256.0,
            bound_seconds: 0.5,
            bound_share: 0.25,
            context_share: 0.05,
            second_price: 0.01,
        }
    }
}

impl Candidate {
    /// One that is idle, keeps prefixes of any length and has no price.
    pub fn new(slot: Slot, node: Node) -> Self {
        Self { slot, node, uncached_tokens: 0, context_tokens: 0, least_tokens: 0, price: None }
    }
}

impl Affinity {
    /// The candidate for this prompt; none if none may be chosen. The caller then inserts the chain for its slot, and
    /// adds the request to its load.
    pub fn choose(
        &self,
        prompt: &Prompt<'_>,
        index: &AffinityIndex<'_>,
        candidates: &[Candidate],
        rate: PrefillRate,
        now_s: u32,
    ) -> Option<Decision> {
        let slots = candidates.iter().fold(0, |slots, candidate| slots | candidate.slot.bit());
        let mut depths = [0; SLOTS];
        index.depths(prompt.chain, slots, now_s, &mut depths);
        self.choose_by_depth(prompt, &depths, candidates, rate)
    }

    /// The same where somebody else knows what each slot has seen, in blocks.
    pub fn choose_by_depth(
        &self,
        prompt: &Prompt<'_>,
        depths: &[u16; SLOTS],
        candidates: &[Candidate],
        rate: PrefillRate,
    ) -> Option<Decision> {
        let view = View::new(self, prompt, depths, candidates)?;
        let rate = f64::from(rate.get());
        let bound = (self.bound_seconds * rate).max(self.bound_share * view.mean_unread);
        let is_warm = view.most_uncached - view.least_uncached >= self.margin_tokens;
        let wanted = if is_warm {
            Wanted::Warm(view.least_uncached + self.margin_tokens)
        } else {
            view.preferred(prompt, candidates)?
        };
        let (lightest, load) = view.lightest(wanted)?;
        let (least, least_load) = view.least;
        let money = view.money(prompt, candidates);
        let gate = Gate {
            considered: &view.considered,
            money: &money,
            load_price: self.second_price / rate,
            highest_load: least_load + bound,
        };
        let (chosen, reason) = match (is_warm, load <= least_load + bound) {
            (true, true) => match gate.cheaper(lightest, self.margin_tokens, candidates) {
                Some(cheaper) => (cheaper, Reason::Cheaper),
                None => (lightest, Reason::Warm),
            },
            (true, false) => match gate.way_out(lightest).unwrap_or(least) {
                chosen if chosen == lightest => (lightest, Reason::LeavingTooDear),
                chosen => (chosen, Reason::WarmOverBound),
            },
            (false, true) => (lightest, Reason::Cold),
            (false, false) => (least, Reason::ColdOverBound),
        };
        Some(Decision {
            chosen: chosen as u16,
            reason,
            hub_blocks: view.hub,
            least_load,
            bound,
            considered: view.considered,
            money,
            wanted,
        })
    }
}

/// The candidates' depths and loads.
struct View {
    considered: SmallVec<[Considered; 8]>,
    /// The blocks that all have seen.
    hub: u16,
    /// The tokens that the candidates with the longest and the shortest prefix would have to read.
    least_uncached: f64,
    most_uncached: f64,
    /// Position and load of the least busy one.
    least: (usize, f64),
    /// The mean of what they have yet to read, without this request.
    mean_unread: f64,
}

impl View {
    /// None if no candidate has a weight.
    fn new(
        affinity: &Affinity,
        prompt: &Prompt<'_>,
        depths: &[u16; SLOTS],
        candidates: &[Candidate],
    ) -> Option<Self> {
        let weights = || candidates.iter().map(|candidate| u64::from(candidate.node.weight()));
        let count = weights().map(|weight| u64::from(weight > 0)).sum::<u64>() as f64;
        let mean_weight = weights().sum::<u64>() as f64 / count;
        let mut hub = u16::MAX;
        let (mut least_uncached, mut most_uncached) = (f64::INFINITY, 0.0f64);
        let mut least = (0, f64::INFINITY);
        let mut unread_by_all = 0.0;
        let consider = |(position, candidate): (usize, &Candidate)| {
            let depth_blocks = depths.get(candidate.slot.number()).copied().unwrap_or(0);
            let seen = f64::from(depth_blocks) * prompt.tokens_per_block;
            let cached = if seen < f64::from(candidate.least_tokens) { 0.0 } else { seen };
            let uncached_tokens = (prompt.tokens - cached).max(0.0);
            if candidate.node.weight() == 0 {
                return Considered { depth_blocks, uncached_tokens, load: f64::INFINITY };
            }
            let per_share = candidate.node.inverse_weight() * mean_weight;
            let unread = candidate.uncached_tokens as f64;
            let context = affinity.context_share * candidate.context_tokens as f64;
            let load = (unread + uncached_tokens + context) * per_share;
            hub = hub.min(depth_blocks);
            least_uncached = least_uncached.min(uncached_tokens);
            most_uncached = most_uncached.max(uncached_tokens);
            unread_by_all += unread * per_share;
            if load < least.1 {
                least = (position, load);
            }
            Considered { depth_blocks, uncached_tokens, load }
        };
        let considered = candidates.iter().enumerate().map(consider).collect();
        let mean_unread = unread_by_all / count;
        let view = Self { considered, hub, least_uncached, most_uncached, least, mean_unread };
        least.1.is_finite().then_some(view)
    }

    /// The first two in rendezvous order of the block in which the prompt leaves what everybody has seen.
    fn preferred(&self, prompt: &Prompt<'_>, candidates: &[Candidate]) -> Option<Wanted> {
        let divergence = prompt.chain.get(usize::from(self.hub)).copied().unwrap_or(prompt.tail);
        let (first, second) = first_two(divergence, candidates.iter().map(|candidate| &candidate.node))?;
        Some(Wanted::Preferred(first, second))
    }

    /// Position and load of the least busy of those that are wanted, the first listed of equals.
    fn lightest(&self, wanted: Wanted) -> Option<(usize, f64)> {
        let mut lightest = (0, f64::INFINITY);
        for (position, considered) in self.considered.iter().enumerate() {
            if considered.load < lightest.1 && wanted.includes(position, considered) {
                lightest = (position, considered.load);
            }
        }
        lightest.1.is_finite().then_some(lightest)
    }

    /// What the request would cost at each candidate; nothing unless all have prices.
    fn money(&self, prompt: &Prompt<'_>, candidates: &[Candidate]) -> SmallVec<[f64; 8]> {
        let cost = |(candidate, considered): (&Candidate, &Considered)| {
            let uncached = considered.uncached_tokens;
            let tokens = Tokens {
                input: uncached as u64,
                cached_input: (prompt.tokens - uncached) as u64,
                output: prompt.output_tokens as u64,
            };
            candidate.price.map(|price| price.of(tokens))
        };
        candidates.iter().zip(&self.considered).map(cost).collect::<Option<_>>().unwrap_or_default()
    }
}

/// Whether leaving a cache pays. Without money, it has nothing to say.
struct Gate<'v> {
    considered: &'v [Considered],
    money: &'v [f64],
    /// What a token less of load may cost.
    load_price: f64,
    highest_load: f64,
}

impl Gate<'_> {
    /// Where it costs least to go from a cache that is over the bound, the waiting included: perhaps nowhere.
    fn way_out(&self, from: usize) -> Option<usize> {
        self.cheapest(from, |_| true)
    }

    /// A candidate that is worth leaving a cache for although that is within the bound.
    fn cheaper(&self, from: usize, margin_tokens: f64, candidates: &[Candidate]) -> Option<usize> {
        let money = *self.money.get(from)?;
        // Prefixes that count as equal cost the same.
        let margin = candidates.get(from)?.price?.input * margin_tokens / 1e6;
        self.cheapest(from, |other| other + margin < money).filter(|&cheapest| cheapest != from)
    }

    /// The cheapest of those within the bound that may be taken, and of `from`; the lighter of equals.
    fn cheapest(&self, from: usize, may_take: impl Fn(f64) -> bool) -> Option<usize> {
        let total = |considered: &Considered, money: f64| money + considered.load * self.load_price;
        let least = (self.considered.iter().zip(self.money).enumerate())
            .filter(|(position, (considered, money))| {
                *position == from || considered.load <= self.highest_load && may_take(**money)
            })
            .map(|(position, (considered, money))| (position, total(considered, *money), considered.load))
            .min_by(|a, b| a.1.total_cmp(&b.1).then(a.2.total_cmp(&b.2)));
        least.map(|(position, ..)| position)
    }
}
