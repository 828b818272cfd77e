//! The ring against a naive twin, and what it promises.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use edgeroute_placement::{Error, Ring, key, splitmix};
use proptest::prelude::*;

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("gpu-{number}")).collect()
}

fn ring(names: &[String], weights: &[u32], virtual_nodes: u32, bound_percent: u32) -> Ring {
    Ring::new(names.iter().map(String::as_str).zip(weights.iter().copied()), virtual_nodes, bound_percent)
        .unwrap()
}

fn keys(count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(|number| key(0, &number.to_le_bytes()))
}

/// The most requests that the paper lets a target have when there are `requests`.
fn capacity(requests: u64, percent: u32, weight: u32, total_weight: u32) -> u64 {
    (requests * u64::from(percent) * u64::from(weight)).div_ceil(100 * u64::from(total_weight))
}

/// All points in one list, walked from the beginning, capacities computed as the paper writes them.
fn naive(
    names: &[String],
    weights: &[u32],
    virtual_nodes: u32,
    percent: u32,
    key_of_request: u64,
    loads: &[Option<u32>],
) -> Option<u16> {
    let mut points: Vec<(u64, u16)> = Vec::new();
    for (target, name) in names.iter().enumerate() {
        for number in 1..=u64::from(virtual_nodes) * u64::from(weights[target]) {
            points.push((key(number, name.as_bytes()), target as u16));
        }
    }
    points.sort_unstable();
    let requests = 1 + loads.iter().flatten().map(|&load| u64::from(load)).sum::<u64>();
    let total = loads.iter().zip(weights).filter(|(load, _)| load.is_some()).map(|(_, weight)| weight).sum();
    let (wrapped, ahead): (Vec<_>, Vec<_>) = points.into_iter().partition(|(at, _)| *at < key_of_request);
    ahead.into_iter().chain(wrapped).map(|(_, target)| target).find(|&target| {
        let target = usize::from(target);
        loads[target]
            .is_some_and(|load| u64::from(load) < capacity(requests, percent, weights[target], total))
    })
}

proptest! {
    #[test]
    fn chooses_as_the_paper_says(
        weights in prop::collection::vec(0u32..4, 1..12),
        virtual_nodes in 1u32..20,
        percent in 100u32..300,
        key in any::<u64>(),
        seed in any::<u64>(),
    ) {
        prop_assume!(weights.iter().any(|&weight| weight > 0));
        let mut state = seed;
        let loads: Vec<Option<u32>> = weights
            .iter()
            .map(|_| Some((splitmix(&mut state) % 30) as u32).filter(|load| load % 7 != 3))
            .collect();
        let names = names(weights.len());
        prop_assert_eq!(
            ring(&names, &weights, virtual_nodes, percent).choose(key, &loads),
            naive(&names, &weights, virtual_nodes, percent, key, &loads)
        );
    }

    #[test]
    fn nobody_is_ever_above_its_bound(
        weights in prop::collection::vec(1u32..4, 1..12),
        percent in 100u32..200,
        seed in any::<u64>(),
    ) {
        let names = names(weights.len());
        let ring = ring(&names, &weights, 16, percent);
        let total = weights.iter().sum();
        let mut loads: Vec<Option<u32>> = vec![Some(0); weights.len()];
        let mut state = seed;
        for requests in 1..300 {
            // Half of the keys are the same one.
            let key = if splitmix(&mut state).is_multiple_of(2) { 0 } else { splitmix(&mut state) };
            let target = usize::from(ring.choose(key, &loads).unwrap());
            *loads[target].as_mut().unwrap() += 1;
            let most = capacity(requests, percent, weights[target], total);
            prop_assert!(u64::from(loads[target].unwrap()) <= most);
        }
    }

    #[test]
    fn without_a_target_only_its_keys_move(
        weights in prop::collection::vec(1u32..4, 2..12),
        gone in any::<prop::sample::Index>(),
        key in any::<u64>(),
    ) {
        let gone = gone.index(weights.len());
        let names = names(weights.len());
        let before = ring(&names, &weights, 16, 125);
        let without = |list: &[u32]| -> Vec<u32> {
            list.iter().enumerate().map(|(at, &weight)| if at == gone { 0 } else { weight }).collect()
        };
        let mut expected = before.order(key);
        expected.retain(|target| usize::from(*target) != gone);
        prop_assert_eq!(ring(&names, &without(&weights), 16, 125).order(key), expected);
    }

    #[test]
    fn more_weight_only_wins_keys(
        weights in prop::collection::vec(1u32..4, 2..12),
        grown in any::<prop::sample::Index>(),
        key in any::<u64>(),
    ) {
        let grown = grown.index(weights.len());
        let names = names(weights.len());
        let mut more = weights.clone();
        more[grown] += 2;
        let old = ring(&names, &weights, 16, 125).order(key)[0];
        let new = ring(&names, &more, 16, 125).order(key)[0];
        prop_assert!(old == new || usize::from(new) == grown);
    }
}

