//! How sure it is that one answer serves two questions.

use super::difference::{Difference, asks_alike, is_of_one_time};
use super::question::Question;

/// What the logistic looks at besides the vectors.
pub const FEATURES: usize = 2;

// As `tools/fit_guard.py` prints them.
const BIAS: f32 = 4.93;
const DISTANCE: f32 = -3.41;
const WEIGHTS: [f32; FEATURES] = [-7.66, -8.23];

/// Whether the words differ (what is asked for counts as one of them), and whether their order does. None where the
/// texts have too little in common to be compared.
pub fn features(asked: &Question, stored: &Question) -> Option<[f32; FEATURES]> {
    let difference = Difference::between(&asked.words, &stored.words)?;
    let asks_other = !asks_alike(asked, stored) || !is_of_one_time(asked, stored);
    Some(
        [asks_other || difference.has_words(), difference.is_moved()]
            .map(|differs| f32::from(u8::from(differs))),
    )
}

/// Probability that one answer serves both questions, by the cosine of their vectors and the words that differ. It
/// grows with the cosine and shrinks with every difference; [`super::veto`] comes first. The same words and the same
/// vector make about 0.99: a threshold above that is never reached.
pub fn confidence(asked: &Question, stored: &Question, cosine: f32) -> f32 {
    let Some(features) = features(asked, stored) else { return 0.0 };
    let differences: f32 = features.iter().zip(WEIGHTS).map(|(feature, weight)| feature * weight).sum();
    let distance = (2.0 - 2.0 * cosine).max(0.0).sqrt();
    logistic(BIAS + DISTANCE * distance + differences)
}

/// The least cosines with which [`confidence`] can reach `threshold`: where the words are the same, and where one
/// differs or their order does. Above 1 if none can.
pub fn least_cosines(threshold: f32) -> [f32; 2] {
    let threshold = threshold.clamp(f32::EPSILON, 1.0 - f32::EPSILON);
    let wanted = (threshold / (1.0 - threshold)).ln() - BIAS;
    let least = WEIGHTS.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    [0.0, least].map(|difference| {
        let distance = (wanted - difference) / DISTANCE;
        1.0 - distance * distance.abs() / 2.0
    })
}

fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
