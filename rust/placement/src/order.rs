//! Orders that need no memory: as listed, in turn, drawn by weight.

use smallvec::SmallVec;

/// Indexes of targets, first choice first. Pools of up to eight stay off the heap.
pub type Order = SmallVec<[u16; 8]>;

/// The next state and output of SplitMix64 (Steele, Lea, Flood 2014): a seed's own stream of random bits.
pub fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Targets as they are listed: `0..count`.
pub fn ordered(count: u16) -> Order {
    (0..count).collect()
}

/// Replicas or credentials in turn: starts at `turn` modulo `count` and goes round once.
pub fn rotated(count: u16, turn: u64) -> impl Iterator<Item = u16> {
    // There is often only one, and a division takes time.
    let first = if count > 1 { (turn % u64::from(count)) as u16 } else { 0 };
    (0..count).map(move |step| if step < count - first { first + step } else { step - (count - first) })
}

/// Targets drawn by weight without replacement (Efraimidis and Spirakis, "Weighted random sampling with a reservoir",
/// 2006): the first is target `i` with probability
/// `weights[i] / sum(weights)`, the rest are drawn likewise among those left. Targets of weight zero are
/// left out. The draw is fixed by `seed`.
pub fn weighted(weights: &[u32], seed: u64) -> Order {
    // Each target gets the key -ln(u) / weight; ascending keys are a weighted draw without replacement.
    let mut state = seed;
    let mut keyed: SmallVec<[(f64, u16); 8]> = SmallVec::new();
    for (index, &weight) in weights.iter().enumerate() {
        let uniform = ((splitmix(&mut state) >> 11) + 1) as f64 / (1u64 << 53) as f64;
        if weight > 0 {
            keyed.push((-uniform.ln() / f64::from(weight), index as u16));
        }
    }
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
    keyed.into_iter().map(|(_, index)| index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotation_visits_every_replica_once_from_its_turn() {
        for (count, turn, expected) in
            [(3, 0, vec![0, 1, 2]), (3, 4, vec![1, 2, 0]), (1, 9, vec![0]), (0, 5, vec![])]
        {
            assert_eq!(rotated(count, turn).collect::<Vec<_>>(), expected, "count {count}, turn {turn}");
        }
    }

    #[test]
    fn weights_set_the_share_of_first_choices() {
        let weights = [80, 20, 0];
        let mut first = [0u32; 3];
        for seed in 0..20_000 {
            let order = weighted(&weights, seed);
            assert_eq!(order.len(), 2, "a target of weight zero is never chosen");
            first[order[0] as usize] += 1;
        }
        let share = f64::from(first[0]) / 20_000.0;
        assert!((0.78..0.82).contains(&share), "share of the first target was {share}");
    }

    #[test]
    fn the_same_seed_draws_the_same_order() {
        let weights = [5, 3, 2, 9, 1];
        for seed in 0..100 {
            let order = weighted(&weights, seed);
            assert_eq!(order, weighted(&weights, seed));
            let mut sorted = order.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4], "each target appears exactly once");
        }
    }
}
