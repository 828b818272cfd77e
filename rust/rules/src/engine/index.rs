//! Which rules a request can match at all, by what it has for the attributes that rules compare with constants.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::engine::constants::ABSENT;
use crate::engine::guards::{Guard, IfAbsent};
use crate::engine::predicates::Tables;
use crate::engine::prefetch_pages;

/// Rows of bits are used where a hash index would leave more candidates than this,
///
/// NOTE: with 32 rules, which leave 2.4, rows take a third longer; with 100, which leave 3.6, 7 % less; with 1,000,
/// which leave 14, a fifth less, and with 10,000 two fifths of the time (`benches/rules.rs`).
const MANY_CANDIDATES: f64 = 3.0;
/// as long as they fit this many bytes.
const MOST_BYTES: usize = 4 << 20;

/// How the rules that may match are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Every rule is tried.
    Scan,
    /// Each rule is found under the constants of one of its necessary conditions, mostly the rarest; rules without one
    /// are tried for every request.
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

/// The states that attributes can be in, numbered: of each, absence from sources that give declared types, absence
/// from others, any value that no rule names, then each constant.
#[derive(Debug)]
pub(crate) struct States {
    /// Each with its first state.
    ///
    /// NOTE: not in a place of their own, which would be 0.3 µs away where caches are cold.
    attributes: SmallVec<[(u16, u32); 8]>,
    count: u32,
}

/// Rules by the state that they wait for.
#[derive(Debug)]
pub(crate) struct Postings {
    states: States,
    /// Of each state, from where to where its rules are.
    bounds: Box<[(u32, u32)]>,
    rules: Box<[u32]>,
    /// Rules without a guard.
    always: Box<[u32]>,
}

/// Rules as bits: a row of blocks for each state, of the rules that it does not rule out.
#[derive(Debug)]
pub(crate) struct Rows {
    states: States,
    /// How many blocks a row has.
    width: usize,
    blocks: Box<[Block]>,
}

/// Bits of 512 rules: a cache line.
///
/// NOTE: rows are intersected by blocks, which are loaded and combined whole: of 10,000 rules the first match takes two
/// thirds of the instructions that it takes word by word.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Block([u64; WORDS]);

const WORDS: usize = 8;
/// How many rules a block stands for.
pub(crate) const BLOCK_BITS: usize = 64 * WORDS;
/// So many words are enough for the bits of few rules.
pub(crate) const FEW_WORDS: usize = 2;
pub(crate) const FEW_RULES: usize = 64 * FEW_WORDS;

/// What the index must know of a rule.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The first is the one that finds the rule.
    pub(crate) guards: Vec<Guard>,
    /// Whether it must be tried where it cannot hold, because it may fail in a way that counts; for sources that
    /// give declared types and for others.
    pub(crate) watched: [bool; 2],
}

