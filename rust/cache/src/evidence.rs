//! May an answer be served to a question that only means the same? What was seen when such questions went to the model
//! all the same and its answers were compared.
//!
//! After vCache (Schroeder et al., "vCache: Verified Semantic Prompt Caching", 2025): each entry has evidence of its
//! own, because how near a question must be differs from entry to entry, and there is always some chance that a
//! question goes to the model, so that evidence keeps coming. There a curve is fitted to each entry. Here nothing is
//! fitted: an entry's own record (how often its answer was right at this similarity or below since it was last wrong,
//! and whether it was ever wrong at this similarity or above) is a row, the similarity is a column, and each cell
//! counts how answers fared that entries *with that record* would have given *at that similarity*, whichever entry it
//! was. So the chance that the next answer is right is a plain share of equals, with an exact bound ([`Tally`]), and an
//! entry needs a few observations instead of three hundred. A cell serves only while the lower bound of its share is
//! above 1 − δ.
//!
//! A cell that is proven speaks for those with a longer record or a nearer question too, unless their own evidence
//! refutes it.
//!
//! Drift: a cell forgets by number and by age, and when its latest observations break the promise it forgets all before
//! them. An entry whose answer was wrong starts again in a row of its own kind. And the chance that a question goes to
//! the model although its answer could be served rises with each such answer that would have been wrong, and falls with
//! each that would have been right, each counted for as many as were served meanwhile, so that in the long run half of
//! δ are wrong at most, however answers change (after Gibbs and Candès, "Adaptive Conformal Inference Under
//! Distribution Shift", 2021).

mod bounds;

pub use bounds::Tally;

use crate::compare::Verdict;

/// The share of served answers that may be wrong.
pub const DELTA: f64 = 0.01;
/// The chance of taking a cell for better than it is.
pub const DOUBT: f64 = 0.05;
/// The least chance that a question goes to the model where its answer could be served.
pub const EXPLORE: f64 = 0.05;

/// Where the columns begin.
pub const SIMILARITIES: [f32; COLUMNS] = [0.0, 0.85, 0.90, 0.93, 0.95, 0.97, 0.98, 0.99];
/// What entries of a row have behind them: times they were right, never wrong or since they were last.
pub const RECORDS: [&str; ROWS] =
    ["0", "1", "2-3", "4-7", "8-15", "16+", "wrong, 0-3", "wrong, 4-15", "wrong, 16+"];

const COLUMNS: usize = 8;
const ROWS: usize = 9;
const ROWS_NEVER_WRONG: usize = 6;
const CELLS: usize = ROWS * COLUMNS;

/// So many observations a cell remembers.
const MEMORY: f64 = 2_000.0;
/// So many are its latest.
const RECENT: f64 = 64.0;
/// The greatest. Cells that break the promise stop serving anyway.
const EXPLORE_MOST: f64 = 0.6;
/// By so much more is explored after an answer that could have been served and was wrong, at the least chance of it.
const EXPLORE_STEP: f64 = 0.2;
/// So many of those that are served may be wrong without exploring more.
const TARGET: f64 = DELTA / 2.0;
/// The chance of taking a cell for worse than it is by its latest observations.
const CONTRADICTION_DOUBT: f64 = 0.01;
/// Evidence of this age counts half.
const HALF_LIFE_S: f64 = 7.0 * 86_400.0;

/// What was seen of one entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EntryEvidence {
    /// By similarity, since the entry was last wrong there or above.
    right: [u8; COLUMNS],
    wrong: [u8; COLUMNS],
}

/// What an entry has behind it, at some similarity: one of [`RECORDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record(u8);

/// What was seen of the entries of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    cells: [Cell; CELLS],
    standing: [Standing; CELLS],
    explore: f64,
}

/// One cell with something in it, for reports.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Similarities from here to the next of [`SIMILARITIES`].
    pub similarity: f32,
    /// One of [`RECORDS`].
    pub record: &'static str,
    /// What counts of what was seen; what is old counts less.
    pub seen: Tally,
    /// Comparisons that told nothing.
    pub unknown: f64,
    /// The lower bound of the share that is right.
    pub lower_bound: f64,
    /// Whether answers are served.
    pub serving: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Cell {
    all: Tally,
    recent: Tally,
    unknown: f64,
    observed_s: u32,
}

/// What the evidence of a cell says.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Standing {
    /// The promise is kept.
    proven: bool,
    /// The promise is broken.
    refuted: bool,
}

impl EntryEvidence {
    /// What speaks for and against its answer, for a question of this similarity.
    pub fn record(&self, similarity: f32) -> Record {
        let column = column(similarity);
        let sum = |counts: &[u8]| counts.iter().map(|count| u32::from(*count)).sum::<u32>();
        // What was right for a remoter question speaks for a nearer one, what was wrong for a nearer one against it.
        let right = sum(self.right.get(..=column).unwrap_or_default());
        let was_wrong = sum(self.wrong.get(column..).unwrap_or_default()) > 0;
        Record(match (was_wrong, right) {
            (false, 0) => 0,
            (false, 1) => 1,
            (false, 2..4) => 2,
            (false, 4..8) => 3,
            (false, 8..16) => 4,
            (false, 16..) => 5,
            (true, 0..4) => 6,
            (true, 4..16) => 7,
            (true, 16..) => 8,
        })
    }

    /// Notes how its answer would have fared.
    pub fn observe(&mut self, similarity: f32, verdict: Verdict) {
        let column = column(similarity);
        match verdict {
            Verdict::Unknown => {}
            Verdict::Correct => {
                if let Some(count) = self.right.get_mut(column) {
                    *count = count.saturating_add(1);
                }
            }
            Verdict::Wrong => {
                if let Some(count) = self.wrong.get_mut(column) {
                    *count = count.saturating_add(1);
                }
                self.right.iter_mut().take(column + 1).for_each(|count| *count = 0);
            }
        }
    }
}

