//! What would block the event loop is done by one helper thread: looking up names, reading the system's authorities.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread;

use mio::Waker;
use rustls::ClientConfig;

use crate::error::{Failure, Kind};
use crate::origin::{Origin, Route};
use crate::roots::Roots;
use crate::slots::Key;
use crate::tls;

/// Runs lookups one after another on its thread, which starts with the first and ends with the `Resolver`.
///
/// NOTE: a name server that does not answer delays the lookups behind it; pooled connections do not notice.
pub(crate) struct Resolver {
    waker: Arc<Waker>,
    thread: Option<(Sender<Job>, Receiver<Answer>)>,
}

/// The outcome of a lookup.
pub(crate) struct Answer {
    /// What the asker called it.
    pub(crate) pool: Key,
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
    pool: Key,
    origin: Arc<Origin>,
    needs_config: bool,
}

/// The TLS configurations that pools use.
type Configs = HashMap<Option<Roots>, Weak<ClientConfig>>;

impl Resolver {
    pub(crate) fn new(waker: Arc<Waker>) -> Self {
        Self { waker, thread: None }
    }

    /// Looks up who is to be connected to, then wakes the poll. `needs_config`: also load the TLS configuration.
    pub(crate) fn look_up(
        &mut self,
        pool: Key,
        origin: &Arc<Origin>,
        needs_config: bool,
    ) -> Result<(), Failure> {
        let job = Job { pool, origin: Arc::clone(origin), needs_config };
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
        thread::Builder::new().name("edgeroute-resolve".into()).spawn(move || {
            let mut configs = Configs::new();
            for job in inbox {
                let pool = job.pool;
                let found = run(&job, &mut configs);
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
pub(crate) fn literal_address(route: &Route) -> Option<SocketAddr> {
    let (host, port) = route.peer();
    let address: IpAddr = host.parse().ok()?;
    Some(SocketAddr::new(address, port))
}

fn run(job: &Job, configs: &mut Configs) -> Result<Found, Failure> {
    let route = job.origin.route();
    let config = if job.needs_config { Some(load_config(route, configs)?) } else { None };
    let addresses: Arc<[SocketAddr]> =
        route.peer().to_socket_addrs().map_err(|error| Failure::io(Kind::Resolve, &error))?.collect();
    if addresses.is_empty() {
        return Err(Failure::new(Kind::Resolve, "the name has no address"));
    }
    Ok(Found { addresses, config })
}

fn load_config(route: &Route, configs: &mut Configs) -> Result<Arc<ClientConfig>, Failure> {
    if let Some(config) = configs.get(&route.roots).and_then(Weak::upgrade) {
        return Ok(config);
    }
    let config = tls::load_config(route.roots.as_ref())?;
    configs.retain(|_, config| config.strong_count() > 0);
    configs.insert(route.roots.clone(), Arc::downgrade(&config));
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route() -> Route {
        let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = authority.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
        let origin = Origin::parse("https://localhost").unwrap().trusting(Roots::from_pem(&pem).unwrap());
        origin.route().clone()
    }

    #[test]
    fn a_tls_configuration_is_shared_while_it_is_used_and_then_forgotten() {
        let (old, new) = (route(), route());
        let mut configs = Configs::new();
        let used = load_config(&old, &mut configs).unwrap();
        assert!(Arc::ptr_eq(&used, &load_config(&old, &mut configs).unwrap()));
        let _new = load_config(&new, &mut configs).unwrap();
        assert_eq!(configs.len(), 2);
        drop(used);
        let _newest = load_config(&route(), &mut configs).unwrap();
        assert_eq!(configs.len(), 2);
        assert!(!configs.contains_key(&old.roots));
    }
}
