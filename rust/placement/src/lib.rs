//! Who gets the request: the order of a pool's targets, and the one that suits a prompt best. Pure arithmetic over
//! hashes, weights and loads that the caller brings; it knows nothing of providers, health, sockets or clocks. Time
//! and randomness are arguments, what is remembered is either an explicit value or memory that the caller owns, and
//! the same arguments give the same choice in every process and on every host.
//!
//! | to choose by | use | source |
//! |---|---|---|
//! | weight, at random | [`weighted`] | Efraimidis and Spirakis 2006 |
//! | weight, in turn | [`RoundRobin`] | smooth weighted round robin, nginx 1.3.1 |
//! | a key, moving as few keys as possible | [`Rendezvous`] | Thaler and Ravishankar 1998 |
//! | a key, no target far above its share | [`Ring`] | Mirrokni, Thorup and Zadimoghaddam 2016 |
//! | tokens in flight | [`least_load`], [`power_of_two`] | Mitzenmacher 2001 |
//! | latency | [`Latency`] | peak-EWMA of Finagle |
//! | price | [`cheapest`] | |
//! | prompt caches | [`Affinity`] over an [`AffinityIndex`] | bounded-affinity hashing, see [`affinity`] |
//!
//! Keys are [`key`]s: of a session, of a user, of whatever should stay together.
//!
//! ```
//! use edgeroute_placement::{Ring, key};
//!
//! let ring = Ring::new([("gpu-0", 1), ("gpu-1", 1)], 256, 125)?;
//! let session = key(0, b"session 42");
//! assert_eq!(ring.choose(session, &[Some(0), Some(0)]), ring.order(session).first().copied());
//! # Ok::<(), edgeroute_placement::Error>(())
//! ```

pub mod affinity;
mod cost;
mod decision;
mod error;
mod hash;
mod index;
mod latency;
mod learned;
mod load;
mod order;
mod prompt;
mod rendezvous;
mod ring;
mod round_robin;

pub use affinity::{Affinity, Candidate, Decision, Prompt};
pub use cost::{Price, Tokens, cheapest};
pub use error::Error;
pub use hash::key;
pub use index::{AffinityIndex, SLOTS, Slot};
pub use latency::{Latency, PeakEwma};
pub use learned::{PrefillRate, TokensPerByte};
pub use load::{Load, least_load, power_of_two};
pub use order::{Order, ordered, rotated, splitmix, weighted};
pub use prompt::{BLOCK_BYTES, MAX_BLOCKS, PromptBlocks, PromptHasher};
pub use rendezvous::{Node, Rendezvous};
pub use ring::Ring;
pub use round_robin::RoundRobin;
