//! Deadlines in a heap, cheap to move later: an owner keeps one entry, which is checked when it comes up.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

pub(crate) struct Timers<K> {
    heap: BinaryHeap<Reverse<(Instant, K)>>,
}

impl<K: Ord> Timers<K> {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new() }
    }

    /// Makes sure the owner comes up at `at` or before. `armed` is where the owner remembers its entry.
    ///
    /// A deadline that moved later costs nothing here: the earlier entry comes up, and its owner arms again.
    pub(crate) fn arm(&mut self, armed: &mut Option<Instant>, at: Instant, owner: K) {
        if armed.is_none_or(|earlier| at < earlier) {
            *armed = Some(at);
            self.heap.push(Reverse((at, owner)));
        }
    }

    /// The next entry that is due. It is stale if its owner is gone or remembers another time.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, K)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn one_entry_however_often_the_deadline_moves_later() {
        let start = Instant::now();
        let second = |n: u64| start + Duration::from_secs(n);
        let mut timers = Timers::new();
        let mut armed = None;
        for n in 5..1_000 {
            timers.arm(&mut armed, second(n), 'a');
        }
        assert_eq!(timers.heap.len(), 1);
        timers.arm(&mut armed, second(2), 'a');
        assert_eq!((timers.next(), armed), (Some(second(2)), Some(second(2))));
        assert_eq!(timers.pop_due(second(1)), None);
        assert_eq!(timers.pop_due(second(9)), Some((second(2), 'a')));
        assert_eq!(timers.pop_due(second(9)), Some((second(5), 'a')));
        assert_eq!(timers.pop_due(second(9)), None);
    }
}
