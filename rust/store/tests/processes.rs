//! Workers as real processes on one directory: what one puts the others know, and one that is killed stops nobody.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use edgeroute_store::{Purge, Settings};
use support::{Directory, MIB, Process, Worker, entry, note, settings, spawned_on, wait_until};

const EACH: u128 = 50;

#[test]
fn what_one_of_four_puts_the_others_know() {
    let directory = Directory::new();
    let mut worker = Worker::on(&directory);
    let mut children: Vec<_> =
        (0..3).map(|_| Process::spawn("child_puts_and_waits_for_the_others", &directory)).collect();
    // Children take the ranges of keys 1, 2 and 3 as they come.
    for key in 0..EACH {
        worker.put(entry(key, key as usize * 100));
    }
    worker.until("all entries are known", |worker| worker.known.len() as u128 == 4 * EACH);
    for key in 0..4 * EACH {
        let length = (key % EACH) as usize * 100;
        assert_eq!(worker.fetch(key).unwrap().body, entry(key, length).body);
    }
    assert!(worker.bodies.len() as u128 > 3 * EACH / 2, "small bodies came with the news");
    assert!(worker.bodies.values().all(|body| body.len() <= 4096));
    children.drain(..).for_each(|child| assert!(child.finish()));
    // One worker purges, and all agree.
    let mut last = Worker::on(&directory);
    last.until("all entries are listed", |last| last.known.len() as u128 == 4 * EACH);
    last.store.purge(Purge::All);
    worker.until("nothing is known", |worker| worker.known.is_empty());
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_puts_and_waits_for_the_others() {
    let Some(directory) = spawned_on() else { return };
    let range = (1..4).find(|range| std::fs::create_dir(directory.join(range.to_string())).is_ok()).unwrap();
    let mut worker = Worker::open(settings(&directory));
    for key in 0..EACH {
        worker.put(entry(range * EACH + key, key as usize * 100));
    }
    worker.until("all entries are known", |worker| worker.known.len() as u128 == 4 * EACH);
    assert!(worker.fetch(EACH - 1).is_some());
}

#[test]
fn notes_have_one_order_for_all() {
    let directory = Directory::new();
    let mut workers = [Worker::on(&directory), Worker::on(&directory)];
    let children: Vec<_> =
        (0..2).map(|_| Process::spawn("child_notes_and_waits_for_the_others", &directory)).collect();
    for number in 0..100 {
        workers[number as usize % 2].store.note(note(number));
    }
    for worker in &mut workers {
        worker.until("all notes have come", |worker| worker.notes.len() == 300);
    }
    children.into_iter().for_each(|child| assert!(child.finish()));
    let mut late = Worker::on(&directory);
    late.until("all notes have come", |worker| worker.notes.len() == 300);
    assert_eq!(workers[0].notes, workers[1].notes);
    assert_eq!(workers[0].notes, late.notes);
    late.notes.sort_unstable();
    let mut expected: Vec<_> = (0..300).map(note).collect();
    expected.sort_unstable();
    assert_eq!(late.notes, expected, "each came once");
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_notes_and_waits_for_the_others() {
    let Some(directory) = spawned_on() else { return };
    let range = (1..3).find(|range| std::fs::create_dir(directory.join(range.to_string())).is_ok()).unwrap();
    let mut worker = Worker::open(settings(&directory));
    wait_until("the store is there", || worker.store.statistics().available);
    for number in range * 100..(range + 1) * 100 {
        worker.store.note(note(number));
    }
    worker.until("all notes have come", |worker| worker.notes.len() == 300);
}

#[test]
fn writers_killed_anywhere_leave_a_store_that_works() {
    let directory = Directory::new();
    let mut worker = Worker::on(&directory);
    for round in 0..8 {
        let seen = worker.order.len();
        let mut children: Vec<_> =
            (0..2).map(|_| Process::spawn("child_puts_without_end", &directory)).collect();
        worker.until("the children put", |worker| worker.order.len() > seen + 50 * (round + 1));
        children.iter_mut().for_each(Process::kill);
        let key = 1_000_000 + round as u128;
        worker.put(entry(key, 3_000));
        assert_eq!(worker.fetch(key).unwrap().body, entry(key, 3_000).body);
        worker.settle();
        let mut other = Worker::on(&directory);
        other.until("the other knows it", |other| other.known.contains_key(&key));
        assert!(other.fetch(key).is_some());
    }
    assert_eq!(worker.warnings, [""; 0]);
    drop(worker);
    // Nobody uses it now: the whole structure is read when it is opened again.
    let mut worker = Worker::on(&directory);
    worker.until("the entries are there", |worker| worker.known.len() > 100);
    assert_eq!(worker.warnings, [""; 0]);
    let keys: Vec<_> = worker.known.keys().copied().collect();
    for key in keys {
        let found = worker.fetch(key).unwrap();
        assert_eq!(found.body, entry(key, found.body.len()).body);
    }
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_puts_without_end() {
    let Some(directory) = spawned_on() else { return };
    let worker = Worker::open(settings(&directory));
    let start = u128::from(std::process::id()) << 32;
    for number in 0.. {
        worker.store.put(entry(start + number, (number * 997 % 9_000) as usize));
        worker.store.note(note(number as u64));
        if number % 7 == 0 {
            worker.store.purge(Purge::Key(start + number / 2));
        }
        wait_until("the queue is not full", || worker.store.statistics().dropped == 0);
        if number % 50 == 0 {
            let before = worker.store.statistics();
            wait_until("some are written", || worker.store.statistics() != before || number == 0);
        }
        worker.store.take_news();
    }
}

#[test]
fn of_two_sizes_the_smaller_governs() {
    for (own, child) in [(8 * MIB, "child_floods_1_mib"), (MIB, "child_floods_8_mib")] {
        let directory = Directory::new();
        let mut worker = Worker::open(Settings { bytes: own, ..settings(directory.path()) });
        (1..=300).for_each(|key| worker.put(entry(key, 10_000)));
        worker.settle();
        assert!(Process::spawn(child, &directory).finish());
        for key in 10_000..10_200 {
            worker.put(entry(key, 10_000));
        }
        worker.settle();
        assert_eq!(worker.fetch(10_199).unwrap().body, entry(10_199, 10_000).body);
        assert_eq!(worker.warnings, [""; 0]);
        assert!(directory.file().metadata().unwrap().len() <= own);
    }
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_floods_1_mib() {
    flood(MIB);
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_floods_8_mib() {
    flood(8 * MIB);
}

fn flood(bytes: u64) {
    let Some(directory) = spawned_on() else { return };
    let mut worker = Worker::open(Settings { bytes, ..settings(&directory) });
    for key in 1_000..2_000 {
        worker.put(entry(key, key as usize * 7 % 20_000));
        if key % 100 == 0 {
            worker.settle();
        }
    }
    worker.settle();
    assert_eq!(worker.warnings, [""; 0]);
    assert!(worker.fetch(1_999).is_some());
}
