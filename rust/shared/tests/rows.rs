//! Rows: claiming, listing, summing, and reaping what dead workers held.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Barrier, Mutex};

use edgeroute_shared::{Cells, Error, Layout, Owner, Row, RowStatus};
use support::{SMALL, TemporaryFile, spawn, spawned_on, wait_until};

const LIVING: Owner = Owner { pid: 1, started: 10 };
const DEAD: Owner = Owner { pid: 2, started: 20 };
const REAPER: Owner = Owner { pid: 3, started: 30 };
const SECOND_REAPER: Owner = Owner { pid: 4, started: 40 };

/// The process is gone: its row is never dropped.
fn die(row: Row) {
    std::mem::forget(row);
}

#[test]
fn rows_are_claimed_listed_and_freed() {
    let cells = Cells::anonymous(Layout { rows: 2, ..SMALL }).unwrap();
    let first = cells.claim_row(LIVING).unwrap();
    let second = cells.claim_row(DEAD).unwrap();
    let full = cells.claim_row(REAPER).unwrap_err();
    assert!(matches!(full, Error::RowsFull { capacity: 2 }));

    first.heartbeat(5_000);
    first.generation().store(3, Relaxed);
    let listed: Vec<_> = cells.rows().collect();
    let status = RowStatus { index: 0, owner: LIVING, heartbeat_ms: 5_000, generation: 3 };
    assert_eq!(listed, [status, RowStatus { index: 1, owner: DEAD, heartbeat_ms: 0, generation: 0 }]);

    drop(first);
    assert_eq!(cells.rows().map(|row| row.index).collect::<Vec<_>>(), [1]);
    let again = cells.claim_row(REAPER).unwrap();
    assert_eq!((again.index(), second.index()), (0, 1));
    let status = cells.rows().next().unwrap();
    assert_eq!((status.heartbeat_ms, status.generation), (0, 0), "nothing is left of the worker before");
}

#[test]
fn readers_sum_over_rows() {
    let cells = Cells::anonymous(SMALL).unwrap();
    let in_flight = cells.gauge("in_flight", None).unwrap();
    let budget = cells.exact("budget").unwrap();
    let reserved = cells.gauge("reserved", Some(budget)).unwrap();
    let rows = [LIVING, LIVING, DEAD].map(|owner| cells.claim_row(owner).unwrap());
    for (row, value) in rows.iter().zip([1, 20, 300]) {
        row.gauge(in_flight).store(value, Relaxed);
        row.gauge(reserved).store(1, Relaxed);
    }
    assert_eq!(cells.gauge_total(in_flight), 321);
    assert_eq!(cells.gauges().collect::<Vec<_>>(), [("in_flight".to_owned(), 321)]);
    let neighbour = cells.gauge("neighbour", None).unwrap();
    assert_eq!(cells.gauge_total(neighbour), 0);
}

#[test]
fn the_dead_are_reaped_and_the_living_are_not() {
    let cells = Cells::anonymous(SMALL).unwrap();
    let budget = cells.exact("budget").unwrap();
    let reserved = cells.gauge("reserved", Some(budget)).unwrap();
    let in_flight = cells.gauge("in_flight", None).unwrap();
    let living = cells.claim_row(LIVING).unwrap();
    let dead = cells.claim_row(DEAD).unwrap();
    for row in [&living, &dead] {
        row.gauge(in_flight).store(2, Relaxed);
    }
    dead.gauge(reserved).store(70, Relaxed);
    die(dead);

    let mut refunds = Vec::new();
    let freed =
        cells.reap(REAPER, |owner| owner != DEAD, |gauge, exact, value| refunds.push((gauge, exact, value)));
    assert_eq!(freed.unwrap(), [Some(DEAD)]);
    refunds.sort_by_key(|&(_, _, value)| value);
    assert_eq!(refunds, [(in_flight, None, 2), (reserved, Some(budget), 70)]);
    assert_eq!((cells.gauge_total(in_flight), cells.gauge_total(reserved)), (2, 0));
    assert_eq!(cells.rows().map(|row| row.owner).collect::<Vec<_>>(), [LIVING]);
    assert_eq!(cells.reap(REAPER, |owner| owner != DEAD, |_, _, _| unreachable!()).unwrap(), []);
}

#[test]
fn a_row_dropped_with_something_in_it_is_reaped_like_a_dead_one() {
    let cells = Cells::anonymous(Layout { rows: 1, ..SMALL }).unwrap();
    let in_flight = cells.gauge("in_flight", None).unwrap();
    let row = cells.claim_row(LIVING).unwrap();
    row.gauge(in_flight).store(2, Relaxed);
    drop(row);
    assert_eq!(cells.rows().count(), 0);
    cells.claim_row(LIVING).unwrap_err();
    let mut refunded = 0;
    assert_eq!(cells.reap(REAPER, |_| true, |_, _, value| refunded += value).unwrap(), [None]);
    assert_eq!(refunded, 2);
    drop(cells.claim_row(LIVING).unwrap());
}

