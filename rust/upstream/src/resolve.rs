//! What would block the event loop is done by helper threads: looking up names, reading the system's authorities.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use mio::Waker;
use rustls::ClientConfig;

use crate::error::{Failure, Kind};
use crate::origin::{Origin, Route};
use crate::roots::Roots;
use crate::slots::Key;
use crate::tls;

/// Lookups at the same time: so many name servers may be silent before the others notice.
const THREADS: usize = 8;

/// Runs lookups on threads that start when they are needed and end with the `Resolver`.
pub(crate) struct Resolver {
    waker: Arc<Waker>,
    shared: Arc<Shared>,
    outbox: Sender<Answer>,
    answers: Receiver<Answer>,
}

/// What the threads share with the event loop, which holds the locks for moments only.
struct Shared {
    work: Mutex<Work>,
    changed: Condvar,
    configs: Mutex<Configs>,
    look_up: LookUp,
}

#[derive(Default)]
struct Work {
    jobs: VecDeque<Job>,
    threads: usize,
    /// Threads that wait for a job.
    idle: usize,
    ended: bool,
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

/// Host and port to addresses.
type LookUp = fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

impl Resolver {
    pub(crate) fn new(waker: Arc<Waker>) -> Self {
        Self::with(waker, |host, port| (host, port).to_socket_addrs().map(Iterator::collect))
    }

    fn with(waker: Arc<Waker>, look_up: LookUp) -> Self {
        let shared =
            Shared { work: Mutex::default(), changed: Condvar::new(), configs: Mutex::default(), look_up };
        let (outbox, answers) = channel();
        Self { waker, shared: Arc::new(shared), outbox, answers }
    }

    /// Looks up who is to be connected to, then wakes the poll. `needs_config`: also load the TLS configuration.
    pub(crate) fn look_up(
        &mut self,
        pool: Key,
        origin: &Arc<Origin>,
        needs_config: bool,
    ) -> Result<(), Failure> {
        let mut work = lock(&self.shared.work);
        if work.idle <= work.jobs.len() && work.threads < THREADS {
            match self.spawn() {
                Ok(()) => work.threads += 1,
                Err(error) if work.threads == 0 => return Err(Failure::io(Kind::Resolve, &error)),
                // The others will come to it.
                Err(_) => {}
            }
        }
        work.jobs.push_back(Job { pool, origin: Arc::clone(origin), needs_config });
        self.shared.changed.notify_one();
        Ok(())
    }

    /// An answer that has arrived since.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }

    fn spawn(&self) -> io::Result<()> {
        let (waker, shared, outbox) =
            (Arc::clone(&self.waker), Arc::clone(&self.shared), self.outbox.clone());
        let serve = move || {
            while let Some(job) = shared.next() {
                let found = shared.run(&job);
                // Either fails only when the client is gone, and nobody waits.
                if outbox.send(Answer { pool: job.pool, found }).is_err() || waker.wake().is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("edgeroute-resolve".into()).spawn(serve).map(drop)
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        lock(&self.shared.work).ended = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    /// Waits for a job; `None` when there will be none any more.
    fn next(&self) -> Option<Job> {
        let mut work = lock(&self.work);
        loop {
            if work.ended {
                return None;
            }
            if let Some(job) = work.jobs.pop_front() {
                return Some(job);
            }
            work.idle += 1;
            work = self.changed.wait(work).unwrap_or_else(PoisonError::into_inner);
            work.idle -= 1;
        }
    }

    fn run(&self, job: &Job) -> Result<Found, Failure> {
        let route = job.origin.route();
        let config =
            if job.needs_config { Some(load_config(route, &mut lock(&self.configs))?) } else { None };
        let (host, port) = route.peer();
        let addresses = match route.peer_address() {
            Some(address) => vec![address],
            None => (self.look_up)(host, port).map_err(|error| Failure::io(Kind::Resolve, &error))?,
        };
        if addresses.is_empty() {
            return Err(Failure::new(Kind::Resolve, "the name has no address"));
        }
        Ok(Found { addresses: addresses.into(), config })
    }
}

/// What the locks guard is whole at all times, also after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn a_name_server_that_is_silent_does_not_hold_up_the_others() {
        use crate::slots::Slots;
        use std::time::{Duration, Instant};

        fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
            while host.starts_with("silent") {
                thread::park();
            }
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))])
        }
        let mut poll = mio::Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), mio::Token(0)).unwrap());
        let mut resolver = Resolver::with(waker, look_up);
        let mut keys = Slots::new();
        let mut ask = |resolver: &mut Resolver, name: &str| {
            let origin = Arc::new(Origin::parse(&format!("http://{name}")).unwrap());
            let key = keys.insert(());
            resolver.look_up(key, &origin, false).unwrap();
            key
        };
        for n in 0..THREADS - 1 {
            ask(&mut resolver, &format!("silent-{n}"));
        }
        let hang_guard = Instant::now() + Duration::from_secs(20);
        for n in 0..20 {
            let key = ask(&mut resolver, &format!("host-{n}"));
            let answer = loop {
                if let Some(answer) = resolver.answer() {
                    break answer;
                }
                assert!(Instant::now() < hang_guard);
                poll.poll(&mut mio::Events::with_capacity(1), Some(Duration::from_millis(20))).unwrap();
            };
            assert!(answer.pool == key && answer.found.is_ok());
        }
        assert_eq!(lock(&resolver.shared.work).threads, THREADS);
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
