//! The connections of one route: which are idle, how many there are, and who waits for one.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use rustls::ClientConfig;

use crate::addresses::Addresses;
use crate::origin::{Limits, Origin, Route};
use crate::queue::Queue;
use crate::slots::{Key, Slots};

pub(crate) struct Pool {
    pub(crate) origin: Arc<Origin>,
    /// Connections without an exchange, the most recently used last.
    pub(crate) idle: VecDeque<Key>,
    /// Connections of any kind, and exchanges that look up an address for one.
    pub(crate) open: usize,
    /// Exchanges that wait for a connection.
    pub(crate) waiting: Queue<Key>,
    /// Exchanges that look up an address; some may be gone already.
    pub(crate) resolving: Vec<Key>,
    pub(crate) looking_up: bool,
    /// There once it was needed, if the origin speaks TLS.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) addresses: Addresses,
}

/// All pools. One that the configuration needs no more is dropped once nothing is under way in it.
pub(crate) struct Pools {
    pools: Slots<Pool>,
    by_route: HashMap<Route, Key>,
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
            idle: VecDeque::new(),
            open: 0,
            waiting: Queue::new(),
            resolving: Vec::new(),
            looking_up: false,
            tls: None,
            addresses: origin.route().peer_address().map_or_else(Addresses::unknown, Addresses::literal),
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
    /// Whether another connection may be opened.
    pub(crate) fn has_room(&self) -> bool {
        self.open < self.limits().connections.max(1)
    }

    /// Whether no more exchanges may wait.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= self.limits().waiting
    }

    /// Whether the TLS configuration is needed and not there yet.
    pub(crate) fn needs_config(&self) -> bool {
        self.origin.is_tls() && self.tls.is_none()
    }

    fn limits(&self) -> Limits {
        self.origin.route().limits
    }

    pub(crate) fn remove_idle(&mut self, key: Key) {
        if let Some(at) = self.idle.iter().position(|idle| *idle == key) {
            self.idle.remove(at);
        }
    }
}
