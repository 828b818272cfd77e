//! Concurrency limits over several workers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "../../shared/tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Instant;

use edgeroute_limits::{Cells, Concurrency, Crowded, Owner, reap};
use support::{SMALL, TemporaryFile, spawn, spawned_on, wait_until};

const WORKER: Owner = Owner { pid: 1, started: 1 };

#[test]
fn places_are_taken_and_given_back_over_all_rows() {
    let cells = Cells::anonymous(SMALL).unwrap();
    let rows = [0; 3].map(|_| cells.claim_row(WORKER).unwrap());
    let limit = Concurrency::new(&cells, "concurrency", 4).unwrap();
    let mut permits: Vec<_> = (0..4).map(|place| limit.try_acquire(&rows[place % 3]).unwrap()).collect();
    for row in &rows {
        assert_eq!(limit.try_acquire(row).unwrap_err(), Crowded { limit: 4, held: 4 });
    }
    assert_eq!(limit.held(&cells), 4);
    permits.remove(1).release(&rows[1]);
    let again = limit.try_acquire(&rows[0]).unwrap();
    limit.try_acquire(&rows[0]).unwrap_err();

    let lowered = Concurrency::new(&cells, "concurrency", 2).unwrap();
    assert_eq!(lowered.try_acquire(&rows[0]).unwrap_err(), Crowded { limit: 2, held: 4 });
    again.release(&rows[0]);
    let none = Concurrency::new(&cells, "none", 0).unwrap();
    assert_eq!(none.try_acquire(&rows[0]).unwrap_err(), Crowded { limit: 0, held: 0 });
}

#[test]
fn racing_workers_never_pass_the_limit_and_reach_it() {
    const WORKERS: usize = 4;
    let check = |places: u64| {
        let file = TemporaryFile::new();
        drop(Cells::create(file.path(), SMALL).unwrap());
        let (running, most) = (AtomicU64::new(0), AtomicU64::new(0));
        let barrier = Barrier::new(WORKERS);
        let work = || {
            let cells = Cells::open(file.path()).unwrap();
            let row = cells.claim_row(WORKER).unwrap();
            let limit = Concurrency::new(&cells, "concurrency", places).unwrap();
            barrier.wait();
            for turn in 0..60_000 {
                let Ok(permit) = limit.try_acquire(&row) else { continue };
                most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                if turn % 16 == 0 {
                    std::thread::yield_now();
                }
                running.fetch_sub(1, SeqCst);
                permit.release(&row);
            }
        };
        std::thread::scope(|scope| (0..WORKERS).for_each(|_| drop(scope.spawn(work))));
        assert!(most.load(SeqCst) <= places, "{} ran at one time, {places} may", most.load(SeqCst));

        let cells = Cells::open(file.path()).unwrap();
        let rows = [0; WORKERS].map(|_| cells.claim_row(WORKER).unwrap());
        let limit = Concurrency::new(&cells, "concurrency", places).unwrap();
        assert_eq!(limit.held(&cells), 0);
        let permits: Vec<_> = rows.iter().map_while(|row| limit.try_acquire(row).ok()).collect();
        assert_eq!(permits.len() as u64, places);
    };
    check(1);
    check(2);
    check(3);
}

#[test]
fn the_places_of_a_killed_worker_return() {
    const CHILD_HOLDS: u64 = 3;
    let file = TemporaryFile::new();
    let cells = Cells::create(file.path(), SMALL).unwrap();
    let row = cells.claim_row(Owner::current().unwrap()).unwrap();
    let limit = Concurrency::new(&cells, "concurrency", CHILD_HOLDS + 1).unwrap();
    let own = limit.try_acquire(&row).unwrap();
    let child = spawn("child_holds_places", &file);
    wait_until("the child holds its places", || limit.held(&cells) == CHILD_HOLDS + 1);
    limit.try_acquire(&row).unwrap_err();
    drop(child);
    limit.try_acquire(&row).unwrap_err();
    assert_eq!(reap(&cells, Owner::current().unwrap(), Owner::is_alive).unwrap().len(), 1);
    assert_eq!(limit.held(&cells), 1);
    limit.try_acquire(&row).unwrap().release(&row);
    own.release(&row);
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_holds_places() {
    let Some(cells) = spawned_on() else { return };
    let row = cells.claim_row(Owner::current().unwrap()).unwrap();
    let limit = Concurrency::new(&cells, "concurrency", 4).unwrap();
    let _places = [0; 3].map(|_| limit.try_acquire(&row).unwrap());
    loop {
        std::thread::park();
    }
}

#[test]
#[ignore = "prints a figure: run with --profile bench --ignored --nocapture"]
fn nanoseconds_to_acquire_and_release() {
    const ROUNDS: u32 = 2_000_000;
    let file = TemporaryFile::new();
    let cells = Cells::create(file.path(), edgeroute_shared::Layout::default()).unwrap();
    let row = cells.claim_row(WORKER).unwrap();
    let limit = Concurrency::new(&cells, "concurrency", 100).unwrap();
    let start = Instant::now();
    for _ in 0..ROUNDS {
        black_box(limit.try_acquire(&row)).unwrap().release(&row);
    }
    println!("try_acquire + release: {:.1} ns", start.elapsed().as_nanos() as f64 / f64::from(ROUNDS));
}
