//! Execution of rule sets. Conditions become circuits over predicates that all rules share ([`circuit`],
//! [`predicates`]), circuits become flat code ([`code`]) over values that are read and looked up once ([`slots`],
//! [`constants`]), and an [`index`] built from necessary conditions ([`guards`]) tells which rules are worth running.
//!
//! The general evaluator defines what a condition means; the engine only finds the rules that it agrees with sooner.
//! What the engine has no code for it asks the evaluator, at most once per pass. So does it for the reason of an
//! error, which it knows to exist but not to name.

mod circuit;
mod code;
mod constants;
mod guards;
mod index;
mod predicates;
mod slots;
mod summary;

pub use crate::engine::index::Strategy;
pub(crate) use crate::engine::slots::Slots;
pub use crate::engine::summary::{RuleSummary, Summary};

use edgeroute_simd::prefetch;

use crate::engine::circuit::{Rails, rails};
use crate::engine::code::{Routine, emit, fits};
use crate::engine::guards::guards;
use crate::engine::index::{BLOCK_BITS, Entry, FEW_RULES, Index, Postings, Rows, States};
use crate::engine::predicates::{Failure, Predicates, Tables};
use crate::evaluate::Source;
use crate::program::{Attribute, Node};
use crate::types::Type;

/// No rule.
const NONE: u32 = u32::MAX;
/// For the states of so many attributes a search allocates nothing.
const FEW: usize = 16;
/// The constants of so many attributes are prefetched.
const FEW_ATTRIBUTES: usize = 8;
/// Bytes of memory that a line of the page table tells of: eight pages.
const MAPPED: usize = 8 << 12;

/// The rules of a set, ready to be searched.
#[derive(Debug)]
pub(crate) struct Engine {
    tables: Tables,
    rules: Box<[Rule]>,
    /// Whether each is refuted, which is asked of watched rules only.
    refuted: Box<[Routine]>,
    index: Index,
    entries: Box<[Entry]>,
}

/// A rule: a cache line.
#[derive(Debug)]
#[repr(align(64))]
struct Rule {
    holds: Routine,
    /// As in [`Entry`].
    watched: [bool; 2],
    /// Whether it ends the search if it fails.
    stops: bool,
}

const _: () = assert!(size_of::<Rule>() == 64, "rules are cache lines");

/// Compiles rules one by one.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    predicates: Predicates,
    rules: Vec<(Rails, bool)>,
    entries: Vec<Entry>,
}

/// The rule that ended a search.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) rule: u32,
    /// Whether it did so by failing.
    pub(crate) fails: bool,
}

impl Builder {
    /// Adds a rule. With a scope, an attribute and a text, it takes part only where the attribute is that text.
    /// `None` if the rule is too long or rules read too many attributes, which limits on sources exclude.
    pub(crate) fn add<'t>(
        &mut self,
        source: &str,
        condition: &Node,
        scope: Option<(usize, &str)>,
        stops: bool,
        declared: impl Fn(usize) -> Option<&'t Type>,
    ) -> Option<()> {
        let scope = match scope {
            Some((attribute, text)) => Some(self.predicates.is_text(attribute, text)?),
            None => None,
        };
        let rails = rails(&mut self.predicates, source, condition, scope, declared);
        if !fits(&rails.holds) || !fits(&rails.refuted) {
            return None;
        }
        let watched = [rails.failure == Failure::Possible, rails.failure != Failure::Never]
            .map(|may_fail| stops || may_fail);
        self.entries.push(Entry { guards: guards(&self.predicates, &rails), watched });
        self.rules.push((rails, stops));
        Some(())
    }

    /// Makes the index and writes the code. `attributes` are those that the rules read.
    pub(crate) fn finish(mut self, attributes: &[Attribute], strategy: Option<Strategy>) -> Engine {
        let tables = self.predicates.finish(attributes);
        index::rarest_first(&tables, &mut self.entries);
        let strategy = strategy.unwrap_or_else(|| index::choose(&tables, &self.entries));
        if strategy == Strategy::Hash {
            index::spare_attributes(&tables, &mut self.entries);
        }
        let index = Index::new(strategy, &tables, &self.entries);
        let (mut rules, mut refuted) = (Vec::new(), Vec::new());
        for ((rails, stops), entry) in self.rules.into_iter().zip(&self.entries) {
            let holds = rails.holds.with_last(|attribute| index.has_tested(entry, attribute));
            rules.push(Rule { holds: emit(&holds, attributes), watched: entry.watched, stops });
            refuted.push(emit(&rails.refuted, attributes));
        }
        Engine { tables, rules: rules.into(), refuted: refuted.into(), index, entries: self.entries.into() }
    }
}

impl Engine {
    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Finds the first rule that holds, or that fails and stops, of those not in `except`. Into `failed` come the rules
    /// before it that cannot be evaluated, in order. They may lack what they read, and no more.
    ///
    /// NOTE: inlined, 10 rules take 38 ns instead of 42.
    #[inline(always)]
    pub(crate) fn search<S: Source>(
        &self,
        slots: &mut Slots<'_, S>,
        typed: bool,
        except: &[usize],
        failed: &mut Vec<u32>,
    ) -> Option<Found> {
        let mut search = Search { engine: self, slots, except, typed, first: NONE, fails: false, failed };
        match &self.index {
            Index::Scan => search.walk_all(),
            Index::Hash(postings) => search.walk_lists(postings),
            Index::Bits(rows) if self.rules.len() <= FEW_RULES => search.walk_few(rows),
            Index::Bits(rows) => {
                self.prefetch(rows);
                search.walk_rows(rows);
            }
        }
        let Search { first, fails, .. } = search;
        if !failed.is_empty() {
            failed.retain(|rule| *rule < first);
            failed.sort_unstable();
        }
        (first != NONE).then_some(Found { rule: first, fails })
    }

