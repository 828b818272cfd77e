//! Bytes on the wire: the top-level scan of a JSON body and the splice that changes spans of it, an estimate of
//! prompt tokens, the usage a provider reports, and server-sent events checked as they pass. It deliberately knows
//! nothing of sockets, routing or configuration, keeps no copy of a body, and never builds a JSON tree: what it skips
//! (nested values) is checked for strings, brackets and UTF-8 only. It follows RFC 8259 (JSON) and the WHATWG HTML
//! standard §9.2 (server-sent events).

mod blocks;
mod content;
mod cursor;
mod dialect;
mod document;
pub mod embeddings;
mod error;
mod event;
mod events;
pub mod finish;
pub mod prompt;
mod reader;
mod scalar;
mod splice;
mod swar;
pub mod usage;

pub use content::Content;
pub use cursor::MAX_DEPTH;
pub use dialect::{Dialect, Operation};
pub use document::{Document, Field, Kind, MAX_FIELDS, Span};
pub use error::{Excerpt, ScanError, ScanErrorKind};
pub use events::{EventError, EventStream, MAX_EVENT_BYTES, Remainder};
pub use prompt::Prompt;
pub use reader::JsonReader;
pub use scalar::{quote, unescape};
pub use splice::{Change, Edit, Piece, SpliceError, change_fields, include_usage, splice};
pub use usage::Usage;