#[test]
fn a_reaper_that_dies_is_followed_by_another() {
    let cells = Cells::anonymous(SMALL).unwrap();
    let gauges: Vec<_> =
        (0..5).map(|number| cells.gauge(&format!("gauge {number}"), None).unwrap()).collect();
    let dead = cells.claim_row(DEAD).unwrap();
    gauges.iter().for_each(|&gauge| dead.gauge(gauge).store(1, Relaxed));
    die(dead);

    let mut refunded = 0;
    let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        cells.reap(
            REAPER,
            |owner| owner != DEAD,
            |_, _, value| {
                refunded += value;
                assert!(refunded < 2, "the reaper is killed");
            },
        )
    }));
    assert!(killed.is_err());

    assert_eq!(cells.rows().count(), 0, "a row being reaped is no worker");
    let nobody = |_, _, _| unreachable!();
    assert_eq!(
        cells.reap(SECOND_REAPER, |owner| owner != DEAD, nobody).unwrap(),
        [],
        "the reaper still lives"
    );
    let dead = |owner| owner != DEAD && owner != REAPER;
    assert_eq!(cells.reap(SECOND_REAPER, dead, |_, _, value| refunded += value).unwrap(), [None]);
    assert_eq!(refunded, 5);
}

#[test]
fn racing_reapers_refund_exactly_once() {
    const REAPERS: u32 = 4;
    let file = TemporaryFile::new();
    let cells = Cells::create(file.path(), SMALL).unwrap();
    let gauges: Vec<_> =
        (0..20).map(|number| cells.gauge(&format!("gauge {number}"), None).unwrap()).collect();
    for round in 1..=50 {
        for _ in 0..SMALL.rows {
            let dead = cells.claim_row(DEAD).unwrap();
            gauges.iter().for_each(|&gauge| dead.gauge(gauge).store(round, Relaxed));
            die(dead);
        }
        let (refunded, freed) = (AtomicU64::new(0), Mutex::new(0));
        let barrier = Barrier::new(REAPERS as usize);
        std::thread::scope(|scope| {
            for reaper in 0..REAPERS {
                let (refunded, freed, barrier, file) = (&refunded, &freed, &barrier, &file);
                scope.spawn(move || {
                    let cells = Cells::open(file.path()).unwrap();
                    barrier.wait();
                    let reaper = Owner { pid: 100 + reaper, started: 1 };
                    let rows = cells.reap(
                        reaper,
                        |owner| owner != DEAD,
                        |_, _, value| {
                            refunded.fetch_add(value, Relaxed);
                        },
                    );
                    *freed.lock().unwrap() += rows.unwrap().len();
                });
            }
        });
        let rows = u64::from(SMALL.rows);
        assert_eq!(refunded.into_inner(), rows * gauges.len() as u64 * round);
        assert_eq!(freed.into_inner().unwrap() as u64, rows);
        assert_eq!(cells.rows().count(), 0);
    }
}

#[test]
fn a_process_knows_the_living_from_the_dead() {
    let current = Owner::current().unwrap();
    assert!(current.is_alive());
    assert_eq!(current.pid, std::process::id());
    assert!(!Owner { started: current.started + 1, ..current }.is_alive(), "the id is used again by another");
    assert!(!Owner { pid: (1 << 22) - 1, started: 1 }.is_alive());
}

#[test]
fn a_killed_worker_is_dead_before_its_parent_takes_notice() {
    let file = TemporaryFile::new();
    let cells = Cells::create(file.path(), SMALL).unwrap();
    let in_flight = cells.gauge("in_flight", None).unwrap();
    let mut child = spawn("child_holds_three", &file);
    wait_until("the child holds three", || cells.gauge_total(in_flight) == 3);
    let owner = cells.rows().next().unwrap().owner;
    assert_eq!(owner.pid, child.id());
    let reaper = Owner::current().unwrap();
    assert_eq!(cells.reap(reaper, Owner::is_alive, |_, _, _| unreachable!()).unwrap(), []);

    child.kill();
    wait_until("the child is a zombie", || !owner.is_alive());
    let mut refunded = 0;
    assert_eq!(cells.reap(reaper, Owner::is_alive, |_, _, value| refunded += value).unwrap(), [Some(owner)]);
    assert_eq!((refunded, cells.gauge_total(in_flight)), (3, 0));
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_holds_three() {
    let Some(cells) = spawned_on() else { return };
    let row = cells.claim_row(Owner::current().unwrap()).unwrap();
    row.gauge(cells.gauge("in_flight", None).unwrap()).store(3, Relaxed);
    loop {
        std::thread::park();
    }
}
