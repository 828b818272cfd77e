//! Which rules a request can match at all, by what it has for the attributes that rules compare with constants.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::engine::constants::ABSENT;
use crate::engine::guards::{Guard, IfAbsent};
use crate::engine::predicates::Tables;

/// So many rules are tried one after the other.
///
/// NOTE: of 6 rules that takes 107 ns, and 129 with a hash index; of 10 rules 190 and 132 (`benches/cold.rs`).
const FEW: usize = 8;
/// Rows of bits are used where a hash index would leave more candidates than this,
///
/// NOTE: with 100 rules, which leave 1, both cost the same; with 1,000, which leave 13, rows take three quarters of
/// the time, and with 10,000 half of it (`benches/rules.rs`).
const MANY_CANDIDATES: f64 = 4.0;
/// as long as they fit this many bytes.
const MOST_BYTES: usize = 4 << 20;

/// How the rules that may match are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Every rule is tried.
    Scan,
    /// Each rule is found under the constants of its rarest necessary condition; rules without one are tried for
    /// every request.
    Hash,
    /// Each constant has a row with a bit for every rule that it does not rule out; the rows that apply are
    /// intersected.
    Bits,
}

/// An index over the rules of a set, which it calls by their numbers.
#[derive(Debug)]
pub(crate) enum Index {
    Scan,
    Hash(Postings),
    Bits(Rows),
}

/// Rules by the constant they wait for.
#[derive(Debug, Default)]
pub(crate) struct Postings {
    attributes: Box<[Lists]>,
    /// Rules without a guard.
    always: Box<[u32]>,
}

/// The rules that are guarded by one attribute. Those of number `n` lie between bounds `n` and `n + 1`.
#[derive(Debug)]
struct Lists {
    attribute: u16,
    bounds: Box<[u32]>,
    rules: Box<[u32]>,
    /// What is to be tried instead where the attribute is absent, from sources that give declared types and from
    /// others.
    absent: [Box<[u32]>; 2],
}

/// Rules as bits.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// How many blocks a row has.
    width: usize,
    attributes: Box<[(u16, u32)]>,
    /// The rows of an attribute begin at its offset: one for absence from typed sources, one for absence from
    /// others, one for values that no rule names, then one for each constant.
    rows: Box<[Block]>,
}

/// Bits of 256 rules.
///
/// NOTE: rows are intersected by blocks, which are loaded and combined whole: of 10,000 rules the first match takes 2,356
/// instructions instead of 3,476 word by word.
type Block = [u64; 4];
/// How many rules a block stands for.
pub(crate) const BLOCK_BITS: usize = 8 * size_of::<Block>();

/// What the index must know of a rule.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) guards: Vec<Guard>,
    /// Whether it must be tried where it cannot hold, because it may fail in a way that counts; for sources that
    /// give declared types and for others.
    pub(crate) watched: [bool; 2],
}

/// The strategy that suits these rules.
pub(crate) fn choose(tables: &Tables, rules: &[Entry]) -> Strategy {
    let candidates: f64 =
        rules.iter().filter_map(|rule| rarest(tables, &rule.guards).map(|guard| share(tables, guard))).sum();
    let is_guarded = rules.iter().any(|rule| !rule.guards.is_empty());
    if rules.len() <= FEW || !is_guarded {
        Strategy::Scan
    } else if candidates > MANY_CANDIDATES && Rows::bytes(tables, rules) <= MOST_BYTES {
        Strategy::Bits
    } else {
        Strategy::Hash
    }
}

impl Index {
    pub(crate) fn new(strategy: Strategy, tables: &Tables, rules: &[Entry]) -> Self {
        match strategy {
            Strategy::Scan => Self::Scan,
            Strategy::Hash => Self::Hash(Postings::new(tables, rules)),
            Strategy::Bits => Self::Bits(Rows::new(tables, rules)),
        }
    }

    /// Whether a rule is tried only for values of this attribute that it may match, so that testing them again can
    /// wait.
    pub(crate) fn has_tested(&self, tables: &Tables, rule: &Entry, attribute: u16) -> bool {
        match self {
            Self::Scan => false,
            Self::Hash(_) => rarest(tables, &rule.guards).is_some_and(|guard| guard.attribute == attribute),
            Self::Bits(_) => rule.guards.iter().any(|guard| guard.attribute == attribute),
        }
    }

    pub(crate) fn strategy(&self) -> Strategy {
        match self {
            Self::Scan => Strategy::Scan,
            Self::Hash(_) => Strategy::Hash,
            Self::Bits(_) => Strategy::Bits,
        }
    }
}

/// The guard that the fewest requests are expected to pass.
pub(crate) fn rarest<'g>(tables: &Tables, guards: &'g [Guard]) -> Option<&'g Guard> {
    guards.iter().min_by(|left, right| share(tables, left).total_cmp(&share(tables, right)))
}

/// The share of requests that pass a guard, if every constant is as frequent as any other value. An attribute whose
/// absence lets a rule match is taken to be absent.
fn share(tables: &Tables, guard: &Guard) -> f64 {
    if guard.if_absent == IfAbsent::Unknown {
        return 1.0;
    }
    let constants =
        tables.constants.get(usize::from(guard.attribute)).map_or(0, |constants| constants.count());
    guard.values.len() as f64 / f64::from(constants + 1)
}

