//! Turns, loads, latency and price: against naive twins and by example.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use edgeroute_placement::{
    Error, Latency, Load, PeakEwma, PrefillRate, Price, RoundRobin, Tokens, TokensPerByte, cheapest,
    least_load, power_of_two,
};
use proptest::prelude::*;

/// The rule of nginx, as it runs there: credits live on from turn to turn.
fn nginx(weights: &[u32], turns: usize) -> Vec<u16> {
    let mut credits = vec![0i64; weights.len()];
    let total: i64 = weights.iter().map(|&weight| i64::from(weight)).sum();
    (0..turns)
        .map(|_| {
            let mut best = None;
            for (at, &weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0) {
                credits[at] += i64::from(weight);
                if best.is_none_or(|best: usize| credits[at] > credits[best]) {
                    best = Some(at);
                }
            }
            credits[best.unwrap()] -= total;
            best.unwrap() as u16
        })
        .collect()
}

fn loads() -> impl Strategy<Value = Vec<Load>> {
    let load = (0u64..50, 0u32..4).prop_map(|(tokens, weight)| Load { tokens, weight });
    prop::collection::vec(load, 0..20)
}

proptest! {
    #[test]
    fn turns_are_those_of_nginx(weights in prop::collection::vec(0u32..40, 1..12)) {
        prop_assume!(weights.iter().any(|&weight| weight > 0));
        let round = RoundRobin::new(&weights).unwrap();
        let expected = nginx(&weights, 500);
        let turns: Vec<u16> = (0..500).map(|turn| round.at(turn)).collect();
        prop_assert_eq!(turns, expected);
    }

    #[test]
    fn least_load_is_the_least(loads in loads(), tokens in 0u64..50, seed in any::<u64>()) {
        let filled = |load: &Load| (load.tokens + tokens) as f64 / f64::from(load.weight);
        let least = loads.iter().filter(|load| load.weight > 0).map(filled).reduce(f64::min);
        let chosen = least_load(&loads, tokens, seed).map(|at| filled(&loads[usize::from(at)]));
        prop_assert_eq!(chosen, least);
    }

    #[test]
    fn the_busiest_of_many_is_never_one_of_two(loads in loads(), tokens in 1u64..50, seed in any::<u64>()) {
        let chosen = power_of_two(&loads, tokens, seed);
        let usable: Vec<usize> = (0..loads.len()).filter(|&at| loads[at].weight > 0).collect();
        match chosen {
            None => prop_assert!(usable.is_empty()),
            Some(chosen) => {
                let filled = |at: usize| (loads[at].tokens + tokens) as f64 / f64::from(loads[at].weight);
                let chosen = usize::from(chosen);
                prop_assert!(usable.contains(&chosen));
                let is_last = usable.iter().all(|&at| at == chosen || filled(at) < filled(chosen));
                prop_assert!(usable.len() == 1 || !is_last, "two different ones are drawn");
            }
        }
    }

    #[test]
    fn a_latency_stays_between_its_samples(
        samples in prop::collection::vec((0.0f32..1e5, 0u32..60_000), 1..40),
        start in any::<u32>(),
    ) {
        let mut mean = PeakEwma::default();
        let mut now = start;
        for (sample, wait) in &samples {
            now = now.wrapping_add(*wait);
            mean = PeakEwma::from_bits(mean.with(*sample, now).to_bits());
            let value = mean.value_ms().unwrap();
            let least = samples.iter().map(|(sample, _)| *sample).fold(f32::MAX, f32::min);
            let most = samples.iter().map(|(sample, _)| *sample).fold(f32::MIN_POSITIVE, f32::max);
            prop_assert!(value >= sample * 0.999, "a peak counts at once");
            prop_assert!(value >= least * 0.999 && value <= most * 1.001);
        }
    }

    #[test]
    fn what_is_learned_comes_to_what_is_seen(ratio in 0.05f32..1.0, rate in 100.0f32..100_000.0) {
        let mut tokens_per_byte = TokensPerByte::default();
        let mut prefill = PrefillRate::default();
        for _ in 0..300 {
            tokens_per_byte = tokens_per_byte.with(100_000, (100_000.0 * ratio) as u64);
            prefill = prefill.with(8_000, 8_000.0 / rate);
        }
        prop_assert!((tokens_per_byte.get() / ratio - 1.0).abs() < 0.01);
        prop_assert!((prefill.get() / rate - 1.0).abs() < 0.05);
    }
}

