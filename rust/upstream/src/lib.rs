//! The exchange with a provider: an HTTP/1.1 client (RFC 9110, RFC 9112) over nonblocking sockets and one readiness
//! set, driven by whoever owns the event loop. It opens, pools and reuses connections, speaks TLS, keeps deadlines,
//! cancels at once, and reads responses strictly: what is ambiguous is an error. It deliberately does not know Python,
//! LLM protocols, models or policy: which origin to try next is decided elsewhere, from the [`Error`] it reports.
//! Time is passed in; the process must ignore SIGPIPE, as Rust and Python programs do.

mod client;
mod connection;
mod error;
mod event;
mod exchange;
mod head;
mod origin;
mod pool;
mod request;
mod resolve;
mod response;
mod slots;
mod timers;
mod tls;

pub use client::{Client, Settings};
pub use error::{Deadline, Error, Kind, Retry};
pub use event::{Event, ExchangeId};
pub use head::Head;
pub use origin::{InvalidOrigin, Origin};
pub use request::{Deadlines, Request};
pub use response::{Malformed, Reader};
pub use rustls::pki_types::CertificateDer;