#[test]
fn a_target_that_comes_or_goes_moves_its_share_of_the_keys() {
    for count in [2usize, 10, 50] {
        let names = names(count + 1);
        let fewer = ring(&names[..count], &vec![1; count], 256, 125);
        let more = ring(&names, &vec![1; count + 1], 256, 125);
        let idle = vec![Some(0); count + 1];
        let moved =
            keys(20_000).filter(|&key| fewer.choose(key, &idle[..count]) != more.choose(key, &idle)).count();
        let share = moved as f64 / 20_000.0;
        let fair = 1.0 / (count + 1) as f64;
        assert!((0.7 * fair..1.3 * fair).contains(&share), "{share} of the keys moved, {fair} would be fair");
    }
}

#[test]
fn shares_follow_the_weights() {
    let names = names(4);
    let ring = ring(&names, &[1, 2, 4, 0], 512, 125);
    let mut won = [0u32; 4];
    for key in keys(200_000) {
        won[usize::from(ring.choose(key, &[Some(0); 4]).unwrap())] += 1;
    }
    for (won, weight) in won.iter().zip([1.0, 2.0, 4.0, 0.0]) {
        let expected = 200_000.0 * weight / 7.0;
        assert!((f64::from(*won) - expected).abs() <= 0.1 * expected, "weight {weight} won {won}");
    }
}

#[test]
fn choices_never_move() {
    // Hosts with different versions must agree: if this fails, every conversation moves.
    let names = names(8);
    let ring = ring(&names, &[1, 1, 2, 1, 3, 1, 1, 1], 256, 125);
    let loads = [0, 3, 1, 0, 5, 0, 9, 1].map(Some);
    let choices: Vec<u16> = keys(24).map(|key| ring.choose(key, &loads).unwrap()).collect();
    assert_eq!(choices, GOLDEN);
}

const GOLDEN: [u16; 24] = [2, 7, 0, 4, 4, 4, 7, 5, 7, 3, 0, 4, 5, 5, 4, 7, 3, 5, 2, 7, 7, 4, 2, 5];

#[test]
fn who_takes_nothing_gets_nothing() {
    let names = names(3);
    let ring = ring(&names, &[1, 1, 1], 64, 125);
    for key in keys(100) {
        assert_eq!(
            ring.choose(key, &[None, Some(50), None]),
            Some(1),
            "the bound is that of those who take part"
        );
        assert_eq!(ring.choose(key, &[None, None, None]), None);
        assert_eq!(ring.choose(key, &[]), None);
        assert_eq!(ring.order(key).len(), 3);
    }
}

#[test]
fn ten_thousand_targets_work() {
    let names = names(10_000);
    let ring = ring(&names, &vec![1; 10_000], 64, 125);
    let loads = vec![Some(0); 10_000];
    let mut met: Vec<u16> = keys(1_000).map(|key| ring.choose(key, &loads).unwrap()).collect();
    met.sort_unstable();
    met.dedup();
    assert!(met.len() > 800, "a thousand keys went to {} targets", met.len());
}

#[test]
fn bad_rings_are_refused() {
    let check = |targets: &[(&str, u32)], virtual_nodes, percent, expected: Error| {
        assert_eq!(Ring::new(targets.iter().copied(), virtual_nodes, percent), Err(expected), "{targets:?}");
    };
    check(&[], 256, 125, Error::NoTargets);
    check(&[("a", 0)], 256, 125, Error::NoTargets);
    check(&[("a", 1)], 0, 125, Error::NoVirtualNodes);
    check(&[("a", 1)], 256, 99, Error::Bound { percent: 99 });
    check(&[("a", 1), ("a", 1)], 256, 125, Error::Duplicate { name: "a".into() });
    let points = 256 * u64::from(u32::MAX);
    check(&[("a", u32::MAX)], 256, 125, Error::TooManyPoints { points, most: Ring::MAX_POINTS });
}
