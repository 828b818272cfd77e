use std::fmt;

use smallvec::SmallVec;

use crate::Order;

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
    /// What the request would cost at each, in the currency of the prices; empty unless all have prices.
    pub money: SmallVec<[f64; 8]>,
    pub(crate) wanted: Wanted,
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
pub(crate) enum Wanted {
    /// Those that have to read at most so many tokens.
    Warm(f64),
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
    /// Those with the longest prefix are over the bound: the least load or, with prices, the cheapest within the
    /// bound, the waiting included.
    WarmOverBound,
    /// The least load, for the first two for this prompt are over the bound.
    ColdOverBound,
    /// Others hold more of the prompt, but this one is cheaper even so.
    Cheaper,
    /// The lightest of those with the longest prefix: over the bound, but going elsewhere costs more than the waiting
    /// that it would save.
    LeavingTooDear,
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
    /// It costs more than the chosen one, what waiting may cost included.
    TooDear,
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
        let is_wanted = self.wanted.includes(position, considered);
        let is_over_bound = considered.load > self.least_load + self.bound;
        let is_lighter =
            self.considered.get(usize::from(self.chosen)).is_some_and(|chosen| considered.load < chosen.load);
        Some(match self.reason {
            Reason::Warm if !is_wanted => PassedOver::HoldsLess,
            Reason::Cold if !is_wanted => PassedOver::NotPreferred,
            Reason::WarmOverBound | Reason::ColdOverBound if is_wanted => PassedOver::OverBound,
            Reason::WarmOverBound if is_lighter => PassedOver::TooDear,
            Reason::LeavingTooDear if is_wanted => PassedOver::NotLighter,
            Reason::Cheaper | Reason::LeavingTooDear if is_over_bound => PassedOver::OverBound,
            Reason::Cheaper | Reason::LeavingTooDear => PassedOver::TooDear,
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

impl Wanted {
    pub(crate) fn includes(self, position: usize, considered: &Considered) -> bool {
        match self {
            Self::Warm(most) => considered.uncached_tokens <= most,
            Self::Preferred(first, second) => position == first || Some(position) == second,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Warm => "the lightest of those that hold the longest prefix",
            Self::Cold => "no cache holds more than the others: the lighter of the first two for this prompt",
            Self::WarmOverBound => "all with the longest prefix are over the bound: the best of the others",
            Self::ColdOverBound => "the least load: the first two for this prompt are over the bound",
            Self::Cheaper => "cheaper, although others hold more of the prompt",
            Self::LeavingTooDear => {
                "it holds the longest prefix and is over the bound, but going elsewhere costs more than it saves"
            }
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
            Self::TooDear => "it costs more, the waiting included",
        })
    }
}
