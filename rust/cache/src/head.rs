//! What every worker is told of an entry, as the bytes that the store passes on. They are not believed either.
//!
//! A version (1 byte), the check of the key (16, little-endian), and where the entry may answer what means the same, the
//! partition (16) and the question. The second version has a vector between these two: its dimension (2), and a byte
//! for each component.

use std::sync::Arc;

use crate::index::SemanticKey;
use crate::rotation::Quantised;

/// Of an entry whose question is embedded by everybody for himself, if it has one.
const PLAIN: u8 = 1;
/// Of one that comes with a vector.
const WITH_VECTOR: u8 = 2;

/// What an index needs to know of an entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// What was computed with the key, to be compared before the entry answers.
    pub check: u128,
    /// What it was asked, if it may also answer what means the same.
    pub meaning: Option<SemanticKey>,
}

impl Head {
    /// The bytes to pass on.
    pub fn encode(&self) -> Vec<u8> {
        let vector = self.meaning.as_ref().and_then(|meaning| meaning.vector.as_deref());
        let mut out = vec![if vector.is_some() { WITH_VECTOR } else { PLAIN }];
        out.extend(self.check.to_le_bytes());
        if let Some(SemanticKey { partition, text, .. }) = &self.meaning {
            out.extend(partition.to_le_bytes());
            if let Some(vector) = vector {
                // More than fit are no vector.
                out.extend(u16::try_from(vector.components().len()).unwrap_or(0).to_le_bytes());
                out.extend(vector.components().iter().map(|component| component.to_le_bytes()[0]));
            }
            out.extend_from_slice(text.as_bytes());
        }
        out
    }

    /// Reads what [`Self::encode`] has written; none if it has not.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let ([version], rest) = bytes.split_first_chunk()?;
        let (check, rest) = rest.split_first_chunk()?;
        let meaning = match *version {
            PLAIN if rest.is_empty() => None,
            PLAIN | WITH_VECTOR => {
                let (partition, mut rest) = rest.split_first_chunk()?;
                let mut vector = None;
                if *version == WITH_VECTOR {
                    let (dimensions, after) = rest.split_first_chunk()?;
                    let (components, after) =
                        after.split_at_checked(u16::from_le_bytes(*dimensions).into())?;
                    let components = components.iter().map(|component| i8::from_le_bytes([*component]));
                    vector = Some(Arc::new(Quantised::of(components.collect())?));
                    rest = after;
                }
                Some(SemanticKey {
                    partition: u128::from_le_bytes(*partition),
                    text: std::str::from_utf8(rest).ok()?.into(),
                    vector,
                })
            }
            _ => return None,
        };
        Some(Self { check: u128::from_le_bytes(*check), meaning })
    }
}
