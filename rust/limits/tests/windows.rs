//! Rate windows against a naive count: in one process, over threads, over processes, and after a kill.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "../../shared/tests/support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Instant;

use edgeroute_limits::{Cells, Error, Exceeded, Owner, Reservation, Row, Window, reap};
use proptest::prelude::*;
use support::{SMALL, TemporaryFile, spawn, spawned_on, wait_until};

const MINUTE_MS: u64 = 60_000;
const NOW_MS: u64 = 1_795_000_000_123;
const WORKER: Owner = Owner { pid: 1, started: 1 };
const DEAD: Owner = Owner { pid: 2, started: 2 };
const REAPER: Owner = Owner { pid: 3, started: 3 };

fn memory() -> (Cells, Row) {
    let cells = Cells::anonymous(SMALL).unwrap();
    let row = cells.claim_row(WORKER).unwrap();
    (cells, row)
}

fn dead_now(owner: Owner) -> bool {
    owner != DEAD
}

#[test]
fn a_window_admits_up_to_its_limit_and_begins_anew() {
    let (cells, row) = memory();
    let window = Window::new(&cells, "tokens", 100, MINUTE_MS).unwrap();
    let start = NOW_MS / MINUTE_MS * MINUTE_MS;
    window.try_reserve(&row, 60, start).unwrap().settle(&row, 60);
    let refused = window.try_reserve(&row, 41, start + 59_000).unwrap_err();
    assert_eq!(refused, Exceeded { amount: 41, limit: 100, used: 60, retry_after_ms: 1_000 });
    assert!(!refused.is_never_possible());
    window.try_reserve(&row, 40, start + 59_999).unwrap().settle(&row, 40);
    assert_eq!(window.used_percent(&cells, start + 59_999), 100.0);
    window.try_reserve(&row, 0, start + 59_999).unwrap().settle(&row, 0);

    assert_eq!(window.used_percent(&cells, start + 60_000), 0.0);
    window.try_reserve(&row, 100, start + 60_000).unwrap().settle(&row, 100);
    let refused = window.try_reserve(&row, 101, start + 60_000).unwrap_err();
    assert!(refused.is_never_possible());
}

#[test]
fn settling_corrects_what_was_reserved() {
    let check = |reserved: u64, actual: u64, used: u64| {
        for before in [0, 100] {
            let (cells, row) = memory();
            let window = Window::new(&cells, "tokens", 1_000, MINUTE_MS).unwrap();
            window.try_reserve(&row, before, NOW_MS).unwrap().settle(&row, before);
            window.try_reserve(&row, reserved, NOW_MS).unwrap().settle(&row, actual);
            let expected = (before + used).min((1 << 40) - 1);
            assert_eq!(
                window.used(&cells, NOW_MS),
                expected,
                "{before}, then {reserved} settled as {actual}"
            );
            assert_eq!(cells.gauge_total(cells.gauge("tokens", cells.exact("tokens").ok()).unwrap()), 0);
        }
    };
    check(50, 50, 50);
    check(50, 20, 20);
    check(50, 0, 0);
    check(0, 30, 30);
    check(900, 5_000, 5_000);
    check(1, u64::MAX, (1 << 40) - 1);
}

#[test]
fn what_is_settled_after_its_window_changes_nothing() {
    let (cells, row) = memory();
    let window = Window::new(&cells, "tokens", 100, MINUTE_MS).unwrap();
    let later = NOW_MS + MINUTE_MS;
    let late = [10, 20, 30].map(|amount| window.try_reserve(&row, amount, NOW_MS).unwrap());
    window.try_reserve(&row, 7, later).unwrap().settle(&row, 7);
    for (reservation, actual) in late.into_iter().zip([0, 20, 90]) {
        reservation.settle(&row, actual);
        assert_eq!(window.used(&cells, later), 7);
    }
    let own = window.try_reserve(&row, 5, later).unwrap();
    assert_eq!(window.used(&cells, later), 12);
    own.settle(&row, 0);
    assert_eq!(window.used(&cells, later), 7);
}

