//! Vectors that others have made of texts, by the hash of the text: who asks the same again need not wait for it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::rotation::{Quantised, Rotation};

/// Of every rotation. Vectors are stored rotated: those of another seed would be found by nothing.
const SEED: u64 = 0;
/// Longer vectors are none.
const MOST_DIMENSIONS: usize = 8_192;
/// Dimensions whose rotation is kept; embedders have one each.
const MOST_ROTATIONS: usize = 8;

/// Vectors by the hashes of texts. Of two generations the older one goes when the younger is full.
#[derive(Debug)]
pub(crate) struct Vectors {
    rotations: HashMap<usize, Rotation>,
    young: HashMap<u128, Arc<Quantised>>,
    old: HashMap<u128, Arc<Quantised>>,
    /// Of the younger generation.
    bytes: usize,
    /// Of each generation.
    most_bytes: usize,
}

impl Vectors {
    /// None yet, and at most so many bytes of them.
    pub(crate) fn new(most_bytes: usize) -> Self {
        Self {
            rotations: HashMap::new(),
            young: HashMap::new(),
            old: HashMap::new(),
            bytes: 0,
            most_bytes: most_bytes / 2,
        }
    }

    pub(crate) fn get(&self, key: u128) -> Option<&Arc<Quantised>> {
        self.young.get(&key).or_else(|| self.old.get(&key))
    }

    /// Keeps a vector; none if it is not one.
    pub(crate) fn learn(&mut self, key: u128, vector: &[f32]) -> Option<Arc<Quantised>> {
        if vector.is_empty() || vector.len() > MOST_DIMENSIONS {
            return None;
        }
        if self.rotations.len() >= MOST_ROTATIONS && !self.rotations.contains_key(&vector.len()) {
            self.rotations.clear();
        }
        let rotation =
            self.rotations.entry(vector.len()).or_insert_with(|| Rotation::new(vector.len(), SEED));
        let quantised = Arc::new(rotation.quantise(vector)?);
        if self.bytes + vector.len() > self.most_bytes {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        if self.young.insert(key, Arc::clone(&quantised)).is_none() {
            self.bytes += vector.len();
        }
        Some(quantised)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new(2 * self.most_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_vector_is_not_learned() {
        let mut vectors = Vectors::new(1 << 20);
        for (vector, expected) in [
            (vec![1.0, 2.0], true),
            (vec![-0.5], true),
            (vec![0.1; MOST_DIMENSIONS], true),
            (vec![], false),
            (vec![0.0, 0.0], false),
            (vec![f32::NAN, 1.0], false),
            (vec![f32::INFINITY], false),
            (vec![0.1; MOST_DIMENSIONS + 1], false),
        ] {
            let key = vector.len() as u128;
            vectors.clear();
            assert_eq!(vectors.learn(key, &vector).is_some(), expected, "{} numbers", vector.len());
            assert_eq!(vectors.get(key).is_some(), expected);
        }
    }

    #[test]
    fn the_oldest_go_and_the_newest_stay() {
        let mut vectors = Vectors::new(2 * 10 * 8);
        for key in 0..100 {
            vectors.learn(key, &[1.0; 8]);
            assert!((key.saturating_sub(9)..=key).all(|key| vectors.get(key).is_some()), "{key}");
            assert!(vectors.young.len() + vectors.old.len() <= 20);
        }
        assert!(vectors.get(0).is_none());
        for dimensions in 1..100 {
            vectors.learn(0, &vec![1.0; dimensions]);
            assert!(vectors.rotations.len() <= MOST_ROTATIONS);
        }
    }
}
