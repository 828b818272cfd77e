//! The exchange with a provider: an HTTP/1.1 client (RFC 9110, RFC 9112) over nonblocking sockets and one readiness
//! set, driven by whoever owns the event loop. It opens, pools and reuses connections, directly or through a proxy's
//! tunnel, speaks TLS, keeps deadlines, cancels at once, and reads responses strictly: what is ambiguous is an error.
//! It deliberately does not know Python,
//! LLM protocols, models or policy: which origin to try next is decided elsewhere, from the [`Error`] it reports.
//! Time is passed in; the process must ignore SIGPIPE, as Rust and Python programs do.
//!
//! ```no_run
//! # use std::{sync::Arc, time::{Duration, Instant}};
//! # use edgeroute_upstream::{Client, Deadlines, Event, Origin, Request, Settings};
//! let mut client = Client::new(Settings::default())?;
//! let request = Request {
//!     origin: Arc::new(Origin::parse("https://api.example.com/v1")?),
//!     path: "/v1/chat/completions",
//!     headers: &[("authorization", b"Bearer key")],
//!     body: "{}".into(),
//!     deadlines: Deadlines {
//!         connect: Duration::from_secs(2),
//!         first_byte: Duration::from_secs(120),
//!         gap: Duration::from_secs(60),
//!         total: Duration::from_secs(900),
//!     },
//! };
//! let id = client.start(request, Instant::now());
//! let mut events = Vec::new();
//! // Whenever the client's descriptor is readable, or `client.next_deadline()` has come:
//! while client.poll(Instant::now(), &mut events) {}
//! for (of, event) in events.drain(..) {
//!     if let Event::Response { head, body } = event {
//!         assert_eq!(of, id);
//!         println!("{} with {} bytes", head.status(), body.len());
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod addresses;
mod body;
mod client;
mod connection;
mod error;
mod event;
mod exchange;
mod head;
mod origin;
mod pool;
mod proxy;
mod queue;
mod race;
mod request;
mod resolve;
mod response;
mod roots;
mod slots;
mod timers;
mod tls;
mod tunnel;

pub use body::Body;
pub use client::{Client, Settings};
pub use error::{Deadline, Error, Kind};
pub use event::{Event, ExchangeId};
pub use head::Head;
pub use origin::{InvalidOrigin, Limits, Origin};
pub use proxy::{InvalidProxy, Proxy};
pub use request::{Deadlines, Request};
pub use response::{Malformed, Reader};
pub use roots::{InvalidRoots, Roots};