#[test]
fn clocks_that_disagree() {
    let check = |first_ms: u64, second_ms: u64, used_at_second: u64| {
        let (cells, row) = memory();
        let window = Window::new(&cells, "tokens", 100, MINUTE_MS).unwrap();
        window.try_reserve(&row, 60, first_ms).unwrap().settle(&row, 60);
        assert_eq!(window.used(&cells, second_ms), used_at_second, "{first_ms} then {second_ms}");
        let second = window.try_reserve(&row, 50, second_ms);
        assert_eq!(second.is_ok(), used_at_second == 0, "{first_ms} then {second_ms}");
        if let Err(refused) = second {
            assert_eq!(first_ms / MINUTE_MS, (second_ms + refused.retry_after_ms) / MINUTE_MS - 1);
        }
    };
    let border = NOW_MS / MINUTE_MS * MINUTE_MS;
    check(border, border, 60);
    check(border, border + MINUTE_MS - 1, 60);
    check(border, border - 1, 60);
    check(border, border - MINUTE_MS, 60);
    check(border, border - MINUTE_MS - 1, 0);
    check(border, border - 1_000 * MINUTE_MS, 0);
    check(border, border + MINUTE_MS, 0);
    check((1 << 24) * MINUTE_MS, (1 << 24) * MINUTE_MS - 1, 60);
}

#[test]
fn limits_that_cannot_be() {
    let cells = Cells::anonymous(SMALL).unwrap();
    let row = cells.claim_row(WORKER).unwrap();
    assert!(matches!(Window::new(&cells, "much", 1 << 40, 1), Err(Error::TooLarge { .. })));
    assert!(matches!(Window::new(&cells, "short", 1, 0), Err(Error::NoPeriod { .. })));
    assert!(matches!(Window::new(&cells, "", 1, 1), Err(Error::Cells(_))));
    let nothing = Window::new(&cells, "nothing", 0, MINUTE_MS).unwrap();
    assert_eq!(nothing.used_percent(&cells, NOW_MS), 100.0);
    assert!(nothing.try_reserve(&row, 1, NOW_MS).unwrap_err().is_never_possible());
    let most = Window::new(&cells, "most", (1 << 40) - 1, MINUTE_MS).unwrap();
    most.try_reserve(&row, (1 << 40) - 1, NOW_MS).unwrap().settle(&row, u64::MAX);
    assert!(most.try_reserve(&row, u64::MAX, NOW_MS).unwrap_err().is_never_possible());
    assert!(most.try_reserve(&row, 1, u64::MAX).is_ok());
}

#[derive(Clone, Debug)]
enum Step {
    Reserve { row: usize, amount: u64 },
    Settle { which: prop::sample::Index, actual: u64 },
    Wait { ms: u64 },
    Kill { row: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_usize, 0..60_u64).prop_map(|(row, amount)| Step::Reserve { row, amount }),
        5 => (any::<prop::sample::Index>(), 0..80_u64).prop_map(|(which, actual)| Step::Settle { which, actual }),
        2 => (0..1_500_u64).prop_map(|ms| Step::Wait { ms }),
        1 => (0..4_usize).prop_map(|row| Step::Kill { row }),
    ]
}

struct Open {
    row: usize,
    window: u64,
    amount: u64,
    reservation: Reservation,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// The naive twin remembers every reservation and adds them up.
    #[test]
    fn windows_count_like_a_list(limit in 0..300_u64, steps in prop::collection::vec(step(), 0..120)) {
        const SECOND_MS: u64 = 1_000;
        let cells = Cells::anonymous(SMALL).unwrap();
        let mut rows = [0; 4].map(|_| cells.claim_row(WORKER).unwrap());
        let window = Window::new(&cells, "tokens", limit, SECOND_MS).unwrap();
        let mut now_ms = NOW_MS;
        let mut settled: HashMap<u64, u64> = HashMap::new();
        let mut open: Vec<Open> = Vec::new();
        for step in steps {
            let current = now_ms / SECOND_MS;
            let reserved: u64 =
                open.iter().filter(|open| open.window == current).map(|open| open.amount).sum();
            let used = settled.get(&current).copied().unwrap_or_default() + reserved;
            prop_assert_eq!(window.used(&cells, now_ms), used);
            match step {
                Step::Wait { ms } => now_ms += ms,
                Step::Reserve { row, amount } => match window.try_reserve(&rows[row], amount, now_ms) {
                    Ok(reservation) => {
                        prop_assert!(used + amount <= limit);
                        open.push(Open { row, window: current, amount, reservation });
                    }
                    Err(refused) => {
                        prop_assert!(used + amount > limit);
                        prop_assert_eq!(refused.used, used);
                        prop_assert_eq!((now_ms + refused.retry_after_ms) % SECOND_MS, 0);
                    }
                },
                Step::Settle { which, actual } if !open.is_empty() => {
                    let Open { row, window, reservation, .. } = open.swap_remove(which.index(open.len()));
                    reservation.settle(&rows[row], actual);
                    *settled.entry(window).or_default() += actual;
                }
                Step::Settle { .. } => {}
                Step::Kill { row } => {
                    open.retain(|open| open.row != row);
                    let replacement = cells.claim_row(WORKER).unwrap();
                    // A row dropped while it holds something is reaped like one whose owner died.
                    drop(std::mem::replace(&mut rows[row], replacement));
                    reap(&cells, REAPER, |_| true).unwrap();
                    prop_assert_eq!(cells.rows().count(), 4);
                }
            }
        }
        for Open { row, reservation, .. } in open {
            reservation.settle(&rows[row], 0);
        }
        drop(rows);
        reap(&cells, REAPER, |_| true).unwrap();
        prop_assert_eq!(cells.rows().count(), 0);
    }
}

