//! The index against a map, and under threads.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use edgeroute_placement::{AffinityIndex, Error, SLOTS, Slot, key, splitmix};
use proptest::prelude::*;

fn memory(words: usize) -> Vec<AtomicU64> {
    (0..words).map(|_| AtomicU64::new(0)).collect()
}

fn slot(number: usize) -> Slot {
    Slot::new(number).unwrap()
}

fn block(number: u64) -> u64 {
    key(0, &number.to_le_bytes())
}

#[derive(Clone, Debug)]
enum Step {
    Insert { from: u64, length: u64, slot: usize },
    Reset { slot: usize },
    Lifetime { slot: usize, seconds: Option<u32> },
    Wait { seconds: u32 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0u64..40, 1u64..8, 0usize..SLOTS)
            .prop_map(|(from, length, slot)| Step::Insert { from, length, slot: slot % 7 * 10 }),
        1 => (0usize..7).prop_map(|slot| Step::Reset { slot: slot * 10 }),
        1 => (0usize..7, prop::option::of(1u32..20))
            .prop_map(|(slot, seconds)| Step::Lifetime { slot: slot * 10, seconds }),
        2 => (0u32..10).prop_map(|seconds| Step::Wait { seconds }),
    ];
    prop::collection::vec(step, 1..60)
}

/// What the index is meant to know: of each block, who holds it and when it was last inserted for anybody.
#[derive(Default)]
struct Twin {
    blocks: HashMap<u64, (Vec<usize>, u32)>,
    resets: HashMap<usize, u32>,
    lifetimes: HashMap<usize, u32>,
}

impl Twin {
    fn holders(&self, block: u64, now: u32) -> Vec<usize> {
        let Some((holders, stamp)) = self.blocks.get(&block) else { return Vec::new() };
        let counts = |slot: &usize| {
            self.resets.get(slot).is_none_or(|reset| stamp > reset)
                && self.lifetimes.get(slot).is_none_or(|lifetime| now - stamp <= *lifetime)
        };
        holders.iter().copied().filter(counts).collect()
    }

    fn insert(&mut self, block: u64, slot: usize, now: u32) {
        let mut holders = self.holders(block, now);
        holders.push(slot);
        self.blocks.insert(block, (holders, now));
    }

    fn mask(&self, block: u64, now: u32) -> u64 {
        self.holders(block, now).iter().fold(0, |mask, slot| mask | 1 << slot)
    }
}

proptest! {
    #[test]
    fn knows_what_a_map_knows_while_there_is_room(steps in steps(), start in 0u32..1 << 26) {
        let words = memory(AffinityIndex::LEAST_WORDS + 4096 * 8);
        let index = AffinityIndex::new(&words).unwrap();
        let mut twin = Twin::default();
        let mut now = start;
        for step in steps {
            match step {
                Step::Insert { from, length, slot: number } => {
                    let chain: Vec<u64> = (from..from + length).map(block).collect();
                    index.insert(&chain, slot(number), now);
                    chain.iter().for_each(|&block| twin.insert(block, number, now));
                }
                Step::Reset { slot: number } => {
                    index.reset(slot(number), now);
                    twin.resets.insert(number, now);
                }
                Step::Lifetime { slot: number, seconds } => {
                    index.set_lifetime(slot(number), seconds);
                    match seconds {
                        Some(seconds) => twin.lifetimes.insert(number, seconds),
                        None => twin.lifetimes.remove(&number),
                    };
                }
                Step::Wait { seconds } => now += seconds,
            }
            for number in 0..48 {
                prop_assert_eq!(index.seen(block(number), now), twin.mask(block(number), now), "block {}", number);
            }
        }
    }

    #[test]
    fn depths_are_the_common_beginnings(
        seed in any::<u64>(),
        length in 0usize..40,
        asked in any::<u64>(),
    ) {
        let words = memory(AffinityIndex::LEAST_WORDS + 4096 * 8);
        let index = AffinityIndex::new(&words).unwrap();
        let chain: Vec<u64> = (0..length as u64).map(block).collect();
        let mut state = seed;
        let held: Vec<usize> =
            (0..SLOTS).map(|_| splitmix(&mut state) as usize % (length + 1)).collect();
        for (number, &held) in held.iter().enumerate() {
            index.insert(&chain[..held], slot(number), 5);
        }
        let mut depths = [u16::MAX; SLOTS];
        index.depths(&chain, asked, 6, &mut depths);
        for (number, &held) in held.iter().enumerate() {
            let expected = if asked >> number & 1 == 1 { held as u16 } else { u16::MAX };
            prop_assert_eq!(depths[number], expected);
        }
    }
}

