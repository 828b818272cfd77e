//! The connections of one route: which are idle, how many there are, and who waits for one.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use crate::exchange::Exchange;
use crate::origin::{Origin, Route};
use crate::resolve::literal_address;
use crate::slots::{Key, Slots};

/// How long the addresses of a name are used before they are looked up again.
const ADDRESSES_KEPT: Duration = Duration::from_secs(10);

pub(crate) struct Pool {
    pub(crate) origin: Arc<Origin>,
    /// Connections without an exchange, the most recently used last.
    pub(crate) idle: Vec<Key>,
    /// Connections of any kind, and exchanges that look up an address for one.
    pub(crate) open: usize,
    /// Exchanges in turn; some may be gone already.
    pub(crate) waiting: VecDeque<Key>,
    /// Exchanges that look up an address; some may be gone already.
    pub(crate) resolving: Vec<Key>,
    pub(crate) looking_up: bool,
    /// There once it was needed, if the origin speaks TLS.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    addresses: Addresses,
}

/// All pools. One that the configuration needs no more is dropped once nothing is under way in it.
pub(crate) struct Pools {
    pools: Slots<Pool>,
    by_route: HashMap<Route, Key>,
}

enum Addresses {
    Unknown,
    Literal(Arc<[SocketAddr]>),
    Found(Arc<[SocketAddr]>, Instant),
}

impl Pools {
    pub(crate) fn new() -> Self {
        Self { pools: Slots::new(), by_route: HashMap::new() }
    }

    pub(crate) fn find(&mut self, origin: &Arc<Origin>) -> Key {
        if let Some(key) = self.by_route.get(origin.route()) {
            return *key;
        }
        let key = self.pools.insert(Pool {
            origin: Arc::clone(origin),
            idle: Vec::new(),
            open: 0,
            waiting: VecDeque::new(),
            resolving: Vec::new(),
            looking_up: false,
            tls: None,
            addresses: literal_address(origin.route()).map_or(Addresses::Unknown, Addresses::Literal),
        });
        self.by_route.insert(origin.route().clone(), key);
        key
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Pool> {
        self.pools.get_mut(key)
    }

    /// The pools of routes other than these.
    pub(crate) fn besides(&self, routes: &HashSet<&Route>) -> Vec<Key> {
        self.by_route.iter().filter(|(route, _)| !routes.contains(route)).map(|(_, key)| *key).collect()
    }

    /// Drops a pool that has neither connections nor exchanges.
    pub(crate) fn remove_vacant(&mut self, key: Key) {
        let Some(pool) = self.pools.get_mut(key) else { return };
        if pool.open > 0 || !pool.waiting.is_empty() {
            return;
        }
        self.by_route.remove(pool.origin.route());
        self.pools.remove(key);
    }
}

impl Pool {
    /// The addresses if they are known and fresh.
    pub(crate) fn addresses(&self, now: Instant) -> Option<Arc<[SocketAddr]>> {
        match &self.addresses {
            Addresses::Literal(addresses) => Some(Arc::clone(addresses)),
            Addresses::Found(addresses, at) if now.saturating_duration_since(*at) < ADDRESSES_KEPT => {
                Some(Arc::clone(addresses))
            }
            Addresses::Found(..) | Addresses::Unknown => None,
        }
    }

    pub(crate) fn found(&mut self, addresses: Arc<[SocketAddr]>, now: Instant) {
        if !matches!(self.addresses, Addresses::Literal(_)) {
            self.addresses = Addresses::Found(addresses, now);
        }
    }

    /// None of the addresses could be connected to: look again next time.
    pub(crate) fn forget_addresses(&mut self) {
        if !matches!(self.addresses, Addresses::Literal(_)) {
            self.addresses = Addresses::Unknown;
        }
    }

    /// Drops exchanges that ended while they waited, as far as they are next in turn.
    pub(crate) fn skip_gone(&mut self, exchanges: &Slots<Exchange>) {
        while self.waiting.front().is_some_and(|key| exchanges.get(*key).is_none()) {
            self.waiting.pop_front();
        }
    }

    pub(crate) fn remove_idle(&mut self, key: Key) {
        if let Some(at) = self.idle.iter().position(|idle| *idle == key) {
            self.idle.remove(at);
        }
    }
}