#[test]
fn heavy_targets_do_not_come_many_times_in_a_row() {
    let turns = |weights: &[u32]| -> Vec<u16> {
        let round = RoundRobin::new(weights).unwrap();
        (0..7).map(|turn| round.at(turn)).collect()
    };
    assert_eq!(turns(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0], "the example of nginx");
    assert_eq!(turns(&[50, 10, 10]), [0, 0, 1, 0, 2, 0, 0], "common divisors shorten the round");
    let check = |weights: &[u32], expected: Error| assert_eq!(RoundRobin::new(weights), Err(expected));
    check(&[], Error::NoTargets);
    check(&[0, 0], Error::NoTargets);
    check(&[65_537, 65_539], Error::RoundTooLong { turns: 131_076, most: RoundRobin::MAX_TURNS });
}

#[test]
fn equal_loads_take_turns() {
    let loads = [Load { tokens: 5, weight: 1 }; 4];
    for seed in 0..8 {
        assert_eq!(least_load(&loads, 10, seed), Some(seed as u16 % 4));
    }
}

#[test]
fn two_choices_are_drawn_by_weight() {
    let loads: Vec<Load> = [1, 2, 3, 0].map(|weight| Load { tokens: 0, weight }).to_vec();
    let mut chosen = [0u32; 4];
    for seed in 0..60_000 {
        chosen[usize::from(power_of_two(&loads, 0, seed).unwrap())] += 1;
    }
    for (chosen, weight) in chosen.iter().zip([1.0, 2.0, 3.0, 0.0]) {
        assert!((f64::from(*chosen) - 10_000.0 * weight).abs() <= 600.0, "{chosen} for weight {weight}");
    }
}

#[test]
fn prompts_are_told_apart_by_size() {
    for (tokens, expected) in [
        (0, 0),
        (1, 0),
        (256, 0),
        (257, 1),
        (1024, 1),
        (1025, 2),
        (16_384, 3),
        (65_536, 4),
        (65_537, 5),
        (u64::MAX, 5),
    ] {
        assert_eq!(Latency::size(tokens), expected, "{tokens} tokens");
    }
}

#[test]
fn a_slow_target_costs_more_and_an_untried_one_nothing() {
    let mut slow = Latency::default();
    assert_eq!(slow.cost(1000, 100, 3), 0.0, "it is tried");
    slow.record_first_token(1000, 400.0, 0);
    slow.record_per_token(1000, 20.0, 0);
    assert_eq!(slow.cost(1000, 100, 0), 2_400.0);
    assert_eq!(slow.cost(1000, 100, 2), 7_200.0, "those in flight wait with it");
    assert_eq!(slow.cost(100_000, 100, 0), 2_400.0, "another size takes what is known");
    slow.record_first_token(1000, 100.0, 10_000);
    let cost = slow.cost(1000, 0, 0);
    assert!((cost - (100.0 + 300.0 / std::f64::consts::E)).abs() < 0.1, "{cost} after ten seconds");
}

#[test]
fn nonsense_teaches_nothing() {
    let mean = PeakEwma::default().with(5.0, 0);
    for sample in [f32::NAN, f32::INFINITY, -1.0] {
        assert_eq!(mean.with(sample, 1), mean);
        assert_eq!(PrefillRate::default().with(5000, sample), PrefillRate::default());
    }
    assert_eq!(PrefillRate::default().with(10, 1.0), PrefillRate::default(), "too short to tell");
    assert_eq!(TokensPerByte::default().with(0, 10), TokensPerByte::default());
    assert_eq!(TokensPerByte::default().with(200, 150), TokensPerByte::default(), "mostly template");
    assert_eq!(TokensPerByte::default().with(2000, 0), TokensPerByte::default());
    assert_eq!(TokensPerByte::from_bits(0), TokensPerByte::default());
    assert_eq!(PrefillRate::from_bits(f32::NAN.to_bits()), PrefillRate::default());
    assert_eq!(PeakEwma::from_bits(u64::MAX).value_ms(), None);
}

#[test]
fn the_cheapest_comes_first() {
    let price = |input, cached_input, output| Price { input, cached_input, output };
    let tokens = |input, cached_input, output| Tokens { input, cached_input, output };
    let fresh = tokens(10_000, 0, 500);
    assert_eq!(price(2.5, 0.25, 15.0).of(tokens(1_000_000, 1_000_000, 1_000_000)), 17.75);
    assert_eq!(cheapest(&[(price(2.5, 0.25, 15.0), fresh), (price(0.5, 0.05, 3.0), fresh)])[..], [1, 0]);
    let warm = tokens(100, 9_900, 500);
    assert_eq!(
        cheapest(&[(price(2.0, 0.2, 10.0), fresh), (price(2.5, 0.25, 15.0), warm)])[..],
        [1, 0],
        "a cache makes up for a price"
    );
}