impl Record {
    /// Its place in [`RECORDS`].
    pub fn index(self) -> u8 {
        self.0
    }

    /// The one at this place.
    pub fn from_index(index: u8) -> Option<Self> {
        (usize::from(index) < ROWS).then_some(Self(index))
    }

    fn cell(self, similarity: f32) -> usize {
        usize::from(self.0) * COLUMNS + column(similarity)
    }
}

impl Default for Evidence {
    fn default() -> Self {
        Self { cells: [Cell::default(); CELLS], standing: [Standing::default(); CELLS], explore: EXPLORE }
    }
}

impl Evidence {
    /// Whether the entry's answer may be served to a question of this similarity. `draw` is random, from 0 to 1.
    pub fn may_serve(&self, entry: &EntryEvidence, similarity: f32, draw: f64) -> bool {
        draw >= self.explore && self.serves(entry.record(similarity).cell(similarity))
    }

    /// Whether there is a similarity and a record with which answers are served.
    pub fn is_serving(&self) -> bool {
        (0..CELLS).any(|cell| self.serves(cell))
    }

    /// Notes how the answer of an entry with this record would have fared. Until something is known of the entry itself,
    /// what is not known to be right counts as wrong: its answers may be such as nobody can compare.
    pub fn observe(&mut self, record: Record, similarity: f32, verdict: Verdict, now_s: u32) {
        let cell = record.cell(similarity);
        let (right, wrong) = match verdict {
            Verdict::Correct => (1.0, 0.0),
            Verdict::Wrong => (0.0, 1.0),
            Verdict::Unknown if cell < COLUMNS => (0.0, 1.0),
            Verdict::Unknown => (0.0, 0.0),
        };
        if self.serves(cell) {
            // It stands for as many as were served for each that was explored.
            let stands_for = (1.0 - self.explore) / self.explore * EXPLORE / (1.0 - EXPLORE);
            let change = EXPLORE_STEP * stands_for * (wrong - right * TARGET / (1.0 - TARGET));
            self.explore = (self.explore + change).clamp(EXPLORE, EXPLORE_MOST);
        }
        if let Some(cell) = self.cells.get_mut(cell) {
            cell.unknown += f64::from(u8::from(verdict == Verdict::Unknown));
            cell.observe(Tally { right, wrong }, now_s);
        }
        self.judge(cell);
    }

    /// The cells that have seen something, by record and similarity.
    pub fn report(&self) -> Vec<Line> {
        let labels = RECORDS.iter().flat_map(|record| SIMILARITIES.iter().map(move |from| (record, from)));
        let lines =
            self.cells.iter().enumerate().zip(labels).map(|((number, cell), (record, similarity))| {
                let Cell { all, unknown, .. } = *cell;
                let (lower_bound, serving) = (all.lower_bound(DOUBT), self.serves(number));
                Line { similarity: *similarity, record, seen: all, unknown, lower_bound, serving }
            });
        lines.filter(|line| line.seen.right + line.seen.wrong + line.unknown > 0.0).collect()
    }

    /// Judges a cell by what it has seen.
    fn judge(&mut self, cell: usize) {
        let Some((seen, standing)) = self.cells.get_mut(cell).zip(self.standing.get_mut(cell)) else {
            return;
        };
        let contradicted = seen.recent.is_below(1.0 - DELTA, CONTRADICTION_DOUBT);
        *standing = Standing {
            proven: !contradicted && seen.all.is_above(1.0 - DELTA, DOUBT),
            refuted: contradicted || seen.all.is_below(1.0 - DELTA, DOUBT),
        };
        if contradicted {
            seen.all = seen.recent;
        }
    }

    /// Whether a cell serves: it is proven, or one is that it is no worse than.
    fn serves(&self, cell: usize) -> bool {
        let (row, column) = (cell / COLUMNS, cell % COLUMNS);
        let first_row = if row < ROWS_NEVER_WRONG { 0 } else { ROWS_NEVER_WRONG };
        let refuted = self.standing.get(cell).is_none_or(|standing| standing.refuted);
        let proven = |row| {
            self.standing
                .get(row * COLUMNS..=row * COLUMNS + column)
                .is_some_and(|cells| cells.iter().any(|cell| cell.proven))
        };
        !refuted && (first_row..=row).any(proven)
    }
}

impl Cell {
    fn observe(&mut self, seen: Tally, now_s: u32) {
        let age_s = f64::from(now_s.saturating_sub(self.observed_s));
        let aged = if self.observed_s == 0 { 1.0 } else { (-age_s / HALF_LIFE_S).exp2() };
        self.observed_s = now_s;
        self.unknown *= aged;
        self.all = self.all.faded(aged);
        self.recent = self.recent.faded(aged);
        if seen != Tally::default() {
            self.all = self.all.faded(1.0 - 1.0 / MEMORY).and(seen);
            self.recent = self.recent.faded(1.0 - 1.0 / RECENT).and(seen);
        }
    }
}

impl Tally {
    fn faded(self, to: f64) -> Self {
        Self { right: self.right * to, wrong: self.wrong * to }
    }

    fn and(self, other: Self) -> Self {
        Self { right: self.right + other.right, wrong: self.wrong + other.wrong }
    }
}

fn column(similarity: f32) -> usize {
    SIMILARITIES.iter().rposition(|from| similarity >= *from).unwrap_or(0)
}
