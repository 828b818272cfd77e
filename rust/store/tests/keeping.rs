//! What one worker keeps and finds, alone.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use edgeroute_store::{LONGEST_NOTE, Purge, Settings, Store};
use support::{Directory, MIB, Worker, entry, note, now_ms, settings, wait_until};

#[test]
fn what_is_put_is_found_at_once_and_after_a_restart() {
    let directory = Directory::new();
    let entries = [entry(1, 0), entry(2, 100), entry(3, 5_000), entry(4, 200_000)];
    let mut worker = Worker::on(&directory);
    for each in &entries {
        worker.put(each.clone());
        assert_eq!(worker.fetch(each.key).as_ref(), Some(each));
    }
    assert_eq!(worker.fetch(5), None);
    drop(worker);

    let mut worker = Worker::on(&directory);
    worker.until("all entries are told", |worker| worker.known.len() == entries.len());
    assert_eq!(worker.order, [4, 3, 2, 1], "newest first");
    assert!(worker.bodies.is_empty());
    for each in &entries {
        assert_eq!(worker.known[&each.key], each.head);
        assert_eq!(worker.fetch(each.key).as_ref(), Some(each));
    }
    assert_eq!(worker.store.statistics().entries, 4);
    assert_eq!(worker.warnings, [""; 0]);
}

#[test]
fn only_the_owner_can_read_the_files() {
    let directory = Directory::new();
    let _worker = Worker::on(&directory);
    assert_eq!(std::fs::metadata(directory.path()).unwrap().mode() & 0o777, 0o700);
    for each in std::fs::read_dir(directory.path()).unwrap() {
        let each = each.unwrap();
        assert_eq!(each.metadata().unwrap().mode() & 0o777, 0o600, "{:?}", each.file_name());
    }
}

#[test]
fn an_entry_expires() {
    let directory = Directory::new();
    let mut worker = Worker::on(&directory);
    let mut other = Worker::on(&directory);
    worker.put(entry(1, 10));
    let mut short = entry(2, 10);
    short.expires_ms = now_ms() + 300;
    worker.put(short);
    let mut past = entry(3, 10);
    past.expires_ms = now_ms() - 1;
    worker.put(past);
    assert_eq!(worker.fetch(3), None);
    for each in [&mut worker, &mut other] {
        each.until("the two are gone", |each| each.known.keys().eq([&1]));
        assert_eq!(each.fetch(2), None);
        assert!(each.fetch(1).is_some());
    }
}

#[test]
fn the_oldest_go_when_there_are_too_many() {
    let directory = Directory::new();
    let mut worker = Worker::open(Settings { entries: 100, ..settings(directory.path()) });
    for key in 1..=500 {
        worker.put(entry(key, 100));
    }
    worker.settle();
    worker.until("the rest is told to be gone", |worker| worker.known.len() == 100);
    assert!((401..=500).all(|key| worker.known.contains_key(&key)));
    let statistics = worker.store.statistics();
    assert_eq!((statistics.entries, statistics.evicted, statistics.dropped), (100, 400, 0));
}

#[test]
fn the_newest_notes_are_kept_in_their_order() {
    for (bytes, kept) in [(MIB, 1024), (8 * MIB, 2048)] {
        let directory = Directory::new();
        let mut worker = Worker::open(Settings { bytes, ..settings(directory.path()) });
        worker.until("the store is there", |worker| worker.store.statistics().available);
        worker.put(entry(1, 1_000));
        let all: Vec<_> = (0..kept + 500).map(note).collect();
        for chunk in all.chunks(300) {
            chunk.iter().for_each(|note| worker.store.note(note.clone()));
            worker.settle();
        }
        worker.until("its own notes have come back", |worker| worker.notes == all);
        let mut other = Worker::on(&directory);
        other.until("what is kept is told", |other| other.notes.len() as u64 == kept);
        assert_eq!(other.notes, all[500..]);
        assert!(other.known.contains_key(&1), "entries are told first");
        assert!(worker.fetch(1).is_some(), "they take no room of entries");
        worker.store.purge(Purge::Key(1));
        worker.settle();
        other.until("the entry is gone", |other| other.known.is_empty());
        assert_eq!(other.notes, all[500..], "notes stay");
        worker.store.purge(Purge::All);
        for each in [&mut worker, &mut other] {
            each.until("everything is gone", |each| each.cleared == 1 && each.notes.is_empty());
        }
        worker.store.note(note(7));
        other.until("it goes on", |other| other.notes == [note(7)]);
        assert_eq!([worker.warnings, other.warnings], [[""; 0]; 2]);
    }
}

