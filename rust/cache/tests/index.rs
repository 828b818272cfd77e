//! What a worker knows of the cache: entries, the answers in memory, and the keys it remembers.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::collections::HashMap;
use std::sync::Arc;

use edgeroute_cache::{
    Asked, Entry, Index, Observation, Record, SemanticKey, Similar, Verdict, model_hash, tenant_hash,
};
use proptest::prelude::*;

const HOUR: u64 = 3_600_000;

fn index(entries: usize, memory: usize) -> Index {
    Index::new(entries, memory, [7; 16])
}

fn entry(key: u128, stored_ms: u64, body: Option<&[u8]>) -> Entry {
    Entry {
        key,
        check: !key,
        tenant: 1,
        model: 2,
        stored_ms,
        expires_ms: stored_ms + HOUR,
        body: body.map(Arc::from),
        meaning: None,
    }
}

fn asking(key: u128, partition: u128, text: &str) -> Entry {
    Entry { meaning: Some(SemanticKey { partition, text: text.into(), vector: None }), ..entry(key, 0, None) }
}

#[test]
fn entries_expire_and_are_replaced() {
    let mut index = index(10, 1_000);
    index.insert(entry(1, 100, Some(b"one")), 100);
    let known = index.get(1, 150).unwrap();
    assert_eq!((known.check, known.age_ms, known.body.as_deref()), (!1, 50, Some(&b"one"[..])));
    assert_eq!(index.get(1, 0).unwrap().age_ms, 0, "the clock of another host is ahead");
    assert!(index.get(1, 100 + HOUR - 1).is_some());
    assert!(index.get(1, 100 + HOUR).is_none());
    assert!(index.get(2, 150).is_none());
    index.insert(entry(1, 200, None), 200);
    let known = index.get(1, 200).unwrap();
    assert_eq!((known.age_ms, known.body.is_some(), index.len(), index.bytes()), (0, false, 1, 0));
    index.insert(entry(3, 100, None), 100 + HOUR);
    assert!(index.get(3, 100).is_none(), "it had expired before");
    assert!(index.remove(1) && !index.remove(1) && index.is_empty());
}

#[test]
fn a_purge_takes_what_it_covers() {
    let of = |key, tenant, model| Entry { tenant, model, ..entry(key, 0, Some(&[0; 10])) };
    for (covers, left) in [
        ((|key, _, _, _| key == 3) as fn(u128, u64, u64, u64) -> bool, vec![1, 2, 4]),
        (|_, tenant, _, _| tenant == 1, vec![2, 4]),
        (|_, _, model, _| model == 6, vec![1, 2]),
        (|_, _, _, stored_ms| stored_ms < 100, vec![4]),
        (|_, _, _, _| false, vec![1, 2, 3, 4]),
    ] {
        let mut index = index(10, 1_000);
        for entry in [of(1, 1, 5), of(2, 2, 5), of(3, 1, 6), Entry { stored_ms: 100, ..of(4, 2, 6) }] {
            index.insert(entry, 0);
        }
        index.purge(covers);
        let known: Vec<u128> = (1..=4).filter(|key| index.get(*key, 100).is_some()).collect();
        assert_eq!((&known, index.len(), index.bytes()), (&left, left.len(), left.len() * 10));
    }
}

#[test]
fn the_oldest_goes_first_in_whatever_order_they_come() {
    let mut index = index(3, 1_000);
    for stored in [50, 40, 30, 20, 60] {
        index.insert(entry(u128::from(stored), stored, Some(b"x")), 0);
    }
    let left: Vec<bool> = [20, 30, 40, 50, 60].iter().map(|key| index.get(*key, 60).is_some()).collect();
    assert_eq!(left, [false, false, true, true, true]);
    assert_eq!((index.len(), index.bytes()), (3, 3));
    index.insert(entry(7, HOUR + 55, None), HOUR + 55);
    assert_eq!(index.len(), 2, "those that have expired go first");
    index.clear();
    assert_eq!((index.len(), index.bytes()), (0, 0));

    let mut none = self::index(0, 1_000);
    none.insert(entry(1, 0, None), 0);
    assert!(none.is_empty());
}

