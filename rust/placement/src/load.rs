//! By what targets are busy with. Tokens in flight say more than requests: one prompt may be a thousand times another.

use crate::order::splitmix;

/// How busy a target is, and how much it can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Tokens of the requests in flight: prompts, and what they may generate.
    pub tokens: u64,
    /// The share of the load it should have, relative to the others; zero takes nothing.
    pub weight: u32,
}

impl Load {
    /// Whether it would be less busy per weight than another if each took these tokens more.
    fn is_lighter(self, other: Self, tokens: u64) -> bool {
        let filled = |load: Self| u128::from(load.tokens) + u128::from(tokens);
        filled(self) * u128::from(other.weight) < filled(other) * u128::from(self.weight)
    }
}

/// The target that would be least busy per weight with these tokens more. Equal ones take turns by `seed`.
pub fn least_load(loads: &[Load], tokens: u64, seed: u64) -> Option<u16> {
    let start = seed.checked_rem(loads.len() as u64)? as usize;
    let (before, after) = loads.split_at(start);
    let from_start = (start..).zip(after).chain((0..).zip(before)).filter(|(_, load)| load.weight > 0);
    let lightest =
        from_start.reduce(|best, next| if next.1.is_lighter(*best.1, tokens) { next } else { best });
    lightest.map(|(index, _)| index as u16)
}

/// The less busy of two targets drawn by weight: nearly as even as asking all, without many workers that know the
/// same loads all choosing the same target. Mitzenmacher, "The power of two choices in randomized load balancing"
/// (2001). The draw is fixed by `seed`.
pub fn power_of_two(loads: &[Load], tokens: u64, seed: u64) -> Option<u16> {
    let mut state = seed;
    let first = draw(loads, None, &mut state)?;
    let Some(second) = draw(loads, Some(first.0), &mut state) else { return Some(first.0) };
    let chosen = if second.1.is_lighter(first.1, tokens) { second } else { first };
    Some(chosen.0)
}

/// A target by weight, another one than `not`.
fn draw(loads: &[Load], not: Option<u16>, state: &mut u64) -> Option<(u16, Load)> {
    let others = || (0u16..).zip(loads).filter(move |(index, _)| Some(*index) != not);
    let total: u64 = others().map(|(_, load)| u64::from(load.weight)).sum();
    let mut left = (u128::from(splitmix(state)) * u128::from(total)) >> 64;
    others().find_map(|(index, load)| match left.checked_sub(u128::from(load.weight)) {
        Some(rest) => {
            left = rest;
            None
        }
        None => Some((index, *load)),
    })
}
