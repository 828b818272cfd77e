//! Workers as real processes, killed in the middle of whatever they do: nobody else may notice.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::collections::HashSet;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};

use edgeroute_shared::{Cells, Layout, Owner};
use support::{SMALL, TemporaryFile, spawn, spawned_on, wait_until};

const NAMES: u32 = 2_000;
const LAYOUT: Layout = Layout { exact: NAMES + 1, ..SMALL };

#[test]
fn inserters_killed_anywhere_leave_a_table_that_works() {
    for round in 0..10 {
        let file = TemporaryFile::new();
        let cells = Cells::create(file.path(), LAYOUT).unwrap();
        let progress = cells.exact("progress").unwrap();
        let children = [spawn("child_inserts_names", &file), spawn("child_inserts_names", &file)];
        // Each round lets them come a little further before they die.
        wait_until("the children insert", || {
            cells.at(progress).load(Relaxed) > round * u64::from(NAMES) / 20
        });
        drop(children);
        let all: HashSet<_> = (0..NAMES).map(|number| cells.exact(&name(number)).unwrap()).collect();
        assert_eq!(all.len(), NAMES as usize, "every name has a cell of its own");
        assert_eq!(cells.exacts().count(), LAYOUT.exact as usize, "and no slot was lost");
    }
}

#[test]
fn workers_killed_anywhere_leave_at_most_one_reservation_behind() {
    const ROUNDS: u64 = 12;
    let file = TemporaryFile::new();
    let cells = Cells::create(file.path(), SMALL).unwrap();
    let budget = cells.exact("budget").unwrap();
    let reserved = cells.gauge("reserved", Some(budget)).unwrap();
    let done = cells.sum("done").unwrap();
    let count = || cells.sums().next().unwrap().1;
    cells.add(done, 0);
    for round in 1..=ROUNDS {
        let before = count();
        let children =
            [spawn("child_reserves_and_settles", &file), spawn("child_reserves_and_settles", &file)];
        wait_until("the children work", || count() > before + round * 500 && cells.rows().count() == 2);
        drop(children);
        let reaper = Owner::current().unwrap();
        let freed = cells.reap(reaper, Owner::is_alive, |_, exact, value| {
            cells.at(exact.unwrap()).fetch_sub(value, AcqRel);
        });
        assert_eq!(freed.unwrap().len(), 2);
        assert_eq!(cells.gauge_total(reserved), 0);
        let left = cells.at(budget).load(Relaxed);
        assert!(
            left <= 2 * round,
            "{left} left after {round} rounds: more was counted than one for each kill"
        );
    }
    assert_eq!(cells.rows().count(), 0);
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_inserts_names() {
    let Some(cells) = spawned_on() else { return };
    let progress = cells.exact("progress").unwrap();
    for number in (0..NAMES).cycle() {
        cells.exact(&name(number)).unwrap();
        cells.at(progress).fetch_max(u64::from(number), Relaxed);
    }
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_reserves_and_settles() {
    let Some(cells) = spawned_on() else { return };
    let budget = cells.exact("budget").unwrap();
    let reserved = cells.gauge("reserved", Some(budget)).unwrap();
    let done = cells.sum("done").unwrap();
    let row = cells.claim_row(Owner::current().unwrap()).unwrap();
    loop {
        cells.at(budget).fetch_add(1, AcqRel);
        row.gauge(reserved).fetch_add(1, AcqRel);
        cells.add(done, 1);
        row.gauge(reserved).fetch_sub(1, AcqRel);
        cells.at(budget).fetch_sub(1, AcqRel);
    }
}

/// Long, and alike but for the end, so that a kill can fall between the words of a name.
fn name(number: u32) -> String {
    format!("{:-<150}{number}", "limits/")
}
