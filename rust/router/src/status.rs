//! What the cells of this host say of targets and limits, for the status page and metrics. Nothing is reserved, and
//! nothing is shown that a secret could be read from.

use std::collections::HashSet;

use edgeroute_limits::{BreakerState, Usage};
use edgeroute_shared::Cells;
use serde::Serialize;

use crate::snapshot::{Replica, Snapshot, Target};

/// Targets and limits as they stand.
#[derive(Debug, Serialize)]
pub struct Status<'a> {
    /// Targets in the order of the configuration, each once.
    pub targets: Vec<TargetStatus<'a>>,
    /// Teams and virtual keys that have limits.
    pub limits: Vec<OwnerStatus<'a>>,
}

/// One target.
#[derive(Debug, Serialize)]
pub struct TargetStatus<'a> {
    /// `provider/model` as the configuration writes it.
    pub target: &'a str,
    /// Exchanges open on it, over all workers.
    pub in_flight: u64,
    /// The replicas of its provider.
    pub replicas: Vec<ReplicaStatus<'a>>,
}

/// One replica of a provider.
#[derive(Debug, Serialize)]
pub struct ReplicaStatus<'a> {
    /// The base URL; `URL@address` where the address was discovered.
    pub url: &'a str,
    /// `closed`, `open`, or `half-open`: used again, and skipped again after one more failure.
    pub breaker: &'static str,
    /// Milliseconds for which it is still skipped.
    pub open_ms: u64,
}

/// The limits of a team or a virtual key.
#[derive(Debug, Serialize)]
pub struct OwnerStatus<'a> {
    /// `team` or `virtual key`.
    pub owner: &'static str,
    /// Its name.
    pub name: &'a str,
    /// Each of its limits.
    pub limits: Vec<LimitStatus>,
}

/// One limit.
#[derive(Debug, Serialize)]
pub struct LimitStatus {
    /// Its name in the configuration.
    pub limit: &'static str,
    /// What may be used.
    pub most: u64,
    /// What is settled or reserved in the running minute, or held now.
    pub used: u64,
    /// What of that is reserved.
    pub reserved: u64,
}

impl Snapshot {
    /// How targets and limits stand at this moment, Unix milliseconds.
    pub fn status(&self, cells: &Cells, unix_ms: u64) -> Status<'_> {
        let mut seen = HashSet::new();
        let targets = self.targets.iter().filter(|target| seen.insert(&*target.name));
        let teams = self.teams.iter().map(|team| ("team", &*team.name, Some(&team.limits)));
        // The first of a key's scopes is its own.
        let keys = self.keys.iter().map(|key| ("virtual key", &*key.name, key.scopes.first()));
        let limits = teams.chain(keys).filter_map(|(owner, name, limits)| {
            let limits: Vec<LimitStatus> = limits?.usage(cells, unix_ms).map(LimitStatus::from).collect();
            (!limits.is_empty()).then_some(OwnerStatus { owner, name, limits })
        });
        Status {
            targets: targets.map(|target| self.target_status(target, cells, unix_ms)).collect(),
            limits: limits.collect(),
        }
    }

    /// How the replicas of each provider stand, with the name of the provider.
    pub fn replicas(&self, cells: &Cells, unix_ms: u64) -> impl Iterator<Item = (&str, ReplicaStatus<'_>)> {
        self.providers.iter().flat_map(move |provider| {
            provider
                .replicas
                .iter()
                .map(move |replica| (&*provider.name, replica_status(replica, cells, unix_ms)))
        })
    }

    fn target_status<'a>(&'a self, target: &'a Target, cells: &Cells, unix_ms: u64) -> TargetStatus<'a> {
        let replicas = self.provider_of(target).map_or(&[][..], |provider| &provider.replicas);
        TargetStatus {
            target: &target.name,
            in_flight: cells.gauge_total(target.in_flight),
            replicas: replicas.iter().map(|replica| replica_status(replica, cells, unix_ms)).collect(),
        }
    }
}

impl From<Usage> for LimitStatus {
    fn from(usage: Usage) -> Self {
        let Usage { limit, most, used, reserved } = usage;
        Self { limit, most, used, reserved }
    }
}

fn replica_status<'a>(replica: &'a Replica, cells: &Cells, unix_ms: u64) -> ReplicaStatus<'a> {
    let (breaker, open_ms) = match replica.breaker.state(cells, unix_ms) {
        BreakerState::Closed => ("closed", 0),
        BreakerState::Open { left_ms } => ("open", left_ms),
        BreakerState::HalfOpen => ("half-open", 0),
    };
    ReplicaStatus { url: &replica.url, breaker, open_ms }
}