    /// Says what a search through rows is going to read.
    ///
    /// NOTE: memory answers while the code of the search is still on its way: of 1,000 rules the first match takes a
    /// tenth less where caches are cold, and 4 ns more where they are warm.
    #[inline(always)]
    fn prefetch(&self, rows: &Rows) {
        prefetch(self.tables.constants.chunks(FEW_ATTRIBUTES).next().unwrap_or_default());
        rows.prefetch();
        prefetch_pages(&self.rules);
    }
}

/// Says that any of these values may be read: has the page table's lines fetched that tell where they are, of the first
/// 256 kB.
#[inline(always)]
fn prefetch_pages<T>(values: &[T]) {
    const LINES: usize = 8;
    for part in values.chunks(MAPPED / size_of::<T>()).take(LINES) {
        prefetch(part.get(..1).unwrap_or_default());
    }
}

/// A search under way.
struct Search<'s, 'a, S> {
    engine: &'s Engine,
    slots: &'s mut Slots<'a, S>,
    except: &'s [usize],
    typed: bool,
    /// The first rule so far that ends the search.
    first: u32,
    fails: bool,
    failed: &'s mut Vec<u32>,
}

impl<S: Source> Search<'_, '_, S> {
    fn walk_all(&mut self) {
        for (number, rule) in (0..).zip(&self.engine.rules) {
            if self.ends_with(number, rule) {
                break;
            }
        }
    }

    /// Lists are in no order among themselves, so each is followed up to the first rule found so far.
    fn walk_lists(&mut self, postings: &Postings) {
        let (mut few, mut many) = ([0; FEW], Vec::new());
        for state in self.states(postings.states(), &mut few, &mut many) {
            self.walk_list(postings.list(*state));
        }
        self.walk_list(postings.always().iter().copied());
    }

    #[inline(always)]
    fn walk_list(&mut self, rules: impl Iterator<Item = u32>) {
        for rule in rules {
            if rule >= self.first || self.ends_at(rule) {
                break;
            }
        }
    }

    fn walk_few(&mut self, rows: &Rows) {
        let left = self.slots.intersection(rows, self.typed);
        self.try_rules(&left, 0);
    }

    fn walk_rows(&mut self, rows: &Rows) {
        let (mut few, mut many) = ([0; FEW], Vec::new());
        let states = self.states(rows.states(), &mut few, &mut many);
        for block in 0..rows.width() {
            if self.try_rules(&rows.intersection(states, block), (BLOCK_BITS * block) as u32) {
                return;
            }
        }
    }

    /// Tries the rules that bits stand for. Whether one ends the search.
    ///
    /// NOTE: code that is there once, not for each word: of 1,000 rules the first match takes 79 ns instead of 88, and
    /// 5 % less where caches are cold, which wait for each line of code.
    #[inline(never)]
    fn try_rules(&mut self, words: &[u64], first: u32) -> bool {
        for (left, first) in words.iter().zip((first..).step_by(64)) {
            let mut left = *left;
            while left != 0 {
                if self.ends_at(first + left.trailing_zeros()) {
                    return true;
                }
                left &= left - 1;
            }
        }
        false
    }

    /// The states that decide which rules are tried, in one of the two rooms for them.
    ///
    /// NOTE: a `SmallVec` would be moved after it was filled: 10 rules took 47 ns instead of 41, 1,000 took 120 ns
    /// instead of 110.
    #[inline(always)]
    fn states<'f>(&mut self, states: &States, few: &'f mut [u32; FEW], many: &'f mut Vec<u32>) -> &'f [u32] {
        let found = match few.get_mut(..states.len()) {
            Some(few) => few,
            None => {
                many.resize(states.len(), 0);
                many
            }
        };
        self.slots.read(states, self.typed, found);
        found
    }

    /// Tries a rule. Whether it ends the search.
    #[inline(never)]
    fn ends_at(&mut self, number: u32) -> bool {
        self.engine.rules.get(number as usize).is_some_and(|rule| self.ends_with(number, rule))
    }

    #[inline(always)]
    fn ends_with(&mut self, number: u32, rule: &Rule) -> bool {
        let holds = rule.holds.run(|step| self.slots.holds(step));
        let [of_typed, of_others] = rule.watched;
        let watched = if self.typed { of_typed } else { of_others };
        if holds && self.except.is_empty() {
            return self.end(number, false);
        }
        (holds || watched) && self.takes(number, holds, rule.stops)
    }

    /// Whether a rule that holds, or else is watched, ends the search.
    #[inline(never)]
    fn takes(&mut self, number: u32, holds: bool, stops: bool) -> bool {
        if !holds && !self.fails(number) || self.except.contains(&(number as usize)) {
            return false;
        }
        if holds || stops {
            return self.end(number, !holds);
        }
        self.failed.push(number);
        false
    }

    #[inline(always)]
    fn end(&mut self, number: u32, fails: bool) -> bool {
        self.first = number;
        self.fails = fails;
        true
    }

    /// Whether a rule that does not hold is not refuted either.
    fn fails(&mut self, number: u32) -> bool {
        let refuted = self.engine.refuted.get(number as usize);
        refuted.is_some_and(|routine| !routine.run(|step| self.slots.holds(step)))
    }
}
