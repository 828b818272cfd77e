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
//! let idle = |slot, name| Candidate { slot, node: Node::new(name, 1), uncached_tokens: 0, context_tokens: 0 };
//! let candidates = [idle(Slot::new(0)?, "gpu-0"), idle(Slot::new(1)?, "gpu-1")];
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

use std::fmt;

use smallvec::SmallVec;

use crate::index::{AffinityIndex, SLOTS, Slot};
use crate::learned::PrefillRate;
use crate::order::Order;
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
}

/// The choice, and all that led to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The position of the chosen candidate.
    pub chosen: u16,
    /// Why that one.
    pub reason: Reason,
    /// The blocks that every candidate has seen.
    pub hub_blocks: u16,
    /// The load of the least busy candidate, this request included, in tokens.
    pub least_load: f64,
    /// How far above that load affinity may lead, in tokens.
    pub bound: f64,
    /// All candidates, in their order.
    pub considered: SmallVec<[Considered; 8]>,
    wanted: Wanted,
}

/// What was known about a candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Considered {
    /// The blocks of the prompt that it has seen, from the beginning.
    pub depth_blocks: u16,
    /// The tokens of the prompt that it would have to read.
    pub uncached_tokens: f64,
    /// Its load with this request, in tokens per share of the capacity; infinite without weight.
    pub load: f64,
}

/// Which candidates the choice is among, as long as they are within the bound.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wanted {
    /// Those that have seen at least so many blocks.
    Depth(f64),
    /// The first two in rendezvous order.
    Preferred(usize, Option<usize>),
}

/// Why a candidate was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The lightest of those that hold the longest prefix.
    Warm,
    /// None holds more than the others: the lighter of the first two for this prompt.
    Cold,
    /// The least load, for those with the longest prefix are over the bound.
    WarmOverBound,
    /// The least load, for the first two for this prompt are over the bound.
    ColdOverBound,
}

/// Why a candidate was not chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassedOver {
    /// Its weight is zero.
    NoWeight,
    /// Others hold more of the prompt.
    HoldsLess,
    /// It is not among the first two for this prompt.
    NotPreferred,
    /// The chosen one is not busier.
    NotLighter,
    /// It is further behind the least busy one than the bound allows.
    OverBound,
}

impl Default for Affinity {
    /// 256 tokens; half a second, or a quarter of the mean load; a twentieth.
    fn default() -> Self {
        Self { margin_tokens: 256.0, bound_seconds: 0.5, bound_share: 0.25, context_share: 0.05 }
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
        let bound = (self.bound_seconds * f64::from(rate.get())).max(self.bound_share * view.mean_unread);
        let margin_blocks = self.margin_tokens / prompt.tokens_per_block;
        let is_warm = f64::from(view.deepest - view.hub) >= margin_blocks;
        let wanted = if is_warm {
            Wanted::Depth(f64::from(view.deepest) - margin_blocks)
        } else {
            view.preferred(prompt, candidates)?
        };
        let (lightest, load) = view.lightest(wanted)?;
        let (least, least_load) = view.least;
        let (chosen, reason) = match (is_warm, load <= least_load + bound) {
            (true, true) => (lightest, Reason::Warm),
            (false, true) => (lightest, Reason::Cold),
            (true, false) => (least, Reason::WarmOverBound),
            (false, false) => (least, Reason::ColdOverBound),
        };
        Some(Decision {
            chosen: chosen as u16,
            reason,
            hub_blocks: view.hub,
            least_load,
            bound,
            considered: view.considered,
            wanted,
        })
    }
}

/// The candidates' depths and loads.
struct View {
    considered: SmallVec<[Considered; 8]>,
    hub: u16,
    deepest: u16,
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
        let (mut hub, mut deepest) = (u16::MAX, 0);
        let mut least = (0, f64::INFINITY);
        let mut unread_by_all = 0.0;
        let consider = |(position, candidate): (usize, &Candidate)| {
            let depth_blocks = depths.get(candidate.slot.number()).copied().unwrap_or(0);
            let cached = f64::from(depth_blocks) * prompt.tokens_per_block;
            let uncached_tokens = (prompt.tokens - cached).max(0.0);
            if candidate.node.weight() == 0 {
                return Considered { depth_blocks, uncached_tokens, load: f64::INFINITY };
            }
            let per_share = candidate.node.inverse_weight() * mean_weight;
            let unread = candidate.uncached_tokens as f64;
            let context = affinity.context_share * candidate.context_tokens as f64;
            let load = (unread + uncached_tokens + context) * per_share;
            hub = hub.min(depth_blocks);
            deepest = deepest.max(depth_blocks);
            unread_by_all += unread * per_share;
            if load < least.1 {
                least = (position, load);
            }
            Considered { depth_blocks, uncached_tokens, load }
        };
        let considered = candidates.iter().enumerate().map(consider).collect();
        let mean_unread = unread_by_all / count;
        least.1.is_finite().then_some(Self { considered, hub, deepest, least, mean_unread })
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
}

impl Wanted {
    fn includes(self, position: usize, considered: &Considered) -> bool {
        match self {
            Self::Depth(least) => f64::from(considered.depth_blocks) >= least,
            Self::Preferred(first, second) => position == first || Some(position) == second,
        }
    }
}

impl Decision {
    /// Why the candidate at this position was not chosen; none for the chosen one.
    pub fn passed_over(&self, position: usize) -> Option<PassedOver> {
        let considered = self.considered.get(position)?;
        if position == usize::from(self.chosen) {
            return None;
        }
        if considered.load.is_infinite() {
            return Some(PassedOver::NoWeight);
        }
        Some(match (self.reason, self.wanted.includes(position, considered)) {
            (Reason::WarmOverBound | Reason::ColdOverBound, true) => PassedOver::OverBound,
            (Reason::Warm, false) => PassedOver::HoldsLess,
            (Reason::Cold, false) => PassedOver::NotPreferred,
            _ => PassedOver::NotLighter,
        })
    }

    /// All candidates that may be chosen: the chosen one, then the others by load.
    pub fn order(&self) -> Order {
        let mut others: SmallVec<[(f64, u16); 8]> = (0..)
            .zip(&self.considered)
            .filter(|(position, candidate)| *position != self.chosen && candidate.load.is_finite())
            .map(|(position, candidate)| (candidate.load, position))
            .collect();
        others.sort_by(|a, b| a.0.total_cmp(&b.0));
        std::iter::once(self.chosen).chain(others.into_iter().map(|(_, position)| position)).collect()
    }

    /// The prompt tokens that the chosen candidate has to read: what to add to its load until its first token.
    pub fn uncached_tokens(&self) -> f64 {
        self.considered.get(usize::from(self.chosen)).map_or(0.0, |chosen| chosen.uncached_tokens)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Warm => "the lightest of those that hold the longest prefix",
            Self::Cold => "no cache holds more than the others: the lighter of the first two for this prompt",
            Self::WarmOverBound => "the least load: those that hold the longest prefix are over the bound",
            Self::ColdOverBound => "the least load: the first two for this prompt are over the bound",
        })
    }
}

impl fmt::Display for PassedOver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoWeight => "its weight is zero",
            Self::HoldsLess => "others hold more of the prompt",
            Self::NotPreferred => "not among the first two for this prompt",
            Self::NotLighter => "the chosen one is not busier",
            Self::OverBound => "over the bound",
        })
    }
}
