//! What a question means, by the embedding that is built in or by another, and what follows for the guards.

use crate::code::Vector;
use crate::embedding::Embedding;
use crate::guard::{self, Question, Veto};
use crate::rotation::Quantised;

/// The vector of a question. Those of a partition are of one kind.
#[derive(Clone, Copy, Debug)]
pub enum Meaning<'a> {
    /// By the embedding that is built in: what its cosines are worth is known ([`guard::confidence`]).
    BuiltIn(&'a Embedding),
    /// By another one. What its cosines are worth is not known, so they are taken as they are; and which other words
    /// mean the same is what it knows better ([`Veto::Words`]).
    Foreign(&'a Quantised),
}

impl<'a> Meaning<'a> {
    pub(crate) fn vector(self) -> Vector<'a> {
        match self {
            Self::BuiltIn(embedding) => embedding.into(),
            Self::Foreign(quantised) => quantised.into(),
        }
    }

    /// Least cosines with which questions of the same words, and any others, are worth being looked at: no further one
    /// can be sure enough, nor would the cosine alone answer with it.
    pub(crate) fn reach(self, threshold: f32) -> [f32; 2] {
        match self {
            Self::BuiltIn(_) => guard::least_cosines(threshold).map(|least| least.min(threshold)),
            Self::Foreign(_) => [threshold; 2],
        }
    }

    pub(crate) fn confidence(self, asked: &Question, stored: &Question, cosine: f32) -> f32 {
        match self {
            Self::BuiltIn(_) => guard::confidence(asked, stored, cosine),
            Self::Foreign(_) => cosine,
        }
    }

    pub(crate) fn veto(self, asked: &Question, stored: &Question) -> Option<Veto> {
        let veto = guard::veto(asked, stored);
        match self {
            Self::BuiltIn(_) => veto,
            Self::Foreign(_) => veto.filter(|veto| *veto != Veto::Words),
        }
    }
}

impl<'a> From<&'a Embedding> for Meaning<'a> {
    fn from(embedding: &'a Embedding) -> Self {
        Self::BuiltIn(embedding)
    }
}

impl<'a> From<&'a Quantised> for Meaning<'a> {
    fn from(quantised: &'a Quantised) -> Self {
        Self::Foreign(quantised)
    }
}