#[test]
fn answers_in_memory_are_those_used_last() {
    let mut index = index(10, 30);
    for key in 1..=3 {
        index.insert(entry(key, 0, Some(&[0; 10])), 0);
    }
    let in_memory = |index: &Index| {
        let has = |key: &u128| index.get(*key, 0).unwrap().body.is_some();
        (1..=4).filter(|key| index.get(*key, 0).is_some()).filter(has).collect::<Vec<u128>>()
    };
    assert!(index.get(1, 0).is_some());
    index.insert(entry(4, 0, Some(&[0; 10])), 0);
    assert_eq!(in_memory(&index), [1, 3, 4], "2 was not asked for");
    assert_eq!(index.bytes(), 30);
    // What was fetched comes back, what is too large does not, and what is not known any more neither.
    index.keep_body(2, Arc::from([0; 10]));
    assert!(in_memory(&index).contains(&2) && index.bytes() == 30);
    index.keep_body(1, Arc::from([0; 31]));
    index.keep_body(9, Arc::from([0; 1]));
    assert_eq!(index.bytes(), 30);
}

#[test]
fn keys_are_remembered_by_what_was_sent() {
    let mut index = index(2, 0);
    let raw = |index: &Index, body: &str| index.raw_key(&[b"tenant"], body.as_bytes());
    let (a, b, c) = (raw(&index, "a"), raw(&index, "b"), raw(&index, "c"));
    assert!(a != b && a != index.raw_key(&[b"other"], b"a"));
    assert_ne!(a, self::index_of_another_process().raw_key(&[b"tenant"], b"a"));
    assert_eq!(index.remembered(a), None);
    index.remember(a, (1, 10));
    index.remember(b, (2, 20));
    index.remember(b, (3, 30));
    index.remember(c, (4, 40));
    assert_eq!([a, b, c].map(|raw| index.remembered(raw)), [Some((1, 10)), Some((3, 30)), Some((4, 40))]);
    for other in 0..4_u128 {
        index.remember(other, (5, 50));
    }
    assert_eq!([a, b, c].map(|raw| index.remembered(raw)), [None; 3]);
}

fn index_of_another_process() -> Index {
    Index::new(2, 0, [8; 16])
}

#[test]
fn entries_are_found_by_meaning_within_their_partition() {
    let mut index = index(10, 0);
    let question = "how do I reset the password of my account";
    index.insert(asking(1, 5, question), 0);
    let find = |index: &Index, partition, text, now_ms| {
        let asked = Asked { partition, model: 2, text, has_embedder: false, threshold: 0.95, draw: 0.5 };
        match index.similar(&asked, now_ms) {
            Similar::Found { key, similarity, .. } => Some((key, similarity > 0.99)),
            Similar::Nothing | Similar::NoVector | Similar::Refused { .. } => None,
        }
    };
    assert_eq!(find(&index, 5, question, 0), Some((1, true)));
    assert_eq!(find(&index, 6, question, 0), None);
    assert_eq!(find(&index, 5, "why is the sky blue at noon", 0), None);
    assert_eq!(find(&index, 5, question, HOUR), None);
    assert_eq!(find(&index, 5, "", 0), None);
    index.insert(asking(1, 6, question), 0);
    assert_eq!((find(&index, 5, question, 0), find(&index, 6, question, 0)), (None, Some((1, true))));
    index.remove(1);
    assert_eq!(find(&index, 6, question, 0), None);
    index.insert(asking(1, 6, question), 0);
    index.clear();
    assert_eq!(find(&index, 6, question, 0), None);
    // In a full index, too, the newest is found.
    for key in 0..30 {
        index.insert(asking(key, key % 3, question), 0);
    }
    assert_eq!(find(&index, 2, question, 0).map(|(key, _)| key % 3), Some(2));
}

#[test]
fn vectors_of_an_embedder_find_what_the_table_does_not() {
    let mut index = index(10, 0);
    let (asked, stored) = ("how do i restart the router", "how do i reset the router");
    let find = |index: &Index, partition, text| {
        let asked = Asked { partition, model: 2, text, has_embedder: true, threshold: 0.9, draw: 0.5 };
        match index.similar(&asked, 0) {
            Similar::Found { key, .. } => Some(key),
            Similar::Nothing | Similar::Refused { .. } => None,
            Similar::NoVector => Some(0),
        }
    };
    assert_eq!(find(&index, 5, asked), None, "there is nothing to find, with any vector");
    let vector = index.learn(5, stored, &[1.0, 2.0, 3.0]);
    assert!(vector.is_some());
    let meaning = Some(SemanticKey { partition: 5, text: stored.into(), vector });
    index.insert(Entry { meaning, ..entry(1, 0, None) }, 0);
    assert_eq!(find(&index, 5, asked), Some(0));
    assert!(index.learn(6, asked, &[1.0, 2.0, 3.0]).is_some());
    assert_eq!(find(&index, 5, asked), Some(0), "vectors of another partition are no use");
    assert!(index.learn(5, asked, &[0.0; 3]).is_none());
    assert!(index.learn(5, asked, &[1.0, 2.1, 2.9]).is_some());
    assert_eq!(find(&index, 5, asked), Some(1));
    assert!(index.learn(5, asked, &[3.0, 2.0, -1.0]).is_some());
    assert_eq!(find(&index, 5, asked), None);
    assert!(index.learn(5, asked, &[1.0, 2.0]).is_some());
    assert_eq!(find(&index, 5, asked), None, "of another dimension");
    index.clear();
    assert!(index.vector(5, asked).is_none());
}

