//! Comparisons that only a model can make, after the answer was given. There are few of them, whatever the traffic: each
//! costs as much as a request.

use std::collections::VecDeque;
use std::sync::Arc;

use edgeroute_cache::Verdict;
use edgeroute_router::Judge;
use parking_lot::Mutex;

use crate::inquiry::{Purpose, Told};
use crate::recall::{Comparison, add, random};
use crate::snapshot::Loaded;
use crate::worker::{Core, unix_ms};

/// So many comparisons are under way at a time.
const MOST_ASKED: usize = 2;
/// So many wait.
const MOST_WAITING: usize = 16;
/// So many begin in a minute.
const MOST_A_MINUTE: u32 = 60;
/// Longer answers are not compared, in bytes.
const LONGEST_ANSWER: usize = 8 << 10;

/// The comparisons of a worker.
#[derive(Default)]
pub(crate) struct Judgements(Mutex<Open>);

#[derive(Default)]
struct Open {
    waiting: VecDeque<Undecided>,
    asked: usize,
    /// In this minute since 1970, so many have begun.
    begun: (u64, u32),
}

/// Two answers of which nobody could tell whether they say the same.
pub(crate) struct Undecided {
    comparison: Comparison,
    stored: String,
    judge: Arc<Judge>,
    loaded: Arc<Loaded>,
}

impl Undecided {
    /// What there is to decide, if the model has a judge.
    pub(crate) fn new(comparison: Comparison, stored: String) -> Result<Self, Comparison> {
        match comparison.fresh.judge.clone() {
            Some((judge, loaded)) => Ok(Self { comparison, stored, judge, loaded }),
            None => Err(comparison),
        }
    }
}

impl Judgements {
    /// Has a judge asked about it, with the next [`Core::judge`]; not if there are too many, or they are too long.
    pub(crate) fn wait(&self, undecided: Undecided) -> Result<(), Comparison> {
        let mut open = self.0.lock();
        let longest = undecided.stored.len().max(undecided.comparison.fresh.said.len());
        if open.waiting.len() >= MOST_WAITING || longest > LONGEST_ANSWER {
            return Err(undecided.comparison);
        }
        open.waiting.push_back(undecided);
        Ok(())
    }

    /// One that may be asked about now.
    fn next(&self) -> Option<Undecided> {
        let mut open = self.0.lock();
        if open.waiting.is_empty() || open.asked >= MOST_ASKED {
            return None;
        }
        let minute = unix_ms() / 60_000;
        if open.begun == (minute, MOST_A_MINUTE) {
            return None;
        }
        let next = open.waiting.pop_front()?;
        open.asked += 1;
        open.begun = (minute, if open.begun.0 == minute { open.begun.1 + 1 } else { 1 });
        Some(next)
    }
}

impl Core {
    /// Asks judges about what waits, as far as may be.
    pub(crate) fn judge(&self) {
        while let Some(undecided) = self.cache.judgements.next() {
            let Undecided { comparison, stored, judge, loaded } = undecided;
            let body = judge.ask(&stored, &comparison.fresh.said, random());
            let (target, operation) = (judge.target, judge.operation);
            let purpose = Purpose::Verdict(comparison, judge);
            if let Err(Purpose::Verdict(comparison, judge)) =
                self.inquire(&loaded, target, operation, body, purpose)
            {
                self.take_verdict(&comparison, &judge, Err("none of its replicas takes requests".into()));
            }
        }
    }

    /// Takes what a judge has said, or why it has not.
    pub(crate) fn take_verdict(&self, comparison: &Comparison, judge: &Judge, told: Told) {
        {
            let mut open = self.cache.judgements.0.lock();
            open.asked = open.asked.saturating_sub(1);
        }
        let verdict = told.map(|reply| Judge::verdict(&reply));
        let result = match verdict {
            Ok(Verdict::Correct) => "yes",
            Ok(Verdict::Wrong) => "no",
            Ok(Verdict::Unknown) => "unclear",
            Err(_) => "failed",
        };
        let cells = self.row.cells();
        add(cells, &format!("edgeroute_cache_judgements_total{{result={result:?}}}"), 1);
        let verdict = verdict.unwrap_or_else(|why| {
            self.warn_of("judge", &judge.name, &why);
            Verdict::Unknown
        });
        self.cache.note(&comparison.observed, verdict, cells);
    }
}
