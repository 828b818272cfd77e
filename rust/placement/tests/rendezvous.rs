//! Rendezvous hashing against the definition, and what it promises when targets change.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use edgeroute_placement::{Error, Rendezvous, key};
use proptest::prelude::*;

fn targets(weights: &[u32]) -> Vec<(String, u32)> {
    (0..).zip(weights).map(|(number, &weight)| (format!("gpu-{number}"), weight)).collect()
}

fn rendezvous(targets: &[(String, u32)]) -> Rendezvous {
    Rendezvous::new(targets.iter().map(|(name, weight)| (name.as_str(), *weight))).unwrap()
}

fn keys(count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(|number| key(0, &number.to_le_bytes()))
}

fn chosen<'t>(targets: &'t [(String, u32)], rendezvous: &Rendezvous, key: u64) -> &'t str {
    &targets[usize::from(rendezvous.choose(key).unwrap())].0
}

proptest! {
    #[test]
    fn the_choice_is_the_first_of_the_order_and_the_order_has_all(
        weights in prop::collection::vec(0u32..5, 1..70),
        key in any::<u64>(),
    ) {
        prop_assume!(weights.iter().any(|&weight| weight > 0));
        let rendezvous = rendezvous(&targets(&weights));
        let order = rendezvous.order(key);
        prop_assert_eq!(rendezvous.choose(key), order.first().copied());
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        let expected: Vec<u16> = (0..weights.len() as u16).filter(|&at| weights[usize::from(at)] > 0).collect();
        prop_assert_eq!(sorted, expected);
    }

    #[test]
    fn without_a_target_all_others_keep_their_places(
        weights in prop::collection::vec(1u32..5, 2..20),
        gone in any::<prop::sample::Index>(),
        key in any::<u64>(),
    ) {
        let before = targets(&weights);
        let mut after = before.clone();
        let (gone, _) = after.remove(gone.index(weights.len()));
        let names = |targets: &[(String, u32)]| -> Vec<String> {
            rendezvous(targets).order(key).iter().map(|&at| targets[usize::from(at)].0.clone()).collect()
        };
        let mut expected = names(&before);
        expected.retain(|name| *name != gone);
        prop_assert_eq!(names(&after), expected);
    }

    #[test]
    fn more_weight_only_wins_keys(
        weights in prop::collection::vec(1u32..5, 2..20),
        grown in any::<prop::sample::Index>(),
        key in any::<u64>(),
    ) {
        let before = targets(&weights);
        let mut after = before.clone();
        let grown = grown.index(weights.len());
        after[grown].1 += 3;
        let (old, new) = (rendezvous(&before).choose(key), rendezvous(&after).choose(key));
        prop_assert!(old == new || new == Some(grown as u16));
    }

    #[test]
    fn how_targets_are_listed_makes_no_difference(
        weights in prop::collection::vec(1u32..5, 1..20),
        key in any::<u64>(),
    ) {
        let listed = targets(&weights);
        let reversed: Vec<_> = listed.iter().rev().cloned().collect();
        prop_assert_eq!(
            chosen(&listed, &rendezvous(&listed), key),
            chosen(&reversed, &rendezvous(&reversed), key)
        );
    }
}

#[test]
fn weights_are_kept_within_two_percent_over_a_million_keys() {
    let weights = [1, 2, 3, 4, 0];
    let rendezvous = rendezvous(&targets(&weights));
    let mut first = [0u32; 5];
    for key in keys(1_000_000) {
        first[usize::from(rendezvous.choose(key).unwrap())] += 1;
    }
    for (won, weight) in first.iter().zip(weights) {
        let expected = 100_000.0 * f64::from(weight);
        assert!((f64::from(*won) - expected).abs() <= 0.02 * expected, "weight {weight} won {won}");
    }
}

#[test]
fn a_target_that_comes_or_goes_moves_its_share_of_the_keys() {
    for count in [1, 2, 10, 50] {
        let listed = targets(&vec![1; count + 1]);
        let (fewer, more) = (rendezvous(&listed[..count]), rendezvous(&listed));
        let moved = keys(20_000).filter(|&key| fewer.choose(key) != more.choose(key)).count();
        let fair = 20_000 / (count + 1);
        assert!(moved * 10 <= fair * 11, "{moved} keys moved, {fair} would be fair");
    }
}

#[test]
fn a_lost_target_leaves_its_keys_to_the_others_by_weight() {
    let weights = [1, 1, 2, 4];
    let rendezvous = rendezvous(&targets(&weights));
    let mut second = [0u32; 4];
    for key in keys(400_000) {
        let order = rendezvous.order(key);
        if order[0] == 3 {
            second[usize::from(order[1])] += 1;
        }
    }
    for (won, expected) in second.iter().zip([50_000.0, 50_000.0, 100_000.0, 0.0]) {
        assert!((f64::from(*won) - expected).abs() <= 0.02 * expected, "{second:?}");
    }
}

#[test]
fn choices_never_move() {
    // Hosts with different versions must agree: if this fails, every conversation moves.
    let rendezvous = rendezvous(&targets(&[1, 1, 2, 1, 3, 1, 1, 1]));
    let choices: Vec<u16> = keys(24).map(|key| rendezvous.choose(key).unwrap()).collect();
    assert_eq!(choices, GOLDEN);
}

const GOLDEN: [u16; 24] = [6, 7, 7, 3, 2, 7, 4, 1, 1, 2, 2, 4, 2, 2, 1, 2, 2, 3, 3, 6, 3, 1, 7, 4];

#[test]
fn bad_targets_are_refused() {
    let check = |targets: &[(&str, u32)], expected: Error| {
        assert_eq!(Rendezvous::new(targets.iter().copied()), Err(expected), "{targets:?}");
    };
    check(&[], Error::NoTargets);
    check(&[("a", 0), ("b", 0)], Error::NoTargets);
    check(&[("a", 1), ("b", 1), ("a", 2)], Error::Duplicate { name: "a".into() });
}
