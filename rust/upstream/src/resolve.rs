//! What would block the event loop is done by one helper thread: looking up names, reading the system's authorities.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use mio::Waker;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;

use crate::error::{Failure, Kind};
use crate::origin::Origin;
use crate::tls;

/// Runs lookups one after another on its thread, which starts with the first and ends with the `Resolver`.
///
/// NOTE: a name server that does not answer delays the lookups behind it; pooled connections do not notice.
pub(crate) struct Resolver {
    waker: Arc<Waker>,
    extra_roots: Vec<CertificateDer<'static>>,
    thread: Option<(Sender<Job>, Receiver<Answer>)>,
}

/// The outcome of a lookup.
pub(crate) struct Answer {
    /// What the asker called it.
    pub(crate) pool: usize,
    pub(crate) found: Result<Found, Failure>,
}

/// What a new connection needs.
pub(crate) struct Found {
    /// Never empty.
    pub(crate) addresses: Arc<[SocketAddr]>,
    /// There if it was asked for.
    pub(crate) config: Option<Arc<ClientConfig>>,
}

struct Job {
    pool: usize,
    host: String,
    port: u16,
    needs_config: bool,
}

impl Resolver {
    pub(crate) fn new(waker: Arc<Waker>, extra_roots: Vec<CertificateDer<'static>>) -> Self {
        Self { waker, extra_roots, thread: None }
    }

    /// Looks up the origin's host, then wakes the poll. `needs_config`: also load the TLS configuration.
    pub(crate) fn look_up(
        &mut self,
        pool: usize,
        origin: &Origin,
        needs_config: bool,
    ) -> Result<(), Failure> {
        let job = Job { pool, host: origin.host().to_owned(), port: origin.port(), needs_config };
        if self.thread.is_none() {
            self.thread = Some(self.spawn().map_err(|error| Failure::io(Kind::Resolve, &error))?);
        }
        let sent = self.thread.as_ref().is_some_and(|(jobs, _)| jobs.send(job).is_ok());
        if sent { Ok(()) } else { Err(self.stopped()) }
    }

    /// An answer that has arrived since.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        self.thread.as_ref().and_then(|(_, answers)| answers.try_recv().ok())
    }

    #[cold]
    fn stopped(&mut self) -> Failure {
        self.thread = None;
        Failure::new(Kind::Resolve, "the thread that looks up names has stopped")
    }

    fn spawn(&self) -> io::Result<(Sender<Job>, Receiver<Answer>)> {
        let (jobs, inbox) = channel::<Job>();
        let (outbox, answers) = channel();
        let waker = Arc::clone(&self.waker);
        let extra_roots = self.extra_roots.clone();
        thread::Builder::new().name("edgeroute-resolve".into()).spawn(move || {
            let mut config = None;
            for job in inbox {
                let pool = job.pool;
                let found = run(&job, &extra_roots, &mut config);
                // Either fails only when the client is gone, and nobody waits.
                if outbox.send(Answer { pool, found }).is_err() || waker.wake().is_err() {
                    return;
                }
            }
        })?;
        Ok((jobs, answers))
    }
}

/// The address of a host that is one already.
pub(crate) fn literal_address(origin: &Origin) -> Option<Arc<[SocketAddr]>> {
    let address: IpAddr = origin.host().parse().ok()?;
    Some(Arc::from([SocketAddr::new(address, origin.port())]))
}

fn run(
    job: &Job,
    extra_roots: &[CertificateDer<'static>],
    config: &mut Option<Arc<ClientConfig>>,
) -> Result<Found, Failure> {
    if job.needs_config && config.is_none() {
        *config = Some(tls::load_config(extra_roots)?);
    }
    let addresses: Arc<[SocketAddr]> = (job.host.as_str(), job.port)
        .to_socket_addrs()
        .map_err(|error| Failure::io(Kind::Resolve, &error))?
        .collect();
    if addresses.is_empty() {
        return Err(Failure::new(Kind::Resolve, "the name has no address"));
    }
    Ok(Found { addresses, config: config.clone() })
}