#[test]
fn an_entry_is_proven_by_what_was_observed_of_it() {
    let mut index = index(10, 0);
    let question = "how do I reset the password of my account";
    index.insert(asking(1, 5, question), 0);
    let is_proven = |index: &Index, draw| {
        let asked =
            Asked { partition: 5, model: 2, text: question, has_embedder: false, threshold: 0.9, draw };
        match index.similar(&asked, 0) {
            Similar::Found { is_proven, .. } => is_proven,
            other => panic!("{other:?}"),
        }
    };
    assert!(!is_proven(&index, 0.99));
    let observe = |index: &mut Index, verdict, times: usize| {
        for _ in 0..times {
            let observation = index.observe(1, 2, 1.0, verdict, 0).unwrap();
            index.apply(&observation);
        }
    };
    observe(&mut index, Verdict::Correct, 2_000);
    assert!(is_proven(&index, 0.99));
    assert!(!is_proven(&index, 0.0), "now and then it is tested");
    let seen = |index: &Index| {
        index.evidence().map(|(model, seen)| (model, seen.report().len())).collect::<Vec<_>>()
    };
    assert!(matches!(*seen(&index), [(2, 1..)]));
    observe(&mut index, Verdict::Wrong, 50);
    assert!(!is_proven(&index, 0.99), "it is not any more");
    assert_eq!(index.observe(9, 2, 1.0, Verdict::Correct, 0), None);
    index.clear();
    assert!(seen(&index).is_empty(), "what is told again after that must not count twice");
}

#[test]
fn an_observation_is_of_one_entry() {
    let mut index = index(10, 0);
    index.insert(entry(1, 100, None), 0);
    let record = |index: &Index| index.observe(1, 2, 1.0, Verdict::Correct, 0).unwrap().record.index();
    let observation = index.observe(1, 2, 1.0, Verdict::Correct, 0).unwrap();
    index.apply(&observation);
    assert_eq!(record(&index), 1);
    index.insert(entry(1, 100, None), 0);
    assert_eq!(record(&index), 1, "the same entry was told once more");
    index.insert(entry(1, 101, None), 0);
    index.apply(&observation);
    assert_eq!(record(&index), 0, "it was of the one before");
    index.remove(1);
    index.apply(&observation);
    let [(2, evidence)] = *index.evidence().collect::<Vec<_>>() else { panic!() };
    assert_eq!(evidence.report()[0].seen.right.round(), 3.0, "for the model it counts all the same");
}

#[test]
fn names_have_stable_hashes_of_their_own() {
    assert_ne!(tenant_hash("team", "a"), tenant_hash("virtual_key", "a"));
    assert_ne!(tenant_hash("team", "a"), tenant_hash("team", "b"));
    assert_ne!(tenant_hash("everybody", ""), model_hash(""));
    // printf 'model\0fast' | sha256sum
    assert_eq!(model_hash("fast"), 0x9f96f69895e27998);
}

/// What an index does, with neither a bound on memory nor hashes.
#[derive(Debug, Clone)]
enum Action {
    Insert { key: u128, stored_ms: u64, ttl_ms: u64, size: usize },
    Keep { key: u128, size: usize },
    Remove(u128),
    Get(u128),
    Clear,
}

fn action() -> impl Strategy<Value = Action> {
    let key = 0..8_u128;
    prop_oneof![
        6 => (key.clone(), 0..100_u64, 1..60_u64, 0..40_usize).prop_map(|(key, stored_ms, ttl_ms, size)| {
            Action::Insert { key, stored_ms, ttl_ms, size }
        }),
        3 => (key.clone(), 0..40_usize).prop_map(|(key, size)| Action::Keep { key, size }),
        2 => key.clone().prop_map(Action::Remove),
        6 => key.prop_map(Action::Get),
        1 => Just(Action::Clear),
    ]
}

