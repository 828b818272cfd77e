//! The bank against a list that compares everything, and how much its search misses.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod random;

use edgeroute_cache::{Bank, Match, Quantised, Rotation, Vector};
use proptest::collection::vec;
use proptest::prelude::*;
use random::Random;

/// What a bank is, as a list.
#[derive(Default)]
struct Naive(Vec<(u32, Quantised)>);

impl Naive {
    fn within(&self, query: &Quantised, threshold: f32, most: usize) -> Vec<Match> {
        let cosines = self.0.iter().map(|(id, vector)| {
            let cosine = Vector::from(query).cosine(vector.into());
            Match { id: *id, cosine }
        });
        let mut matches: Vec<Match> = cosines.filter(|found| found.cosine >= threshold).collect();
        matches.sort_by(|left, right| right.cosine.total_cmp(&left.cosine));
        matches.truncate(most);
        matches
    }
}

#[derive(Clone, Debug)]
enum Change {
    Insert { near: u8, noise: u64 },
    Remove { at: usize },
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (0u8..4, any::<u64>()).prop_map(|(near, noise)| Change::Insert { near, noise }),
        1 => (0usize..40).prop_map(|at| Change::Remove { at }),
    ]
}

proptest! {
    /// Few vectors around few centres, of odd dimensions too: what it finds, in which order, and where things move.
    #[test]
    fn it_is_a_list_that_is_searched(
        changes in vec(change(), 0..60),
        dimensions in prop_oneof![Just(1usize), Just(3), Just(64), Just(100), Just(256), Just(384)],
        threshold in -1.5f32..0.01,
        most in 0usize..12,
    ) {
        let rotation = Rotation::new(dimensions, 7);
        let (mut bank, mut naive) = (Bank::new(dimensions), Naive::default());
        for (id, change) in (0u32..).zip(changes) {
            match change {
                Change::Insert { near, noise } => {
                    let vector = vector_near(&rotation, near, noise);
                    prop_assert_eq!(bank.insert(id, &vector), Some(naive.0.len()));
                    naive.0.push((id, vector));
                }
                Change::Remove { at } => {
                    let moved = bank.remove(at);
                    let expected = (at + 1 < naive.0.len()).then(|| naive.0[naive.0.len() - 1].0);
                    prop_assert_eq!(moved, expected);
                    if at < naive.0.len() {
                        naive.0.swap_remove(at);
                    }
                }
            }
            prop_assert_eq!(bank.len(), naive.0.len());
        }
        let query = vector_near(&rotation, 1, 1);
        let (found, expected) = (bank.within(&query, threshold, most), naive.within(&query, threshold, most));
        let cosines = |matches: &[Match]| matches.iter().map(|found| found.cosine).collect::<Vec<_>>();
        prop_assert_eq!(cosines(&found), cosines(&expected));
    }
}

fn vector_near(rotation: &Rotation, centre: u8, noise: u64) -> Quantised {
    let (mut centre, mut noise) = (Random(u64::from(centre) + 1), Random(noise));
    let values: Vec<f32> =
        (0..rotation.dimensions()).map(|_| centre.uniform() + 0.3 * noise.uniform() + 0.001).collect();
    rotation.quantise(&values).unwrap()
}

#[test]
fn removals_move_vectors_from_one_block_to_another() {
    let (rotation, mut random) = (Rotation::new(16, 1), Random(1));
    let (mut bank, mut naive) = (Bank::new(16), Naive::default());
    for id in 0..3000 {
        let vector = rotation.quantise(&random.vector(16)).unwrap();
        bank.insert(id, &vector);
        naive.0.push((id, vector));
    }
    for _ in 0..2500 {
        let at = (random.next() % naive.0.len() as u64) as usize;
        bank.remove(at);
        naive.0.swap_remove(at);
    }
    assert_eq!(bank.len(), 500);
    for id in [0, 100, 499] {
        let query = naive.0[id].1.clone();
        assert_eq!(bank.within(&query, 0.5, 500).to_vec(), naive.within(&query, 0.5, 500));
    }
    (0..500).for_each(|_| _ = bank.remove(0));
    assert!(bank.is_empty() && bank.remove(0).is_none());
}

