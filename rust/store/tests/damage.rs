//! Whatever has become of the file: nothing wrong is ever given out, and nothing worse happens than an empty cache.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use edgeroute_store::Settings;
use support::{Directory, MIB, Process, Worker, entry, note, settings, spawned_on, wait_until};

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// A file with small and large entries, some of which are gone again.
fn filled(directory: &Directory) -> Vec<u8> {
    let mut worker = Worker::on(directory);
    for key in 1..=150 {
        worker.put(entry(key, [0, 50, 700, 3_000, 20_000][key as usize % 5]));
        (0..3).for_each(|each| worker.store.note(note(3 * key as u64 + each)));
        if key % 10 == 0 {
            worker.settle();
        }
        if key % 3 == 0 {
            worker.store.purge(edgeroute_store::Purge::Key(key - 1));
        }
    }
    worker.settle();
    drop(worker);
    std::fs::read(directory.file()).unwrap()
}

/// Overwrites what lies behind the meta pages, or cuts it off.
fn damage_in_use(directory: &Directory, cut_off: bool) {
    let file = OpenOptions::new().write(true).open(directory.file()).unwrap();
    if cut_off {
        file.set_len(8192).unwrap();
    } else {
        let length = file.metadata().unwrap().len() as usize;
        file.write_all_at(&vec![0xA5; length - 8192], 8192).unwrap();
    }
}

fn is_emptied(warning: &str) -> bool {
    warning.contains("emptied")
}