#[test]
fn a_full_index_keeps_what_was_used_last_and_invents_nothing() {
    let words = memory(AffinityIndex::LEAST_WORDS + 1024 + 64);
    let (words, beyond) = words.split_at(words.len() - 64);
    let index = AffinityIndex::new(words).unwrap();
    assert_eq!(index.capacity(), (1024 + 8) / 2, "two words per block");
    let latest = index.capacity() as u64 * 10;
    for number in 0..latest {
        index.insert(&[block(number)], slot((number % 64) as usize), number as u32);
    }
    let seen = |number| index.seen(block(number), latest as u32);
    for number in 0..latest {
        assert!([0, 1 << (number % 64)].contains(&seen(number)), "block {number} has another's mask");
    }
    let left = (0..latest).filter(|&number| seen(number) != 0).count();
    assert!(left <= index.capacity(), "{left} blocks are known");
    assert!(beyond.iter().all(|word| word.load(Ordering::Relaxed) == 0), "other memory stays as it is");
    let recent = (latest - index.capacity() as u64 / 4..latest).filter(|&number| seen(number) != 0).count();
    assert!(recent * 100 >= index.capacity() / 4 * 95, "{recent} of the latest quarter are left");
}

#[test]
fn threads_lose_nothing_but_entries() {
    // Few buckets and few blocks, so that threads meet: each block is only ever inserted for the slots of its number.
    const BLOCKS: u64 = 400;
    let allowed = |number: u64| 0x0101_0101_0101_0101u64 << (number % 8);
    let words = memory(AffinityIndex::LEAST_WORDS + 32 * 8);
    let index = AffinityIndex::new(&words).unwrap();
    let found = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let found = &found;
            scope.spawn(move || {
                let mut state = thread;
                for turn in 0..60_000u32 {
                    let number = splitmix(&mut state) % BLOCKS;
                    let own = slot((number % 8 + splitmix(&mut state) % 8 * 8) as usize);
                    index.insert(&[block(number)], own, turn / 1000);
                    let other = splitmix(&mut state) % BLOCKS;
                    let seen = index.seen(block(other), turn / 1000);
                    assert_eq!(seen & !allowed(other), 0, "block {other} was never seen by {seen:#x}");
                    found.fetch_add(u64::from(seen != 0), Ordering::Relaxed);
                    if turn % 5000 == 0 {
                        index.reset(own, turn / 1000);
                    }
                }
            });
        }
    });
    assert!(found.into_inner() > 10_000, "the index holds something meanwhile");
}

#[test]
fn arbitrary_memory_does_no_harm() {
    let mut state = 3;
    let words: Vec<AtomicU64> =
        (0..AffinityIndex::LEAST_WORDS + 77).map(|_| AtomicU64::new(splitmix(&mut state))).collect();
    let index = AffinityIndex::new(&words).unwrap();
    for number in 0..1000 {
        index.insert(&[block(number)], slot((number % 64) as usize), number as u32);
        index.seen(block(number + 1), u32::MAX);
        index.set_lifetime(slot(3), Some(u32::MAX));
        index.reset(slot(5), u32::MAX);
    }
}

#[test]
fn times_may_wrap_and_clocks_may_differ_by_a_moment() {
    for now in [0, 5, (1 << 24) - 1, 1 << 24, u32::MAX - 2] {
        let words = memory(AffinityIndex::LEAST_WORDS + 64);
        let index = AffinityIndex::new(&words).unwrap();
        index.set_lifetime(slot(1), Some(10));
        index.insert(&[block(1)], slot(1), now + 1);
        assert_eq!(index.seen(block(1), now), 2, "at {now}: inserted by one whose clock is ahead");
        index.reset(slot(1), now + 2);
        assert_eq!(index.seen(block(1), now + 2), 0, "at {now}: reset");
    }
}

#[test]
fn too_little_memory_and_too_many_targets_are_refused() {
    let least = AffinityIndex::LEAST_WORDS;
    for words in [0, 1, least - 1] {
        let error = AffinityIndex::new(&memory(words)).err();
        assert_eq!(error, Some(Error::TooLittleMemory { words, least }));
    }
    assert_eq!(AffinityIndex::new(&memory(least)).unwrap().capacity(), 4);
    assert_eq!(Slot::new(64), Err(Error::TooManyTargets { count: 65, most: 64 }));
    assert!(Slot::new(63).is_ok());
}
