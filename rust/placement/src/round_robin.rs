use crate::Error;

/// Smooth weighted round robin: in turn, in proportion to the weights, nobody many times in a row.
///
/// The rule is that of nginx since 1.3.1 (Maxim Dounin): each turn adds its weight to every target's credit, the
/// target with the most credit is chosen and pays the sum of the weights. Its round is written down once, so that a
/// turn is one look-up and a counter shared by several processes is all that they need to agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundRobin {
    round: Vec<u16>,
}

impl RoundRobin {
    /// How long a round may be.
    pub const MAX_TURNS: u64 = 1 << 16;

    /// Weights of the targets by position; those of weight zero never have a turn.
    pub fn new(weights: &[u32]) -> Result<Self, Error> {
        const MOST: usize = u16::MAX as usize;
        if weights.len() > MOST {
            return Err(Error::TooManyTargets { count: weights.len(), most: MOST });
        }
        let divisor = weights.iter().copied().fold(0, greatest_common_divisor);
        if divisor == 0 {
            return Err(Error::NoTargets);
        }
        let mut credits: Vec<(i64, i64, u16)> = (0..)
            .zip(weights)
            .filter(|(_, weight)| **weight > 0)
            .map(|(target, &weight)| (0, i64::from(weight / divisor), target))
            .collect();
        let turns: i64 = credits.iter().map(|(_, weight, _)| weight).sum();
        if turns.unsigned_abs() > Self::MAX_TURNS {
            return Err(Error::RoundTooLong { turns: turns.unsigned_abs(), most: Self::MAX_TURNS });
        }
        let mut round = Vec::with_capacity(turns as usize);
        for _ in 0..turns {
            for (credit, weight, _) in &mut credits {
                *credit += *weight;
            }
            // `max_by_key` gives the last of equals, the rule wants the first.
            let richest = credits.iter_mut().rev().max_by_key(|(credit, ..)| *credit);
            if let Some((credit, _, target)) = richest {
                *credit -= turns;
                round.push(*target);
            }
        }
        Ok(Self { round })
    }

    /// Whose turn it is.
    #[expect(clippy::indexing_slicing, reason = "a round has at least one turn")]
    pub fn at(&self, turn: u64) -> u16 {
        self.round[(turn % self.round.len() as u64) as usize]
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
