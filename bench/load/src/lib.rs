//! The two ends of a benchmark. The **mock** is a provider that answers chat requests with fixed replies and paced
//! streams, for a few microseconds of CPU each; a request's body says if it is to reply in another way. As an **engine**
//! it takes the time to read each prompt that an inference engine with a prefix cache would. The **generator** sends
//! requests at the times of a schedule, whatever became of the earlier ones (open loop), and measures from the
//! *intended* time: a system that stalls shows the stall in every request that fell into it (G. Tene, "How NOT to
//! Measure Latency"; wrk2). Each is one thread over one readiness set. The **yardstick** tells how fast the machine is
//! meanwhile. The crate deliberately knows nothing of the system under test beyond its protocol, and judges nothing: it
//! prints what it saw as JSON. What is on the wire it reads with the router's own strict readers.

mod arrivals;
mod authority;
mod engine;
mod exchange;
mod generator;
mod mock;
mod reactor;
mod reply;
mod requests;
mod results;
mod socket;
mod yardstick;

pub use arrivals::Arrivals;
pub use authority::{AuthorityError, tls_server};
pub use engine::Engine;
pub use generator::{Load, generate};
pub use mock::Mock;
pub use reply::Replies;
pub use requests::{Kind, Mix, Prompts, Traffic};
pub use results::{Quantiles, Summary};
pub use yardstick::{Yardstick, yardstick};
