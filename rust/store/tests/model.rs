//! Whatever is done to two workers in whatever order, they keep and know what a map would.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::collections::HashMap;

use edgeroute_store::{Entry, Purge};
use proptest::prelude::*;
use support::{Directory, Worker, entry, note, now_ms};

const KEYS: u128 = 12;

#[derive(Clone, Debug)]
enum Step {
    Put {
        worker: usize,
        key: u128,
        length: usize,
        age_ms: u64,
    },
    Note {
        worker: usize,
        number: u64,
    },
    Purge {
        worker: usize,
        purge: Purge,
    },
    /// Closes a worker and opens it again.
    Restart {
        worker: usize,
    },
    /// Asks a worker for a key that it has put itself, whatever the other does meanwhile.
    Settle {
        worker: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let lengths = prop_oneof![0usize..10, 1_000usize..5_000, 10_000usize..40_000];
    let put = (0..2usize, 0..KEYS, lengths, 0..10u64).prop_map(|(worker, key, length, age)| Step::Put {
        worker,
        key,
        length,
        age_ms: age * 1000,
    });
    let purge = prop_oneof![
        (0..KEYS).prop_map(Purge::Key),
        (0..7u64).prop_map(Purge::Tenant),
        (0..3u64).prop_map(Purge::Model),
        Just(Purge::All),
    ];
    let purge = (0..2usize, purge).prop_map(|(worker, purge)| Step::Purge { worker, purge });
    let note = (0..2usize, any::<u64>()).prop_map(|(worker, number)| Step::Note { worker, number });
    let restart = (0..2usize).prop_map(|worker| Step::Restart { worker });
    let settle = (0..2usize).prop_map(|worker| Step::Settle { worker });
    prop::collection::vec(prop_oneof![12 => put, 6 => note, 3 => purge, 1 => restart, 3 => settle], 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn two_workers_agree_with_a_map(steps in steps()) {
        let directory = Directory::new();
        let mut workers = [Worker::on(&directory), Worker::on(&directory)];
        let mut model: HashMap<u128, Entry> = HashMap::new();
        let mut notes = Vec::new();
        let mut last = 0;
        for step in steps {
            // What different workers do has an order only where one has finished.
            let worker = match step {
                Step::Put { worker, .. } | Step::Note { worker, .. } | Step::Purge { worker, .. } => worker,
                Step::Restart { worker } | Step::Settle { worker } => worker,
            };
            if worker != last {
                workers[last].settle();
                last = worker;
            }
            match step {
                Step::Put { key, length, age_ms, .. } => {
                    let mut put = entry(key, length);
                    put.stored_ms = now_ms() - age_ms;
                    workers[worker].take();
                    workers[worker].put(put.clone());
                    model.insert(key, put);
                }
                Step::Note { number, .. } => {
                    workers[worker].store.note(note(number));
                    notes.push(note(number));
                }
                Step::Purge { purge, .. } => {
                    if purge == Purge::All {
                        notes.clear();
                    }
                    workers[worker].store.purge(purge);
                    model.retain(|key, each| !purge.covers(*key, each.tenant, each.model, each.stored_ms));
                }
                Step::Restart { .. } => workers[worker] = Worker::on(&directory),
                Step::Settle { .. } => workers[worker].settle(),
            }
        }
        workers[last].settle();
        for worker in &mut workers {
            worker.settle();
            worker.until("it knows what there is", |worker| {
                worker.known.len() == model.len() && worker.known.keys().all(|key| model.contains_key(key))
            });
            worker.until("it was told all notes in their order", |worker| worker.notes == notes);
            for (key, found) in worker.fetch_all(0..KEYS) {
                prop_assert_eq!(found.as_ref(), model.get(&key));
            }
            prop_assert!(worker.warnings.is_empty(), "{:?}", worker.warnings);
            prop_assert_eq!(worker.store.statistics().entries, model.len() as u64);
        }
    }
}
