//! Vectors from elsewhere, of any dimension, made as a bank keeps them: of length one, rotated by a fixed seed, int8.
//!
//! The rotation is made of sign flips and fast Hadamard transforms over two overlapping windows, in three rounds (as
//! in Andoni et al., "Practical and optimal LSH for angular distance", 2015, section 5; the windows are for dimensions
//! that are no power of two). It preserves angles, and spreads what a few large components say over all.

use crate::code::Vector;

const ROUNDS: usize = 3;
/// Products of longer vectors could overflow.
const MOST_DIMENSIONS: usize = 65_536;

/// A fixed rotation of vectors with so many components.
#[derive(Debug)]
pub struct Rotation {
    /// One after the other, of -1 and 1: for each round, before each of the two windows.
    flips: Vec<f32>,
    dimensions: usize,
}

/// A vector of length one that owns its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantised {
    values: Vec<i8>,
    scale: f32,
}

impl Rotation {
    /// The one of the seed. Vectors of different seeds cannot be compared.
    #[must_use]
    pub fn new(dimensions: usize, seed: u64) -> Self {
        let flips = (0..dimensions as u64 * 2 * ROUNDS as u64)
            .map(|at| {
                if xxhash_rust::xxh3::xxh3_64_with_seed(&at.to_le_bytes(), seed) & 1 == 0 {
                    1.0
                } else {
                    -1.0
                }
            })
            .collect();
        Self { flips, dimensions }
    }

    /// Components of the vectors that it takes.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// None if the vector has another dimension, no direction (all zero), or a component that is not finite.
    #[must_use]
    pub fn quantise(&self, vector: &[f32]) -> Option<Quantised> {
        let greatest = greatest(vector);
        if vector.len() != self.dimensions
            || !greatest.is_normal()
            || vector.iter().any(|value| !value.is_finite())
        {
            return None;
        }
        // Of length one at most, so that nothing overflows.
        let mut rotated: Vec<f32> = vector.iter().map(|value| value / greatest).collect();
        let window = 1 << self.dimensions.ilog2();
        for (round, flips) in self.flips.chunks_exact(self.dimensions).enumerate() {
            rotated.iter_mut().zip(flips).for_each(|(value, flip)| *value *= flip);
            let start = if round % 2 == 0 { 0 } else { self.dimensions - window };
            if let Some(window) = rotated.get_mut(start..start + window) {
                hadamard(window);
            }
        }
        quantise(&rotated)
    }
}

impl Quantised {
    /// The vector in the direction of these components; none if they have none, are too many to be multiplied, or have
    /// one of -128, whose opposite is no component.
    #[must_use]
    pub fn of(components: Vec<i8>) -> Option<Self> {
        if components.len() > MOST_DIMENSIONS || components.contains(&i8::MIN) {
            return None;
        }
        let length = (edgeroute_simd::dot(&components, &components) as f32).sqrt();
        (length > 0.0).then(|| Self { values: components, scale: length.recip() })
    }

    /// What makes the same vector again.
    #[must_use]
    pub fn components(&self) -> &[i8] {
        &self.values
    }
}

impl<'a> From<&'a Quantised> for Vector<'a> {
    fn from(quantised: &'a Quantised) -> Self {
        Self { values: &quantised.values, scale: quantised.scale }
    }
}

/// The fast Hadamard transform, orthonormal. The length is a power of two.
fn hadamard(values: &mut [f32]) {
    let mut half = 1;
    while half < values.len() {
        for pair in values.chunks_exact_mut(half * 2) {
            let (left, right) = pair.split_at_mut(half);
            for (left, right) in left.iter_mut().zip(right) {
                (*left, *right) = (*left + *right, *left - *right);
            }
        }
        half *= 2;
    }
    let norm = (values.len() as f32).sqrt().recip();
    values.iter_mut().for_each(|value| *value *= norm);
}

/// Integers with the vector's direction, and the scale by which they have length one.
fn quantise(vector: &[f32]) -> Option<Quantised> {
    let unit = greatest(vector) / f32::from(i8::MAX);
    Quantised::of(vector.iter().map(|value| (value / unit).round() as i8).collect())
}

fn greatest(vector: &[f32]) -> f32 {
    vector.iter().fold(0.0, |greatest, value| value.abs().max(greatest))
}
