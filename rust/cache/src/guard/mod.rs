//! What forbids to take one question for another although their vectors are near: numbers, negations, names and small
//! words that an average of words hardly sees. [`Question::new`] reads a text once; [`veto`] compares two, and says
//! which difference it found; [`confidence`] weighs what is left. [`bypass`] says which texts are not answered by
//! meaning at all. All of it is monotone: one more difference never makes two texts more alike.
//!
//! It is English first: of other languages it knows articles, negations and question words, and what it does not know
//! must be equal.

mod bypass;
mod confidence;
mod difference;
mod lexicon;
mod question;
mod spelling;
mod tokens;

pub use bypass::{Bypass, bypass};
pub use confidence::{FEATURES, confidence, features, least_cosines};
pub use difference::{Veto, veto};
pub use question::Question;