impl Postings {
    fn new(tables: &Tables, rules: &[Entry]) -> Self {
        #[derive(Default)]
        struct Building {
            values: Vec<(u32, u32)>,
            absent: [Vec<u32>; 2],
        }
        let mut always = Vec::new();
        let mut attributes: BTreeMap<u16, Building> = BTreeMap::new();
        for (rule, entry) in (0..).zip(rules) {
            let Some(guard) = rarest(tables, &entry.guards) else {
                always.push(rule);
                continue;
            };
            let building = attributes.entry(guard.attribute).or_default();
            building.values.extend(guard.values.iter().map(|value| (*value, rule)));
            for (rules, watched) in building.absent.iter_mut().zip(entry.watched) {
                if guard.tried_if_absent(watched) {
                    rules.push(rule);
                }
            }
        }
        let lists = attributes.into_iter().map(|(attribute, mut building)| {
            building.values.sort_unstable();
            let end = tables.constants.get(usize::from(attribute)).map_or(0, |constants| constants.end());
            let below = |number: u32| building.values.partition_point(|(value, _)| *value < number) as u32;
            Lists {
                attribute,
                bounds: (0..=end).map(below).collect(),
                rules: building.values.iter().map(|(_, rule)| *rule).collect(),
                absent: building.absent.map(Into::into),
            }
        });
        Self { attributes: lists.collect(), always: always.into() }
    }

    /// How many lists apply to a request.
    pub(crate) fn lists(&self) -> usize {
        self.attributes.len() + 1
    }

    /// One of them: rules to be tried, in order.
    #[inline]
    pub(crate) fn list(&self, list: usize, typed: bool, number: impl FnOnce(u16) -> u32) -> &[u32] {
        match self.attributes.get(list) {
            Some(lists) => lists.of(number(lists.attribute), typed),
            None => &self.always,
        }
    }
}

impl Lists {
    #[inline]
    fn of(&self, number: u32, typed: bool) -> &[u32] {
        if number == ABSENT {
            let [of_typed, of_others] = &self.absent;
            return if typed { of_typed } else { of_others };
        }
        let number = number as usize;
        let bounds = self.bounds.get(number).zip(self.bounds.get(number + 1));
        bounds.and_then(|(start, end)| self.rules.get(*start as usize..*end as usize)).unwrap_or_default()
    }
}

impl Rows {
    /// How many blocks a row has. Bit `b` of word `w` of block `k` stands for rule `256 * k + 64 * w + b`.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The rows that apply to a request.
    #[inline]
    pub(crate) fn applying(
        &self,
        typed: bool,
        mut number: impl FnMut(u16) -> u32,
    ) -> SmallVec<[&[Block]; 8]> {
        let row = |(attribute, offset): &(u16, u32)| {
            let row = match number(*attribute) {
                ABSENT => u32::from(!typed),
                number => number + 1,
            };
            let start = (offset + row) as usize * self.width;
            self.rows.get(start..start + self.width)
        };
        self.attributes.iter().filter_map(row).collect()
    }

    /// The rules of a block that no row rules out.
    #[inline]
    pub(crate) fn intersection(&self, rows: &[&[Block]], block: usize) -> Block {
        let mut left = [u64::MAX; 4];
        for row in rows {
            let row = row.get(block).copied().unwrap_or_default();
            for (left, word) in left.iter_mut().zip(row) {
                *left &= word;
            }
        }
        left
    }

    fn guarding(rules: &[Entry]) -> Vec<u16> {
        let mut attributes: Vec<u16> =
            rules.iter().flat_map(|rule| rule.guards.iter().map(|guard| guard.attribute)).collect();
        attributes.sort_unstable();
        attributes.dedup();
        attributes
    }

    /// Rows for one attribute: see [`Rows::rows`]. Numbers of values begin with [`OTHER`], which is 1.
    fn height(tables: &Tables, attribute: u16) -> usize {
        tables.constants.get(usize::from(attribute)).map_or(0, |constants| constants.end() as usize + 1)
    }

    fn bytes(tables: &Tables, rules: &[Entry]) -> usize {
        let rows: usize =
            Self::guarding(rules).iter().map(|attribute| Self::height(tables, *attribute)).sum();
        rows * rules.len().div_ceil(BLOCK_BITS) * size_of::<Block>()
    }

    fn new(tables: &Tables, rules: &[Entry]) -> Self {
        let width = rules.len().div_ceil(BLOCK_BITS);
        let mut rows = Vec::new();
        let mut attributes = Vec::new();
        for attribute in Self::guarding(rules) {
            let mut unguarded = vec![[0_u64; 4]; width];
            let guard_of = |rule: &Entry| rule.guards.iter().position(|guard| guard.attribute == attribute);
            for (rule, entry) in rules.iter().enumerate() {
                if guard_of(entry).is_none() {
                    set(&mut unguarded, rule);
                }
            }
            let offset = rows.len();
            for _ in 0..Self::height(tables, attribute) {
                rows.extend_from_slice(&unguarded);
            }
            for (rule, entry) in rules.iter().enumerate() {
                let Some(guard) = guard_of(entry).and_then(|position| entry.guards.get(position)) else {
                    continue;
                };
                let absent = (0..).zip(entry.watched).filter(|(_, watched)| guard.tried_if_absent(*watched));
                let values = guard.values.iter().map(|value| *value as usize + 1);
                for row in absent.map(|(row, _)| row).chain(values) {
                    if let Some(row) = rows.get_mut(offset + row * width..offset + (row + 1) * width) {
                        set(row, rule);
                    }
                }
            }
            attributes.push((attribute, (offset / width.max(1)) as u32));
        }
        Self { width, attributes: attributes.into(), rows: rows.into() }
    }
}

fn set(row: &mut [Block], bit: usize) {
    if let Some(word) = row.as_flattened_mut().get_mut(bit / 64) {
        *word |= 1 << (bit % 64);
    }
}
