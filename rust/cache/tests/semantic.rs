//! The semantic cache against a list of entries.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use edgeroute_cache::{Found, SemanticCache};
use proptest::collection::vec;
use proptest::prelude::*;

const TEXTS: [&str; 6] = [
    "how do i reset my password",
    "how do i reset my router",
    "what is the capital of France",
    "who is the president of France",
    "where is the nearest station",
    "🙂 …",
];

#[derive(Clone, Debug)]
enum Change {
    Insert { partition: u128, entry: u64, text: usize, expires_s: u32 },
    Remove { entry: u64 },
    Expire { now_s: u32 },
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (0u128..3, 0u64..12, 0..TEXTS.len(), 0u32..40)
            .prop_map(|(partition, entry, text, expires_s)| Change::Insert { partition, entry, text, expires_s }),
        2 => (0u64..12).prop_map(|entry| Change::Remove { entry }),
        1 => (0u32..40).prop_map(|now_s| Change::Expire { now_s }),
    ]
}

proptest! {
    #[test]
    fn it_is_a_list_whose_oldest_goes_first(
        changes in vec(change(), 0..60),
        capacity in 0usize..8,
        (partition, asked, now_s) in (0u128..3, 0..TEXTS.len(), 0u32..40),
    ) {
        let mut cache = SemanticCache::new(capacity);
        let mut list: Vec<(u128, u64, &str, u32)> = Vec::new();
        for change in changes {
            match change {
                Change::Insert { partition, entry, text, expires_s } => {
                    let text = TEXTS[text];
                    list.retain(|old| old.1 != entry);
                    let kept = capacity > 0 && text.is_ascii();
                    prop_assert_eq!(cache.insert(partition, entry, text, expires_s), kept);
                    if kept {
                        if list.len() == capacity {
                            list.remove(0);
                        }
                        list.push((partition, entry, text, expires_s));
                    }
                }
                Change::Remove { entry } => {
                    prop_assert_eq!(cache.remove(entry), list.iter().any(|old| old.1 == entry));
                    list.retain(|old| old.1 != entry);
                }
                Change::Expire { now_s } => {
                    cache.expire(now_s);
                    list.retain(|old| old.3 > now_s);
                }
            }
            prop_assert_eq!(cache.len(), list.len());
        }
        let same: Vec<u64> = list
            .iter()
            .filter(|entry| entry.0 == partition && entry.2 == TEXTS[asked] && entry.3 > now_s)
            .map(|entry| entry.1)
            .collect();
        match cache.find(partition, TEXTS[asked], 0.95, now_s) {
            Found::Hit { entry, similarity } => {
                prop_assert!(same.contains(&entry), "{entry} is not among {same:?}");
                prop_assert!(similarity >= 0.999);
            }
            other => prop_assert!(same.is_empty(), "{other:?} instead of one of {same:?}"),
        }
    }
}

#[test]
fn the_nearest_come_first_and_expired_ones_not_at_all() {
    let mut cache = SemanticCache::new(100);
    for (entry, text) in (0..).zip(TEXTS) {
        cache.insert(1, entry, text, if entry == 0 { 10 } else { 100 });
    }
    let embedding = edgeroute_cache::embed(TEXTS[0]).unwrap();
    let entries = |now_s| {
        let near = cache.nearest(1, TEXTS[0], &embedding, 3, now_s);
        assert!(near.is_sorted_by(|one, other| one.similarity >= other.similarity));
        near.iter().map(|near| near.entry).collect::<Vec<_>>()
    };
    assert_eq!(entries(0)[..2], [0, 1]);
    assert_eq!(entries(10)[0], 1);
    assert!(entries(100).is_empty());
    assert!(!matches!(cache.find(1, TEXTS[0], 0.99, 10), Found::Hit { .. }));
    assert_eq!(cache.find(2, TEXTS[0], 0.99, 0), Found::Nothing);
}

/// What a search finds is what a look at everything finds, whether the words are the same or only the vectors near.
#[test]
fn nothing_that_would_do_is_overlooked() {
    let starts = ["", "Hi, ", "please tell me ", "Can you tell me "];
    let cores = [
        "how do I reset my password",
        "how can I reset my password",
        "my password, how do I reset it",
        "how do I reset my passwords",
        "how do I reset 2 passwords",
        "how did I reset my password",
        "how do I reset my router",
        "fly from Rome to Oslo",
        "fly from Oslo to Rome",
        "in Rome, how do I fly",
    ];
    let ends = ["", "?", " please", " thanks!"];
    let texts: Vec<String> = starts
        .iter()
        .flat_map(|start| cores.iter().map(move |core| format!("{start}{core}")))
        .flat_map(|text| ends.map(|end| format!("{text}{end}")))
        .collect();
    let mut far_hits = 0;
    for stored in texts.chunks(8) {
        let mut cache = SemanticCache::new(100);
        (0..).zip(stored).for_each(|(entry, text)| _ = cache.insert(1, entry, text, u32::MAX));
        for (asked, threshold) in texts.iter().flat_map(|asked| [0.05, 0.5, 0.9, 0.95].map(|t| (asked, t))) {
            let embedding = edgeroute_cache::embed(asked).unwrap();
            let near = cache.nearest(1, asked, &embedding, 100, 0);
            let best = near.iter().find(|near| near.confidence >= threshold && near.veto.is_none());
            match (cache.find(1, asked, threshold, 0), best) {
                (Found::Hit { similarity, .. }, Some(best)) => {
                    assert_eq!(similarity, best.similarity, "{asked}, {threshold}: {near:?}");
                    far_hits += usize::from(similarity < threshold);
                }
                (found, best) => {
                    assert!(
                        !matches!(found, Found::Hit { .. }) && best.is_none(),
                        "{asked}: {found:?}, {best:?}"
                    );
                }
            }
        }
    }
    assert!(far_hits > 100, "{far_hits}");
}

/// Entries that are expired and nobody has removed are no obstacle, however many are nearer.
#[test]
fn an_expired_crowd_hides_nothing() {
    let mut cache = SemanticCache::new(100);
    (0..20).for_each(|entry| _ = cache.insert(1, entry, TEXTS[0], 5));
    cache.insert(1, 99, TEXTS[0], 50);
    assert!(matches!(cache.find(1, TEXTS[0], 0.95, 5), Found::Hit { entry: 99, .. }));
    assert_eq!(cache.len(), 21);
}