#[test]
fn four_workers_share_a_limit_exactly() {
    const WORKERS: u64 = 4;
    const LIMIT: u64 = 500;
    let file = TemporaryFile::new();
    drop(Cells::create(file.path(), SMALL).unwrap());
    let admitted = [const { AtomicU64::new(0) }; 20];
    let barrier = Barrier::new(WORKERS as usize);
    let work = |worker: usize| {
        let cells = Cells::open(file.path()).unwrap();
        let row = cells.claim_row(WORKER).unwrap();
        let window = Window::new(&cells, "tokens", LIMIT, MINUTE_MS).unwrap();
        let use_all = |(minute, admitted): (u64, &AtomicU64)| {
            barrier.wait();
            let now_ms = NOW_MS + minute * MINUTE_MS;
            // Reserves 3, uses 1 to 4, until one does not fit.
            for actual in (1..=4).cycle().skip(worker) {
                let Ok(reservation) = window.try_reserve(&row, 3, now_ms) else { break };
                reservation.settle(&row, actual);
                admitted.fetch_add(actual, SeqCst);
            }
            barrier.wait();
            window.used(&cells, now_ms)
        };
        (0..).zip(&admitted).map(use_all).collect::<Vec<u64>>()
    };
    let seen: Vec<Vec<u64>> = std::thread::scope(|scope| {
        let threads = [0, 1, 2, 3].map(|worker| {
            scope.spawn({
                let work = &work;
                move || work(worker)
            })
        });
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let admitted = admitted.map(AtomicU64::into_inner);
    assert!(seen.iter().all(|used| *used == admitted), "{seen:?}, {admitted:?}");
    for used in admitted {
        // Each worker may pass the limit by one when it settles, or stop early over three that others settle as one.
        assert!((LIMIT - 2 * WORKERS - 3..=LIMIT + WORKERS).contains(&used), "{used}");
    }
}

#[test]
fn a_dead_worker_gives_back_what_it_had_reserved_in_the_running_window() {
    let cells = Cells::anonymous(SMALL).unwrap();
    let living = cells.claim_row(WORKER).unwrap();
    let dead = cells.claim_row(DEAD).unwrap();
    let names = ["running", "over", "renewed"];
    let [running, over, renewed] = names.map(|name| Window::new(&cells, name, 100, MINUTE_MS).unwrap());
    let later = NOW_MS + MINUTE_MS;
    let _lost = over.try_reserve(&dead, 30, NOW_MS).unwrap();
    let _lost = renewed.try_reserve(&dead, 30, NOW_MS).unwrap();
    running.try_reserve(&dead, 20, later).unwrap().settle(&dead, 11);
    let _lost = running.try_reserve(&dead, 30, later).unwrap();
    let _lost = running.try_reserve(&dead, 30, later).unwrap();
    let kept = running.try_reserve(&living, 5, later).unwrap();
    renewed.try_reserve(&living, 40, later).unwrap().settle(&living, 40);
    std::mem::forget(dead);

    assert_eq!(reap(&cells, REAPER, dead_now).unwrap().len(), 1);
    assert_eq!(running.used(&cells, later), 16);
    assert_eq!(over.used(&cells, later), 0);
    assert_eq!(renewed.used(&cells, later), 40);
    kept.settle(&living, 6);
    assert_eq!(running.used(&cells, later), 17);
    assert_eq!(reap(&cells, REAPER, dead_now).unwrap().len(), 0);
}

const CHILDREN: u64 = 4;
const MINUTES: u64 = 30;
const SHARED_LIMIT: u64 = 200;

#[test]
fn four_processes_share_a_limit_exactly() {
    let file = TemporaryFile::new();
    let cells = Cells::create(file.path(), SMALL).unwrap();
    let children: Vec<_> = (0..CHILDREN).map(|_| spawn("child_uses_all_it_can", &file)).collect();
    for child in children {
        assert!(child.finish());
    }
    let admitted: HashMap<String, u64> = cells.sums().collect();
    assert_eq!(admitted.len() as u64, MINUTES);
    for (minute, admitted) in admitted {
        assert_eq!(admitted, SHARED_LIMIT, "{minute}");
    }
    assert_eq!(cells.rows().count(), 0);
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_uses_all_it_can() {
    let Some(cells) = spawned_on() else { return };
    let row = cells.claim_row(Owner::current().unwrap()).unwrap();
    let window = Window::new(&cells, "requests", SHARED_LIMIT, MINUTE_MS).unwrap();
    let arrived = cells.exact("arrived").unwrap();
    for minute in 0..MINUTES {
        cells.at(arrived).fetch_add(1, SeqCst);
        wait_until("all have arrived", || cells.at(arrived).load(SeqCst) >= CHILDREN * (minute + 1));
        let admitted = cells.sum(&format!("minute {minute}")).unwrap();
        while let Ok(reservation) = window.try_reserve(&row, 1, NOW_MS + minute * MINUTE_MS) {
            reservation.settle(&row, 1);
            cells.add(admitted, 1);
        }
    }
}

#[test]
fn a_killed_process_leaves_at_most_one_reservation_behind() {
    const KILLS: u64 = 20;
    let file = TemporaryFile::new();
    let cells = Cells::create(file.path(), SMALL).unwrap();
    let row = cells.claim_row(Owner::current().unwrap()).unwrap();
    let window = Window::new(&cells, "tokens", 1_000_000, MINUTE_MS).unwrap();
    window.try_reserve(&row, 5_000, NOW_MS).unwrap().settle(&row, 5_000);
    cells.sum("done").unwrap();
    let done = || cells.sums().next().unwrap().1;
    for kill in 1..=KILLS {
        let before = done();
        let child = spawn("child_reserves_ten_and_uses_none", &file);
        wait_until("the child works", || done() > before + 100 * kill);
        drop(child);
        assert_eq!(reap(&cells, Owner::current().unwrap(), Owner::is_alive).unwrap().len(), 1);
        let left = window.used(&cells, NOW_MS);
        assert!((5_000..=5_000 + 10 * kill).contains(&left), "{left} after {kill} kills");
    }
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_reserves_ten_and_uses_none() {
    let Some(cells) = spawned_on() else { return };
    let row = cells.claim_row(Owner::current().unwrap()).unwrap();
    let window = Window::new(&cells, "tokens", 1_000_000, MINUTE_MS).unwrap();
    let done = cells.sum("done").unwrap();
    loop {
        let reservations = [0; 5].map(|_| window.try_reserve(&row, 10, NOW_MS).unwrap());
        reservations.into_iter().for_each(|reservation| reservation.settle(&row, 0));
        cells.add(done, 1);
    }
}

#[test]
#[ignore = "prints a figure: run with --profile bench --ignored --nocapture"]
fn nanoseconds_to_reserve_and_settle() {
    const ROUNDS: u32 = 5_000_000;
    let file = TemporaryFile::new();
    let cells = Cells::create(file.path(), edgeroute_shared::Layout::default()).unwrap();
    let row = cells.claim_row(WORKER).unwrap();
    let window = Window::new(&cells, "tokens", 1 << 39, MINUTE_MS).unwrap();
    let total = AtomicU64::new(0);
    let start = Instant::now();
    for round in 0..ROUNDS {
        let now_ms = black_box(NOW_MS + u64::from(round) / 1_000);
        window.try_reserve(&row, 1_500, now_ms).unwrap().settle(&row, black_box(900));
    }
    total.fetch_add(window.used(&cells, NOW_MS), Relaxed);
    println!("try_reserve + settle: {:.1} ns", start.elapsed().as_nanos() as f64 / f64::from(ROUNDS));
}
