//! Circuit breakers: sequences of events and what they lead to.
#![allow(clippy::unwrap_used)]

#[path = "../../shared/tests/support/mod.rs"]
mod support;

use edgeroute_limits::{Breaker, BreakerSettings, BreakerState, Cells};
use proptest::prelude::*;
use support::{SMALL, TemporaryFile};

const START_MS: u64 = 1_795_000_000_000;

/// Events at seconds after the start: `x` a failure, `o` a success.
#[test]
fn sequences() {
    let check = |events: &[(char, u64)], second: u64, open: bool| {
        let cells = Cells::anonymous(SMALL).unwrap();
        let breaker = Breaker::new(&cells, "replica", BreakerSettings::default()).unwrap();
        for &(event, second) in events {
            match event {
                'x' => breaker.record_failure(&cells, START_MS + second * 1_000),
                _ => breaker.record_success(&cells),
            }
        }
        let now_ms = START_MS + second * 1_000;
        assert_eq!(breaker.is_open(&cells, now_ms), open, "{events:?} at {second}");
        assert_eq!(
            matches!(breaker.state(&cells, now_ms), BreakerState::Open { .. }),
            open,
            "{events:?} at {second}"
        );
    };
    check(&[], 0, false);
    check(&[('x', 0), ('x', 0)], 0, false);
    check(&[('x', 0), ('x', 1), ('x', 2)], 2, true);
    check(&[('x', 0), ('x', 1), ('x', 2)], 11, true);
    check(&[('x', 0), ('x', 1), ('x', 2)], 12, false);
    check(&[('x', 0), ('x', 0), ('o', 0), ('x', 0), ('x', 0)], 0, false);
    check(&[('x', 0), ('x', 0), ('x', 0), ('o', 1)], 1, false);
    check(&[('x', 0), ('x', 0), ('x', 0), ('o', 1), ('x', 1)], 1, false);
    check(&[('x', 0), ('x', 0), ('x', 0), ('x', 9)], 10, false);
    check(&[('x', 0), ('x', 0), ('x', 0), ('x', 10)], 19, true);
    check(&[('x', 0), ('x', 0), ('x', 0), ('x', 10), ('o', 11)], 12, false);
    check(&[('x', 86_400), ('x', 86_400), ('x', 86_400)], 0, false);
}

#[test]
fn all_workers_see_it() {
    let file = TemporaryFile::new();
    let ours = Cells::create(file.path(), SMALL).unwrap();
    let theirs = Cells::open(file.path()).unwrap();
    let [one, two] =
        [&ours, &theirs].map(|cells| Breaker::new(cells, "replica", BreakerSettings::default()).unwrap());
    one.record_failure(&ours, START_MS);
    two.record_failure(&theirs, START_MS);
    one.record_failure(&ours, START_MS);
    assert!(two.is_open(&theirs, START_MS));
    two.record_success(&theirs);
    assert!(!one.is_open(&ours, START_MS));
}

#[test]
fn failures_of_racing_workers_are_all_counted() {
    let cells = Cells::anonymous(SMALL).unwrap();
    let settings = BreakerSettings { failures: 40_000, open_ms: 10_000 };
    let breaker = Breaker::new(&cells, "replica", settings).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..9_999).for_each(|_| breaker.record_failure(&cells, START_MS)));
        }
    });
    (0..3).for_each(|_| breaker.record_failure(&cells, START_MS));
    assert!(!breaker.is_open(&cells, START_MS));
    breaker.record_failure(&cells, START_MS);
    assert!(breaker.is_open(&cells, START_MS));
    (0..70_000).for_each(|_| breaker.record_failure(&cells, START_MS));
    assert!(breaker.is_open(&cells, START_MS), "the count saturates");
}

proptest! {
    /// The naive twin keeps the number and the time in variables.
    #[test]
    fn it_does_what_the_rules_say(events in prop::collection::vec((0..3_u8, 0..6_000_u64), 0..60)) {
        let cells = Cells::anonymous(SMALL).unwrap();
        let breaker = Breaker::new(&cells, "replica", BreakerSettings::default()).unwrap();
        let (mut failures, mut open_until, mut now) = (0, 0, START_MS);
        for (event, pause) in events {
            now += pause;
            prop_assert_eq!(breaker.is_open(&cells, now), now < open_until);
            if event == 0 {
                breaker.record_success(&cells);
                (failures, open_until) = (0, 0);
            } else {
                breaker.record_failure(&cells, now);
                failures += 1;
                if failures >= 3 && now >= open_until {
                    open_until = now + 10_000;
                }
            }
        }
    }
}

#[test]
fn states_to_be_shown() {
    let cells = Cells::anonymous(SMALL).unwrap();
    let breaker = Breaker::new(&cells, "replica", BreakerSettings::default()).unwrap();
    let check = |second: u64, expected: BreakerState| {
        assert_eq!(breaker.state(&cells, START_MS + second * 1_000), expected, "at {second}");
    };
    check(0, BreakerState::Closed);
    (0..2).for_each(|_| breaker.record_failure(&cells, START_MS));
    check(0, BreakerState::Closed);
    breaker.record_failure(&cells, START_MS);
    check(0, BreakerState::Open { left_ms: 10_000 });
    check(9, BreakerState::Open { left_ms: 1_000 });
    check(10, BreakerState::HalfOpen);
    breaker.record_failure(&cells, START_MS + 11_000);
    check(12, BreakerState::Open { left_ms: 9_000 });
    breaker.record_success(&cells);
    check(12, BreakerState::Closed);
}