/// The stated recall, where it is least: pairs that are just as far apart as asked for.
#[test]
fn of_vectors_just_at_the_threshold_five_of_a_thousand_are_missed_at_most() {
    for (dimensions, threshold) in [(256, 0.8_f32), (256, 0.95), (384, 0.92)] {
        let (rotation, mut random) = (Rotation::new(dimensions, 1), Random(7));
        let (mut near, mut found) = (0, 0);
        for _ in 0..1200 {
            let (one, other) = (random.unit(dimensions), random.unit(dimensions));
            let across = (1.0 - threshold * threshold).sqrt();
            let apart: Vec<f32> =
                one.iter().zip(&other).map(|(one, other)| threshold * one + across * other).collect();
            let (one, apart) = (rotation.quantise(&one).unwrap(), rotation.quantise(&apart).unwrap());
            let (mut bank, mut naive) = (Bank::new(dimensions), Naive::default());
            bank.insert(1, &apart);
            naive.0.push((1, apart));
            near += naive.within(&one, threshold, 1).len();
            found += bank.within(&one, threshold, 1).len();
        }
        assert!(near > 400);
        let missed = (near - found) as f32 / near as f32;
        assert!(missed < 0.005, "{dimensions} dimensions, threshold {threshold}: {missed} are missed");
    }
}

#[test]
fn other_dimensions_are_no_matches() {
    let mut bank = Bank::new(4);
    let (short, long) = (Rotation::new(4, 1), Rotation::new(8, 1));
    let vector = short.quantise(&[1.0, 2.0, 3.0, 4.0]).unwrap();
    let other = long.quantise(&[1.0; 8]).unwrap();
    assert_eq!(bank.insert(1, &other), None);
    assert_eq!(bank.insert(1, &vector), Some(0));
    assert!(bank.within(&other, -1.0, 8).is_empty());
    assert_eq!(bank.within(&vector, 0.999, 8).len(), 1);
}

proptest! {
    #[test]
    fn a_rotation_keeps_angles(
        pair in (1usize..300).prop_flat_map(|dimensions| vec((-9f32..9.0, -9f32..9.0), dimensions)),
        size in -18i32..18,
    ) {
        let (one, other): (Vec<f32>, Vec<f32>) = pair.into_iter().unzip();
        let length = |vector: &[f32]| vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        prop_assume!(length(&one) > 0.1 && length(&other) > 0.1);
        let product: f32 = one.iter().zip(&other).map(|(one, other)| one * other).sum();
        let cosine = product / length(&one) / length(&other);
        let large: Vec<f32> = one.iter().map(|value| value * 10f32.powi(size)).collect();
        let rotation = Rotation::new(one.len(), 3);
        let (one, other) = (rotation.quantise(&large).unwrap(), rotation.quantise(&other).unwrap());
        prop_assert!((Vector::from(&one).cosine((&other).into()) - cosine).abs() < 0.02);
        prop_assert!((Vector::from(&one).cosine((&one).into()) - 1.0).abs() < 1e-5);
    }
}

#[test]
fn vectors_that_are_none() {
    let rotation = Rotation::new(3, 1);
    for vector in
        [&[0.0; 3][..], &[], &[1.0; 2], &[1.0; 4], &[1.0, f32::NAN, 1.0], &[f32::INFINITY, 1.0, 1.0]]
    {
        assert!(rotation.quantise(vector).is_none(), "{vector:?}");
    }
    assert!(Rotation::new(0, 1).quantise(&[]).is_none());
    for vector in [[f32::MAX; 3], [1e-30; 3], [f32::MAX, -1.0, 1e-30]] {
        assert!(rotation.quantise(&vector).is_some(), "{vector:?}");
    }
}