#[test]
fn a_bound_on_notes_that_is_smaller_now_is_come_to() {
    let directory = Directory::new();
    let mut worker = Worker::on(&directory);
    (0..2_048).for_each(|number| worker.store.note(note(number)));
    worker.settle();
    let mut small = Worker::open(Settings { bytes: 4 * MIB, ..settings(directory.path()) });
    (2_048..4_000).for_each(|number| small.store.note(note(number)));
    small.settle();
    let mut other = Worker::on(&directory);
    other.until("what is kept is told", |other| other.notes.last() == Some(&note(3_999)));
    assert_eq!(other.notes, (4_000 - 1_024..4_000).map(note).collect::<Vec<_>>());
}

#[test]
fn a_worker_that_fell_behind_is_told_all_notes_anew() {
    let directory = Directory::new();
    let few = Settings { entries: 100, ..settings(directory.path()) };
    let (mut slow, mut fast) = (Worker::open(few.clone()), Worker::open(few));
    (0..3).for_each(|number| fast.store.note(note(number)));
    slow.until("the notes are told", |slow| slow.notes.len() == 3);
    // So much that it is not told all while it does not take it, and then more than the file remembers.
    for key in 0..12_000 {
        fast.put(entry(key, 10));
        if key % 500 == 0 {
            fast.settle();
        }
    }
    fast.store.note(note(3));
    fast.settle();
    slow.until("it knows what there is", |slow| slow.cleared > 0 && slow.known.len() == 100);
    slow.until("and each note once", |slow| slow.notes.len() == 4);
    assert_eq!(slow.notes, (0..4).map(note).collect::<Vec<_>>());
    fast.until("the other one has gone on", |fast| fast.notes == slow.notes);
    assert_eq!(fast.cleared, 0);
}

#[test]
fn a_note_that_is_too_long_comes_back_and_is_not_kept() {
    let directory = Directory::new();
    let mut worker = Worker::on(&directory);
    for length in [0, LONGEST_NOTE, LONGEST_NOTE + 1] {
        worker.store.note(vec![b'x'; length]);
    }
    worker.until("all have come back", |worker| worker.notes.len() == 3);
    let mut other = Worker::on(&directory);
    other.until("two are told", |other| other.notes.len() == 2);
    assert_eq!(other.notes, [vec![], vec![b'x'; LONGEST_NOTE]]);
}

#[test]
fn a_flood_stays_within_the_size_of_the_file() {
    for (bytes, largest) in [(MIB, 3_000), (MIB, 30_000), (8 * MIB, 200_000)] {
        let directory = Directory::new();
        let mut worker = Worker::open(Settings { bytes, entries: 1_000_000, ..settings(directory.path()) });
        let mut put = 0;
        let mut key = 0;
        while put < 6 * bytes {
            key += 1;
            let each = entry(key, (key as usize * 7919) % largest);
            put += each.body.len() as u64;
            worker.put(each);
            worker.store.note(note(key as u64));
            if key % 16 == 0 {
                worker.settle();
                assert!(std::fs::metadata(directory.file()).unwrap().len() <= bytes);
            }
        }
        worker.settle();
        let statistics = worker.store.statistics();
        assert_eq!(worker.warnings, [""; 0], "{bytes} {largest}");
        assert_eq!(statistics.dropped, 0);
        assert!(statistics.bytes > bytes / 2, "most of the file is used: {statistics:?}");
        let last = entry(key, (key as usize * 7919) % largest);
        assert_eq!(worker.fetch(key).unwrap().body, last.body);
        assert_eq!(worker.fetch(1), None);
        worker
            .until("as much is known as there is", |worker| worker.known.len() as u64 == statistics.entries);
    }
}

