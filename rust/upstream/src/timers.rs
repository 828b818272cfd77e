//! Deadlines in a heap, cheap to move later: an owner keeps one entry, which is checked when it comes up.
//!
//! NOTE: an exchange on a connection that is used again arms nothing: its deadlines are later than the entry that is
//! there. So there is nothing that a timer wheel would make cheaper, and no system call either way.

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

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The naive twin looks through all deadlines each time.
        #[test]
        fn whoever_is_due_comes_up(
            steps in prop::collection::vec((0..4_usize, prop::option::of(0..50_u64), 0..20_u64), 1..100),
        ) {
            let mut now = Instant::now();
            let (mut timers, mut armed, mut deadlines) = (Timers::new(), [None; 4], [None; 4]);
            for (owner, moved_to, passed) in steps {
                // Its deadline moves, or it is gone and forgets its entry.
                deadlines[owner] = moved_to.map(|after| now + Duration::from_secs(after));
                match deadlines[owner] {
                    Some(at) => timers.arm(&mut armed[owner], at, owner),
                    None => armed[owner] = None,
                }
                now += Duration::from_secs(passed);
                let due: Vec<usize> =
                    (0..4).filter(|owner| deadlines[*owner].is_some_and(|at| at <= now)).collect();
                let next = deadlines.iter().flatten().min();
                prop_assert!(next.is_none_or(|next| timers.next().is_some_and(|at| at <= *next)), "overslept");
                let mut came_up = Vec::new();
                while let Some((at, owner)) = timers.pop_due(now) {
                    if armed[owner] != Some(at) {
                        continue;
                    }
                    armed[owner] = None;
                    match deadlines[owner] {
                        Some(deadline) if deadline > now => timers.arm(&mut armed[owner], deadline, owner),
                        Some(_) => {
                            deadlines[owner] = None;
                            came_up.push(owner);
                        }
                        None => {}
                    }
                }
                came_up.sort_unstable();
                prop_assert_eq!(came_up, due);
            }
        }
    }

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