#[test]
fn a_file_that_is_damaged_while_it_is_in_use_is_made_anew() {
    for cut_off in [false, true] {
        let directory = Directory::new();
        drop(filled(&directory));
        let other = Process::spawn("child_goes_on_after_damage", &directory);
        let mut worker = Worker::on(&directory);
        worker.until("the listing has come", |worker| worker.known.len() > 50);
        wait_until("the other is there", || directory.path().join("ready").exists());
        for round in 0..2 {
            damage_in_use(&directory, cut_off);
            worker.fetch_late(1);
            worker.put(entry(3_000, 100));
            worker.until("it is emptied", |worker| worker.cleared > round);
            worker.until("whoever has met the damage tells it", |worker| {
                worker.warnings.iter().any(|warning| is_emptied(warning))
                    || directory.path().join("told").exists()
            });
            wait_until("there is a store again", || worker.store.statistics().available);
            for key in 4_000..4_100 {
                worker.put(entry(key, 2_000));
            }
            worker.settle();
            assert_eq!(worker.fetch(4_099).unwrap().body, entry(4_099, 2_000).body, "{cut_off}");
        }
        worker.until("the other goes on, too", |worker| worker.known.contains_key(&5_000));
        std::fs::write(directory.path().join("done"), "").unwrap();
        assert!(other.finish());
    }
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_goes_on_after_damage() {
    let Some(directory) = spawned_on() else { return };
    let mut worker = Worker::open(settings(&directory));
    wait_until("the store is there", || worker.store.statistics().available);
    std::fs::write(directory.join("ready"), "").unwrap();
    worker.until("it is emptied", |worker| worker.cleared > 0);
    worker.until("the other has seen it", |worker| {
        if worker.warnings.iter().any(|warning| is_emptied(warning)) {
            std::fs::write(directory.join("told"), "").unwrap();
        }
        worker.put(entry(5_000, 10));
        directory.join("done").exists()
    });
}

/// Opens the file, reads all that is said to be there, puts and purges; whether the cache was emptied.
fn use_it(directory: &Directory, what: &str) -> bool {
    let mut worker = Worker::on(directory);
    worker.put(entry(1_000, 100));
    worker.settle();
    assert!(worker.fetch(1_000).is_some(), "{what}");
    worker.until("the listing has come", |worker| {
        worker.known.len() as u64 >= worker.store.statistics().entries
    });
    for (key, found) in worker.fetch_all(1..=150) {
        if let Some(found) = found {
            let expected = entry(key, [0, 50, 700, 3_000, 20_000][key as usize % 5]);
            assert!(found.body == expected.body && found.head == expected.head, "{what}: {key}");
        }
    }
    for key in 2_000..2_040 {
        worker.put(entry(key, 5_000));
        worker.store.purge(edgeroute_store::Purge::Key(key - 1_990));
    }
    worker.settle();
    assert!(worker.fetch(2_039).is_some(), "{what}");
    let notes: HashSet<_> = (3..=452).map(note).collect();
    assert!(worker.notes.iter().all(|note| notes.contains(note)), "{what}");
    for warning in &worker.warnings {
        assert!(is_emptied(warning), "{what}: {warning}");
    }
    !worker.warnings.is_empty()
}

#[test]
fn damage_anywhere_only_empties_the_cache() {
    let directory = Directory::new();
    let original = filled(&directory);
    assert!(!use_it(&directory, "nothing"));
    let mut random = Random(0x5EED);
    let rounds = std::env::var("EDGEROUTE_TEST_ROUNDS").map_or(60, |rounds| rounds.parse().unwrap());
    let mut emptied = 0;
    for round in 0..rounds {
        let mut bytes = original.clone();
        let what = match round % 4 {
            0 => {
                // Structure is dense at the start of pages.
                let page = random.below(bytes.len() / 4096) * 4096;
                let at = page + random.below(64);
                bytes[at] ^= 1 << random.below(8);
                format!("round {round}: a bit at {at}")
            }
            1 => {
                let at = random.below(bytes.len());
                bytes[at] = random.below(256) as u8;
                format!("round {round}: a byte at {at}")
            }
            2 => {
                let (from, to) =
                    (random.below(bytes.len() / 4096) * 4096, random.below(bytes.len() / 4096) * 4096);
                let length = 4096.min(bytes.len() - from.max(to));
                bytes.copy_within(from..from + length, to);
                format!("round {round}: the page at {from} written to {to}")
            }
            _ => {
                bytes.truncate(random.below(bytes.len()));
                format!("round {round}: cut to {}", bytes.len())
            }
        };
        std::fs::write(directory.file(), &bytes).unwrap();
        if use_it(&directory, &what) {
            emptied += 1;
        } else {
            Worker::on(&directory).until("the notes are told", |worker| worker.notes.len() == 450);
        }
    }
    assert!(emptied > rounds / 4, "{emptied} of {rounds} were noticed");
}

#[test]
fn what_is_no_database_is_replaced() {
    let files: [&[u8]; 3] = [b"#!/bin/sh\n", &[0; 100_000], &[0xFF; 9_000]];
    for content in files {
        let directory = Directory::new();
        std::fs::create_dir(directory.path()).unwrap();
        std::fs::write(directory.file(), content).unwrap();
        assert!(use_it(&directory, "no database"));
        assert!(!use_it(&directory, "the new one"));
    }
}

#[test]
fn a_damaged_lock_file_is_made_anew() {
    let directory = Directory::new();
    filled(&directory);
    std::fs::write(directory.path().join("answers.mdb-lock"), [0xAB; 70_000]).unwrap();
    assert!(!use_it(&directory, "the lock file"));
}

#[test]
fn a_body_that_changes_under_a_worker_is_not_given_out() {
    let directory = Directory::new();
    let mut worker = Worker::on(&directory);
    let mut other = Worker::on(&directory);
    worker.put(entry(1, 20_000));
    other.until("it is known", |other| other.known.contains_key(&1));
    let content = std::fs::read(directory.file()).unwrap();
    let body = entry(1, 20_000).body;
    let start = content.windows(512).position(|window| window == &body[..512]).unwrap();
    let file = OpenOptions::new().write(true).open(directory.file()).unwrap();
    file.write_all_at(b"wrong", start as u64 + 9_000).unwrap();
    assert_eq!(worker.fetch(1), None);
    worker.until("it is told", |worker| worker.warnings.len() == 1 && worker.cleared == 1);
    other.until("so is the other", |other| other.known.is_empty());
    worker.until("there is a new file", |worker| worker.store.statistics().available);
    worker.put(entry(2, 20_000));
    other.until("they share it", |other| other.known.contains_key(&2));
    assert!(other.fetch(2).is_some());
}

#[test]
fn a_file_that_was_removed_is_made_anew_for_all() {
    let directory = Directory::new();
    let (mut worker, mut other) = (Worker::on(&directory), Worker::on(&directory));
    worker.put(entry(1, 100));
    other.until("it is known", |other| other.known.contains_key(&1));
    std::fs::remove_dir_all(directory.path()).unwrap();
    for each in [&mut worker, &mut other] {
        each.until("nothing is known any more", |each| each.known.is_empty());
    }
    worker.put(entry(2, 100));
    other.until("they share the new one", |other| other.known.contains_key(&2));
}

#[test]
fn a_file_beyond_the_size_is_made_anew() {
    let directory = Directory::new();
    let mut worker = Worker::on(&directory);
    (1..=100).for_each(|key| worker.put(entry(key, 20_000)));
    worker.settle();
    drop(worker);
    assert!(directory.file().metadata().unwrap().len() > MIB);
    let mut worker = Worker::open(Settings { bytes: MIB, ..settings(directory.path()) });
    worker.until("it is told", |worker| worker.warnings.len() == 1);
    assert!(worker.warnings[0].contains("larger than the size that is set"));
    worker.put(entry(1, 100));
    worker.settle();
    assert!(directory.file().metadata().unwrap().len() <= MIB);
}