/// The strategy that suits these rules.
///
/// NOTE: two rules take 17 ns with a hash index and 18 if both are tried, eight 44 and 62 (`benches/rules.rs`).
pub(crate) fn choose(tables: &Tables, rules: &[Entry]) -> Strategy {
    let candidates: f64 =
        rules.iter().filter_map(|rule| rule.guards.first()).map(|guard| share(tables, guard)).sum();
    let is_guarded = rules.iter().any(|rule| !rule.guards.is_empty());
    if rules.len() < 2 || !is_guarded {
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
    pub(crate) fn has_tested(&self, rule: &Entry, attribute: u16) -> bool {
        match self {
            Self::Scan => false,
            Self::Hash(_) => rule.guards.first().is_some_and(|guard| guard.attribute == attribute),
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

/// Puts the guard of each rule first that the fewest requests are expected to pass.
pub(crate) fn rarest_first(tables: &Tables, rules: &mut [Entry]) {
    for rule in rules {
        rule.guards.sort_by(|left, right| share(tables, left).total_cmp(&share(tables, right)));
    }
}

/// So many guards of a rule may come to find it, which bounds how often it is moved.
const RAREST: usize = 8;

/// Puts another guard first where what an attribute finds can be found by others that are read anyhow, with less than
/// one rule more to try: to read an attribute costs about as much as to try a rule.
///
/// NOTE: of 10 rules on 6 attributes the first match takes 44 ns instead of 57.
pub(crate) fn spare_attributes(tables: &Tables, rules: &mut [Entry]) {
    let mut found: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
    for (number, rule) in rules.iter().enumerate() {
        if let Some(guard) = rule.guards.first() {
            found.entry(guard.attribute).or_default().push(number);
        }
    }
    let mut attributes: Vec<u16> = found.keys().copied().collect();
    attributes.sort_by_key(|attribute| found.get(attribute).map(Vec::len));
    for attribute in attributes {
        let Some(numbers) = found.remove(&attribute) else { continue };
        let mut more = 0.0;
        let others: Option<Vec<usize>> = numbers
            .iter()
            .map(|number| {
                let guards = &rules.get(*number)?.guards;
                let mut rarest = guards.iter().take(RAREST);
                let other = rarest.position(|guard| found.contains_key(&guard.attribute))?;
                more += share(tables, guards.get(other)?) - share(tables, guards.first()?);
                Some(other)
            })
            .collect();
        match others.filter(|_| more < 1.0) {
            Some(others) => {
                for (number, other) in numbers.into_iter().zip(others) {
                    let Some(rule) = rules.get_mut(number) else { continue };
                    rule.guards.swap(0, other);
                    if let Some(guard) = rule.guards.first() {
                        found.entry(guard.attribute).or_default().push(number);
                    }
                }
            }
            None => drop(found.insert(attribute, numbers)),
        }
    }
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

impl States {
    fn new(tables: &Tables, mut attributes: Vec<u16>) -> Self {
        attributes.sort_unstable();
        attributes.dedup();
        let mut count = 0;
        let with_first = |attribute| {
            let first = count;
            count += Self::height(tables, attribute);
            (attribute, first)
        };
        Self { attributes: attributes.into_iter().map(with_first).collect(), count }
    }

    /// How many states an attribute has. Numbers of values begin with 1, which is that of any that no rule names.
    fn height(tables: &Tables, attribute: u16) -> u32 {
        tables.constants.get(usize::from(attribute)).map_or(0, |constants| constants.end() + 1)
    }

    /// How many attributes there are.
    pub(crate) fn len(&self) -> usize {
        self.attributes.len()
    }

    /// Finds the state of each attribute, by the number of its value.
    #[inline(always)]
    pub(crate) fn find(&self, typed: bool, mut number: impl FnMut(u16) -> u32) -> impl Iterator<Item = u32> {
        self.attributes.iter().map(move |(attribute, first)| match number(*attribute) {
            ABSENT => first + u32::from(!typed),
            number => first + number + 1,
        })
    }

    /// The states in which a guard lets a rule be tried.
    fn passing(&self, guard: &Guard, watched: [bool; 2]) -> impl Iterator<Item = u32> {
        let at = self.attributes.binary_search_by_key(&guard.attribute, |(attribute, _)| *attribute);
        let first = at.ok().and_then(|at| self.attributes.get(at)).map(|(_, first)| *first);
        let absent = (0..).zip(watched).filter(|(_, watched)| guard.tried_if_absent(*watched));
        let states = absent.map(|(state, _)| state).chain(guard.values.iter().map(|value| value + 1));
        states.filter_map(move |state| Some(first? + state))
    }
}

impl Postings {
    fn new(tables: &Tables, rules: &[Entry]) -> Self {
        let guards = || rules.iter().map(|rule| (rule, rule.guards.first()));
        let states = States::new(tables, guards().filter_map(|(_, guard)| Some(guard?.attribute)).collect());
        let mut always = Vec::new();
        let mut listed = Vec::new();
        for (number, (rule, guard)) in (0..).zip(guards()) {
            match guard {
                Some(guard) => {
                    listed.extend(states.passing(guard, rule.watched).map(|state| (state, number)))
                }
                None => always.push(number),
            }
        }
        listed.sort_unstable();
        let below = |state: u32| listed.partition_point(|(other, _)| *other < state) as u32;
        Self {
            bounds: (0..states.count).map(|state| (below(state), below(state + 1))).collect(),
            rules: listed.iter().map(|(_, rule)| *rule).collect(),
            always: always.into(),
            states,
        }
    }

    /// By which states rules are found.
    pub(crate) fn states(&self) -> &States {
        &self.states
    }

    /// The rules to be tried in a state, in order.
    #[inline(always)]
    pub(crate) fn list(&self, state: u32) -> impl Iterator<Item = u32> {
        let (start, end) = self.bounds.get(state as usize).copied().unwrap_or_default();
        (start..end).map_while(|place| self.rules.get(place as usize).copied())
    }

    /// The rules to be tried in any case, in order.
    pub(crate) fn always(&self) -> &[u32] {
        &self.always
    }
}

impl Rows {
    fn states_of(tables: &Tables, rules: &[Entry]) -> States {
        States::new(tables, rules.iter().flat_map(|rule| &rule.guards).map(|guard| guard.attribute).collect())
    }

    fn bytes(tables: &Tables, rules: &[Entry]) -> usize {
        let rows = Self::states_of(tables, rules).count as usize;
        rows * rules.len().div_ceil(BLOCK_BITS) * size_of::<Block>()
    }

    fn new(tables: &Tables, rules: &[Entry]) -> Self {
        let states = Self::states_of(tables, rules);
        let width = rules.len().div_ceil(BLOCK_BITS);
        let set = |row: &mut [Block], rule: usize| {
            let block = row.get_mut(rule / BLOCK_BITS);
            if let Some(word) = block.and_then(|block| block.0.get_mut(rule / 64 % WORDS)) {
                *word |= 1 << (rule % 64);
            }
        };
        let mut blocks = Vec::new();
        for (attribute, _) in &states.attributes {
            let mut unguarded = vec![Block([0; WORDS]); width];
            let mut guarded = Vec::new();
            for (number, rule) in rules.iter().enumerate() {
                match rule.guards.iter().find(|guard| guard.attribute == *attribute) {
                    Some(guard) => guarded.push((number, guard, rule.watched)),
                    None => set(&mut unguarded, number),
                }
            }
            for _ in 0..States::height(tables, *attribute) {
                blocks.extend_from_slice(&unguarded);
            }
            for (number, guard, watched) in guarded {
                for row in states.passing(guard, watched).map(|state| state as usize * width) {
                    if let Some(row) = blocks.get_mut(row..row + width) {
                        set(row, number);
                    }
                }
            }
        }
        Self { states, width, blocks: blocks.into() }
    }

    /// By which states rules are found.
    pub(crate) fn states(&self) -> &States {
        &self.states
    }

    /// How many blocks a row has. Bit `b` of word `w` of block `k` stands for rule `512 * k + 64 * w + b`.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Says that rows will be read.
    #[inline(always)]
    pub(crate) fn prefetch(&self) {
        prefetch_pages(&self.blocks);
    }

    /// The rules of a block that no state rules out.
    #[inline]
    pub(crate) fn intersection(&self, states: &[u32], block: usize) -> [u64; WORDS] {
        let mut left = [u64::MAX; WORDS];
        for state in states {
            self.narrow(&mut left, *state, block);
        }
        left
    }

    /// Takes away the rules of a block, or of its first `N` words, that a state rules out.
    #[inline(always)]
    pub(crate) fn narrow<const N: usize>(&self, left: &mut [u64; N], state: u32, block: usize) {
        let Some(Block(words)) = self.blocks.get(state as usize * self.width + block) else { return };
        for (left, word) in left.iter_mut().zip(words) {
            *left &= word;
        }
    }
}
