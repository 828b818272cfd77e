//! Vectors as a bank keeps them, and how far the codes of near ones may be apart.
//!
//! A vector's code is the signs of its first 256 components. Where the components are those of a random rotation, two
//! vectors at the angle θ differ in each bit with probability θ/π (Charikar, "Similarity estimation techniques from
//! rounding algorithms", 2002), so a threshold of similarity becomes a radius of codes: [`radii`].

use edgeroute_simd::{CODE_BITS, Code, Radii};

use crate::embedding::Embedding;

/// How sure each level is to keep a vector that is exactly as near as asked, in standard deviations: 99.74 %. Nearer
/// ones are kept more surely still.
const SURENESS: f32 = 2.8;

/// A vector of length one: component i is `values[i] * scale`. It is rotated, so that signs are a code.
#[derive(Clone, Copy, Debug)]
pub struct Vector<'a> {
    /// The components, in units of `scale`.
    pub values: &'a [i8],
    /// What one unit is.
    pub scale: f32,
}

impl Vector<'_> {
    pub(crate) fn code(self) -> Code {
        edgeroute_simd::signs(self.values)
    }

    /// The cosine of the angle to another one of as many dimensions.
    #[must_use]
    pub fn cosine(self, other: Vector<'_>) -> f32 {
        let product = edgeroute_simd::dot(self.values, other.values);
        (product as f32 * self.scale * other.scale).clamp(-1.0, 1.0)
    }
}

impl<'a> From<&'a Embedding> for Vector<'a> {
    fn from(embedding: &'a Embedding) -> Self {
        Self { values: &embedding.values, scale: embedding.scale }
    }
}

/// The radii, of two words and of all four, within which the codes of all but five of a thousand vectors lie whose
/// cosine is just `threshold`; everything for thresholds of 0 and below.
pub(crate) fn radii(threshold: f32) -> (Radii, u32) {
    if threshold <= 0.0 {
        return (Radii { first: CODE_BITS / 4, both: CODE_BITS / 2 }, CODE_BITS);
    }
    let differing = threshold.min(1.0).acos() / std::f32::consts::PI;
    let radii = Radii { first: quantile(CODE_BITS / 4, differing), both: quantile(CODE_BITS / 2, differing) };
    (radii, quantile(CODE_BITS, differing))
}

/// So many of the bits differ at most, with the probability of `SURENESS`: a quantile of the binomial distribution by
/// its mean, deviation and skewness (Cornish and Fisher, "Moments and cumulants in the specification of
/// distributions", 1938), rounded up. A handful of instructions instead of a sum over the distribution.
fn quantile(bits: u32, probability: f32) -> u32 {
    let mean = bits as f32 * probability;
    let deviation = (mean * (1.0 - probability)).sqrt();
    let skew = (SURENESS * SURENESS - 1.0) * (1.0 - 2.0 * probability) / 6.0;
    let quantile = (mean + SURENESS * deviation + skew - 0.5).ceil();
    // From a float, what is out of range saturates.
    (quantile as u32).min(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The probability that more than `most` of `bits` differ.
    fn beyond(bits: u32, probability: f64, most: u32) -> f64 {
        let mut term = (1.0 - probability).powi(bits as i32);
        let mut sum = 0.0;
        for count in 0..=most {
            sum += term;
            term *= f64::from(bits - count) / f64::from(count + 1) * probability / (1.0 - probability);
        }
        1.0 - sum
    }

    #[test]
    fn a_level_loses_a_quarter_of_a_percent_at_the_threshold_and_is_no_wider_than_it_must() {
        for permille in (5..1000).step_by(5) {
            let threshold = permille as f32 / 1000.0;
            let probability = f64::from(threshold.acos()) / std::f64::consts::PI;
            let (radii, all) = radii(threshold);
            for (bits, radius) in [(64, radii.first), (128, radii.both), (256, all)] {
                let lost = beyond(bits, probability, radius);
                assert!(lost < 0.003, "{bits} bits, threshold {threshold}: {lost} are lost");
                let narrower = beyond(bits, probability, radius - 2);
                assert!(narrower > 0.002, "{bits} bits, threshold {threshold}: {radius} is wide");
            }
        }
    }

    #[test]
    fn radii_of_thresholds_that_are_none() {
        let (none, every) = (Radii { first: 1, both: 1 }, Radii { first: 64, both: 128 });
        for (threshold, expected) in [(1.0, (none, 1)), (2.0, (none, 1)), (f32::NAN, (none, 1))] {
            assert_eq!(radii(threshold), expected, "{threshold}");
        }
        for threshold in [0.0, -1.0, f32::NEG_INFINITY] {
            assert_eq!(radii(threshold), (every, 256), "{threshold}");
        }
    }
}
