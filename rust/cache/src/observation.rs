//! One comparison of observe mode as a value. Workers pass them on as bytes and apply all of them in one order, their own
//! too, so that all have the same evidence, also after a restart.
//!
//! ```text
//! version  1 │ key  16 │ stored  8 │ model  8 │ record  1 │ similarity  4 │ verdict  1 │ seen  4
//! ```
//!
//! Numbers are little-endian. What is read is not believed more than an index has to: it may be of any entry.

use crate::compare::Verdict;
use crate::evidence::Record;

/// Of this layout.
const VERSION: u8 = 1;
const LENGTH: usize = 43;

/// How an entry's answer compared with the model's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// Of the entry.
    pub key: u128,
    /// When the entry was stored, Unix milliseconds: tells it from others with its key.
    pub stored_ms: u64,
    /// The model that answers.
    pub model: u64,
    /// What the entry had behind it when it was asked.
    pub record: Record,
    /// Cosine of the two questions.
    pub similarity: f32,
    /// What came of it.
    pub verdict: Verdict,
    /// When, Unix seconds.
    pub seen_s: u32,
}

impl Observation {
    /// The bytes to pass on.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(LENGTH);
        out.push(VERSION);
        out.extend(self.key.to_le_bytes());
        out.extend(self.stored_ms.to_le_bytes());
        out.extend(self.model.to_le_bytes());
        out.push(self.record.index());
        out.extend(self.similarity.to_le_bytes());
        out.push(match self.verdict {
            Verdict::Correct => 0,
            Verdict::Wrong => 1,
            Verdict::Unknown => 2,
        });
        out.extend(self.seen_s.to_le_bytes());
        out
    }

    /// Reads what [`Self::encode`] has written; none if it has not.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let ([VERSION], rest) = bytes.split_first_chunk()? else { return None };
        let (key, rest) = rest.split_first_chunk()?;
        let (stored_ms, rest) = rest.split_first_chunk()?;
        let (model, rest) = rest.split_first_chunk()?;
        let ([record], rest) = rest.split_first_chunk()?;
        let (similarity, rest) = rest.split_first_chunk()?;
        let ([verdict], rest) = rest.split_first_chunk()?;
        let verdict = match verdict {
            0 => Verdict::Correct,
            1 => Verdict::Wrong,
            2 => Verdict::Unknown,
            _ => return None,
        };
        Some(Self {
            key: u128::from_le_bytes(*key),
            stored_ms: u64::from_le_bytes(*stored_ms),
            model: u64::from_le_bytes(*model),
            record: Record::from_index(*record)?,
            similarity: f32::from_le_bytes(*similarity),
            verdict,
            seen_s: u32::from_le_bytes(rest.try_into().ok()?),
        })
    }
}
