//! Which requests have an answer already: the key of a request (`canonical`), what a text means as a small vector
//! (`embedding`), the search for near ones (`bank`, `semantic`), what forbids taking one question for another
//! (`guard`), and the evidence that answers were right (`evidence`). It knows neither HTTP nor configuration, does no
//! I/O, reads no clock and draws no random number.

mod bank;
pub mod canonical;
mod code;
mod compare;
mod embedding;
pub mod evidence;
pub mod guard;
mod head;
mod index;
mod meaning;
mod observation;
mod raw;
mod recording;
mod reply;
mod rotation;
mod semantic;
mod vectors;

pub use bank::{Bank, Match};
pub use canonical::{Key, Reading};
pub use code::Vector;
pub use compare::{Verdict, compare};
pub use embedding::{DIMENSIONS, Embedding, LONGEST_TEXT, VERSION, embed};
pub use evidence::{EntryEvidence, Evidence, Record};
pub use head::Head;
pub use index::{Asked, Entry, Index, Known, SemanticKey, Similar, model_hash, tenant_hash, text_key};
pub use meaning::Meaning;
pub use observation::Observation;
pub use raw::RawKeys;
pub use recording::{Piece, Progress, Reader, Recording};
pub use reply::{Body, Reply};
pub use rotation::{Quantised, Rotation};
pub use semantic::{Found, Near, SemanticCache};