#[test]
fn what_cannot_be_kept_is_counted() {
    let directory = Directory::new();
    let mut worker = Worker::on(&directory);
    assert_eq!(worker.store.statistics().most_bytes, 8 * MIB);
    for (key, length, is_kept) in [(1, 2 * MIB, false), (2, MIB / 4, false), (3, MIB / 5, true)] {
        let each = entry(key, length as usize);
        assert_eq!(worker.store.takes(&each), is_kept);
        worker.put(each);
        worker.settle();
        assert_eq!(worker.fetch(key).is_some(), is_kept);
    }
    assert_eq!(worker.store.statistics().dropped, 2);

    let nowhere = Worker::open(settings("/dev/null/nowhere".as_ref()));
    for key in 0..100 {
        nowhere.store.put(entry(key, MIB as usize / 8));
    }
    wait_until("all are dropped", || nowhere.store.statistics().dropped == 100);
}

#[test]
fn each_kind_of_purge_removes_what_it_says() {
    let first = now_ms();
    let entries: Vec<_> = (1..=40)
        .map(|key| {
            let mut each = entry(key, 100);
            each.stored_ms = first + key as u64;
            each
        })
        .collect();
    for purge in [
        Purge::Key(7),
        Purge::Key(1000),
        Purge::Tenant(3),
        Purge::Model(2),
        Purge::OlderThan { stored_before_ms: first + 20 },
        Purge::All,
    ] {
        let directory = Directory::new();
        let mut worker = Worker::on(&directory);
        let mut other = Worker::on(&directory);
        entries.iter().for_each(|each| worker.put(each.clone()));
        other.until("all is known", |other| other.known.len() == 40);
        worker.store.purge(purge);
        worker.settle();
        let left =
            |each: &&edgeroute_store::Entry| !purge.covers(each.key, each.tenant, each.model, each.stored_ms);
        let left: Vec<_> = entries.iter().filter(left).map(|each| each.key).collect();
        for each in [&mut worker, &mut other] {
            each.until("what was purged is gone", |each| each.known.len() == left.len());
            each.until("what else there was is told to be", |each| {
                each.cleared == 1 || each.purged == [purge]
            });
            assert_eq!(each.cleared == 1, purge == Purge::All);
            assert!(left.iter().all(|key| each.known.contains_key(key)), "{purge:?}");
            for key in 1..=40 {
                assert_eq!(each.fetch(key).is_some(), left.contains(&key), "{purge:?} {key}");
            }
        }
    }
}

#[test]
fn a_purge_covers_what_waits_to_be_written() {
    let directory = Directory::new();
    let mut worker = Worker::on(&directory);
    for key in 1..=200 {
        worker.put(entry(key, 1000));
    }
    worker.store.purge(Purge::All);
    worker.store.put(entry(201, 10));
    assert_eq!(worker.fetch(3), None);
    assert_eq!(worker.fetch(201).unwrap(), entry_like(&worker.fetch(201).unwrap()));
    worker.settle();
    assert_eq!(worker.store.statistics().entries, 1);
}

fn entry_like(found: &edgeroute_store::Entry) -> edgeroute_store::Entry {
    let mut expected = entry(found.key, found.body.len());
    (expected.stored_ms, expected.expires_ms) = (found.stored_ms, found.expires_ms);
    expected
}

#[test]
fn a_worker_is_woken_once_for_all_news_that_waits() {
    let directory = Directory::new();
    let mut worker = Worker::on(&directory);
    let woken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&woken);
    let wake = move || {
        count.fetch_add(1, Relaxed);
    };
    let other = Store::open(settings(directory.path()), wake);
    wait_until("the store is there", || other.statistics().available);
    for key in 0..40 {
        worker.put(entry(key, 10));
        worker.settle();
        if key == 20 {
            wait_until("the other is woken", || woken.load(Relaxed) > 0);
        }
    }
    assert_eq!(woken.load(Relaxed), 1, "nothing was taken yet");
    assert!(!other.take_news().is_empty());
    worker.put(entry(40, 10));
    wait_until("the other is woken again", || woken.load(Relaxed) > 1);
}