/// An observation of one of the entries of [`observing`], or of one that is not there.
fn observation() -> impl Strategy<Value = Observation> {
    let entry = (0..5_u128, 0..2_u64, 0..2_u64);
    (entry, 0..9_u8, 0.8..1.0_f32, 0..3_usize, 1..1_000_000_u32).prop_map(
        |((key, stored_ms, model), record, similarity, verdict, seen_s)| {
            let (record, verdict) = (Record::from_index(record).unwrap(), Verdict::ALL[verdict]);
            Observation { key, stored_ms, model, record, similarity, verdict, seen_s }
        },
    )
}

fn observing() -> Index {
    let mut index = index(10, 0);
    (0..4).for_each(|key| index.insert(entry(key, 0, None), 0));
    index
}

proptest! {
    /// Whoever has observed it, and whatever is known of the entries: who applies the same in the same order knows the
    /// same.
    #[test]
    fn all_workers_know_the_same(observations in prop::collection::vec(observation(), 0..200)) {
        let mut workers = [observing(), observing(), index(10, 0)];
        for observation in &observations {
            let told = Observation::decode(&observation.encode()).unwrap();
            workers.iter_mut().for_each(|worker| worker.apply(&told));
        }
        let evidence = |worker: &Index| {
            worker.evidence().map(|(model, evidence)| (model, evidence.clone())).collect::<HashMap<_, _>>()
        };
        prop_assert_eq!(evidence(&workers[0]), evidence(&workers[1]));
        prop_assert_eq!(evidence(&workers[0]), evidence(&workers[2]));
        for similarity in [0.8, 0.91, 0.999] {
            let of = |key, worker: &Index| worker.observe(key, 0, similarity, Verdict::Correct, 1_000);
            prop_assert!((0..4).all(|key| of(key, &workers[0]) == of(key, &workers[1])));
            prop_assert!((0..4).all(|key| of(key, &workers[2]).is_none()));
        }
    }

    #[test]
    fn it_does_what_a_list_does(actions in prop::collection::vec(action(), 0..80)) {
        const MEMORY: usize = 100;
        const MOST: usize = 4;
        let mut index = index(MOST, MEMORY);
        // Stored, expires, order of coming.
        let mut naive: HashMap<u128, (u64, u64, usize)> = HashMap::new();
        for (now, action) in actions.into_iter().enumerate() {
            let now_ms = now as u64;
            match action {
                Action::Insert { key, stored_ms, ttl_ms, size } => {
                    let expires_ms = stored_ms + ttl_ms;
                    let body = vec![key as u8; size];
                    index.insert(Entry { expires_ms, ..entry(key, stored_ms, Some(&body)) }, now_ms);
                    naive.remove(&key);
                    if expires_ms > now_ms {
                        let oldest = |naive: &HashMap<u128, (u64, u64, usize)>| {
                            naive.iter().min_by_key(|(_, (stored, _, came))| (*stored, *came)).map(|(key, kept)| (*key, *kept))
                        };
                        while let Some((key, (_, expires, _))) = oldest(&naive) && expires <= now_ms {
                            naive.remove(&key);
                        }
                        let full = naive.len() == MOST;
                        match oldest(&naive) {
                            Some((_, (stored, ..))) if full && stored > stored_ms => {}
                            Some((first, _)) if full => {
                                naive.remove(&first);
                                naive.insert(key, (stored_ms, expires_ms, now));
                            }
                            _ => _ = naive.insert(key, (stored_ms, expires_ms, now)),
                        }
                    }
                }
                Action::Keep { key, size } => index.keep_body(key, vec![key as u8; size].into()),
                Action::Remove(key) => prop_assert_eq!(index.remove(key), naive.remove(&key).is_some()),
                Action::Get(key) => {
                    let known = index.get(key, now_ms);
                    let expected = naive.get(&key).filter(|(_, expires, _)| now_ms < *expires);
                    prop_assert_eq!(
                        known.as_ref().map(|known| (known.check, known.age_ms)),
                        expected.map(|(stored, ..)| (!key, now_ms.saturating_sub(*stored)))
                    );
                    let body = known.and_then(|known| known.body).unwrap_or_default();
                    prop_assert!(body.iter().all(|byte| *byte == key as u8));
                }
                Action::Clear => {
                    index.clear();
                    naive.clear();
                }
            }
            prop_assert_eq!(index.len(), naive.len());
            prop_assert!(index.bytes() <= MEMORY);
            let in_memory = naive.keys().filter_map(|key| index.get(*key, 0)?.body);
            prop_assert_eq!(index.bytes(), in_memory.map(|body| body.len()).sum::<usize>());
        }
    }
}
