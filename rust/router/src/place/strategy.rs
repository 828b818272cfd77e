//! How a pool orders its candidates, compiled: every candidate known, its endpoint's cells found.

use std::collections::HashMap;
use std::sync::Arc;

use edgeroute_limits::Breaker;
use edgeroute_placement::{Price, Rendezvous, Ring, RoundRobin};
use edgeroute_shared::{Cells, Exact};
use edgeroute_wire::Dialect;

use super::affinity::{AffinityPool, PoolIndex};
use super::endpoint::{Endpoint, EndpointId, EndpointIds, Identity};
use super::endpoints::Endpoints;
use super::key::KeySource;
use crate::compile::CompileError;
use crate::config::{self, StrategyName};
use crate::plan::Candidate;
use crate::snapshot::{Model, Provider, Target};

/// How a pool orders its candidates.
#[derive(Debug)]
pub(crate) enum Strategy {
    /// Targets as listed, the replicas and credentials of each in turn.
    Ordered,
    /// Targets drawn by these weights, the replicas and credentials of each in turn.
    Weighted(Vec<u32>),
    /// Candidates by what is known of each: a group for each dialect that they speak.
    Grouped(Vec<Group>),
}

/// The candidates of a pool that speak one dialect.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) dialect: Dialect,
    pub(crate) members: Vec<Member>,
    pub(crate) chooser: Chooser,
}

/// A candidate of a pool: a target, one of its replicas, one of its credentials.
#[derive(Debug)]
pub(crate) struct Member {
    /// Index of the target in the snapshot.
    pub(crate) target: u16,
    /// Index of the replica in the target's provider.
    pub(crate) replica: u16,
    /// Index of the credential in the target's provider.
    pub(crate) credential: u16,
    /// The target's times the replica's; above zero.
    pub(crate) weight: u32,
    pub(crate) breaker: Breaker,
    pub(crate) endpoint: Option<EndpointId>,
}

/// What chooses among the members of a group.
#[derive(Debug)]
pub(crate) enum Chooser {
    RoundRobin {
        round: RoundRobin,
        turns: Exact,
    },
    LeastLoad,
    PowerOfTwo,
    Latency,
    /// With the price of each member.
    Cost(Vec<Price>),
    Session {
        keys: Vec<KeySource>,
        rendezvous: Rendezvous,
    },
    BoundedHash {
        keys: Vec<KeySource>,
        ring: Ring,
    },
    Affinity(Box<AffinityPool>),
}

impl Member {
    pub(crate) fn candidate(&self, fallback: u16) -> Candidate {
        let Self { target, replica, credential, .. } = *self;
        Candidate { fallback, target, replica, credential }
    }
}

/// Points on the ring per unit of weight: shares are then within about 6 % of each other.
const VIRTUAL_NODES: u32 = 256;

/// What all pools are compiled with.
pub(crate) struct Compiler<'a> {
    providers: &'a [Provider],
    targets: &'a [Target],
    cells: &'a Cells,
    /// When the slots of an index count as taken over.
    now_s: u32,
    endpoints: Endpoints<'a>,
}

/// What is kept for all pools together.
pub(crate) struct Compiled {
    pub(crate) endpoints: Vec<Endpoint>,
    /// Under each target's index, its own.
    pub(crate) of_targets: Vec<EndpointIds>,
}

/// A member, with what it is called among the others.
struct Named {
    member: Member,
    identity: Identity,
    price: Option<Price>,
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(
        providers: &'a [Provider],
        targets: &'a [Target],
        cells: &'a Cells,
        now_s: u32,
    ) -> Self {
        Self { providers, targets, cells, now_s, endpoints: Endpoints::default() }
    }

    /// The strategy of a pool. `written` and `model` are the same one.
    pub(crate) fn strategy(
        &mut self,
        written: &config::Model,
        model: &Model,
    ) -> Result<Strategy, CompileError> {
        let place = format!("model `{}`", written.name);
        if model.targets.is_empty() {
            return Ok(Strategy::Ordered);
        }
        let name = written.strategy.name;
        let weights: Vec<u32> = written.targets.iter().map(|target| target.weight).collect();
        let weight_of = |position: usize| match name {
            StrategyName::Ordered => 1,
            _ => weights.get(position).copied().unwrap_or(0),
        };
        if weights.iter().enumerate().all(|(position, _)| weight_of(position) == 0) {
            return Err(CompileError::Invalid(format!("{place}: no target has a weight above 0")));
        }
        let takes_requests = |(position, index): (usize, &u16)| {
            weight_of(position) > 0 && self.provider_of(*index).is_some_and(Provider::takes_requests)
        };
        if !model.targets.iter().enumerate().any(takes_requests) {
            let text = format!(
                "{place}: none of its targets has a replica that takes requests: all are drained or have weight 0"
            );
            return Err(CompileError::Invalid(text));
        }
        match name {
            StrategyName::Ordered => return Ok(Strategy::Ordered),
            StrategyName::Weighted => return Ok(Strategy::Weighted(weights)),
            _ => {}
        }
        let named = self.members(written, model, &place)?;
        let index = match name {
            StrategyName::Affinity => {
                let identities: Vec<Identity> = named.iter().map(|named| named.identity).collect();
                Some(Arc::new(PoolIndex::open(written, &identities, self.cells, self.now_s)?))
            }
            _ => None,
        };
        let mut groups: Vec<(Dialect, Vec<Named>)> = Vec::new();
        for named in named {
            let Some(provider) = self.provider_of(named.member.target) else { continue };
            match groups.iter_mut().find(|(dialect, _)| *dialect == provider.dialect) {
                Some((_, group)) => group.push(named),
                None => groups.push((provider.dialect, vec![named])),
            }
        }
        let groups = groups.into_iter().map(|(dialect, mut named)| {
            let chooser = self.chooser(written, dialect, &mut named, index.as_ref(), &place)?;
            let members = named.into_iter().map(|named| named.member).collect();
            Ok(Group { dialect, members, chooser })
        });
        groups.collect::<Result<_, CompileError>>().map(Strategy::Grouped)
    }

    /// The endpoints of all pools.
    pub(crate) fn finish(self) -> Result<Compiled, CompileError> {
        let of_target = |target: &Target| -> Option<EndpointIds> {
            let provider = self.providers.get(usize::from(target.provider))?;
            let credentials = provider.credentials.len().max(1);
            let identities = provider.replicas.iter().flat_map(|replica| {
                (0..credentials)
                    .map(move |credential| Identity::new(provider, replica, credential, &target.model))
            });
            let found: EndpointIds = identities.map(|identity| self.endpoints.find(identity)).collect();
            found.iter().any(Option::is_some).then_some(found)
        };
        let of_targets = match self.endpoints.is_empty() {
            true => Vec::new(),
            false => self.targets.iter().map(|target| of_target(target).unwrap_or_default()).collect(),
        };
        Ok(Compiled { endpoints: self.endpoints.claim(self.cells)?, of_targets })
    }

    /// The candidates that take requests, each once.
    fn members(
        &self,
        written: &config::Model,
        model: &Model,
        place: &str,
    ) -> Result<Vec<Named>, CompileError> {
        let mut members = Vec::new();
        let mut seen = HashMap::new();
        for (config, &index) in written.targets.iter().zip(&model.targets) {
            let Some(target) = self.targets.get(usize::from(index)) else { continue };
            let Some(provider) = self.provider_of(index) else { continue };
            for (position, replica) in (0u16..).zip(&provider.replicas) {
                for credential in 0..provider.credentials.len().max(1) {
                    let identity = Identity::new(provider, replica, credential, &target.model);
                    if seen.insert(identity, ()).is_some() {
                        let text = format!(
                            "{place}: {} at {} is listed twice; give it once, with the sum of the weights",
                            target.name, replica.url
                        );
                        return Err(CompileError::Invalid(text));
                    }
                    let weight = config.weight.saturating_mul(replica.weight);
                    let member = Member {
                        target: index,
                        replica: position,
                        credential: credential as u16,
                        weight,
                        breaker: replica.breaker,
                        endpoint: None,
                    };
                    if weight > 0 {
                        members.push(Named { member, identity, price: config.price.map(Price::from) });
                    }
                }
            }
        }
        Ok(members)
    }

    fn chooser(
        &mut self,
        written: &config::Model,
        dialect: Dialect,
        named: &mut [Named],
        index: Option<&Arc<PoolIndex>>,
        place: &str,
    ) -> Result<Chooser, CompileError> {
        let strategy = &written.strategy;
        let invalid = |error: edgeroute_placement::Error| CompileError::Invalid(format!("{place}: {error}"));
        let names: Vec<String> = named.iter().map(|named| named.identity.name()).collect();
        let nodes = || names.iter().map(String::as_str).zip(named.iter().map(|named| named.member.weight));
        let keys = || -> Result<Vec<_>, _> {
            strategy.key.iter().map(|name| KeySource::parse(name, place)).collect()
        };
        let chooser = match strategy.name {
            StrategyName::RoundRobin => {
                let weights: Vec<u32> = named.iter().map(|named| named.member.weight).collect();
                let pool = super::cell_name(&[&written.name, dialect.name()]);
                Chooser::RoundRobin {
                    round: RoundRobin::new(&weights).map_err(invalid)?,
                    turns: self.cells.exact(&format!("round/{pool}"))?,
                }
            }
            StrategyName::Session => {
                Chooser::Session { keys: keys()?, rendezvous: Rendezvous::new(nodes()).map_err(invalid)? }
            }
            StrategyName::BoundedHash => Chooser::BoundedHash {
                keys: keys()?,
                ring: Ring::new(nodes(), VIRTUAL_NODES, strategy.load_factor_percent).map_err(invalid)?,
            },
            StrategyName::Cost => {
                let priced: Option<Vec<Price>> = named.iter().map(|named| named.price).collect();
                Chooser::Cost(priced.ok_or_else(|| self.without_price(named, place))?)
            }
            StrategyName::LeastLoad => Chooser::LeastLoad,
            StrategyName::PowerOfTwo => Chooser::PowerOfTwo,
            StrategyName::Latency => Chooser::Latency,
            StrategyName::Affinity => {
                let index = Arc::clone(index.ok_or_else(|| missing_index(place))?);
                let each = named.iter().filter_map(|named| {
                    let provider = self.provider_of(named.member.target)?;
                    Some((&named.member, named.identity, provider, named.price))
                });
                Chooser::Affinity(Box::new(AffinityPool::new(written, index, each, self.cells)?))
            }
            StrategyName::Ordered | StrategyName::Weighted => return Err(missing_index(place)),
        };
        // Neither turns nor sessions look at what targets are busy with.
        if !matches!(chooser, Chooser::RoundRobin { .. } | Chooser::Session { .. }) {
            let keeps_latency = matches!(chooser, Chooser::Latency);
            for Named { member, identity, .. } in named {
                let name = self.provider_of(member.target).and_then(|provider| {
                    Some((provider, provider.replicas.get(usize::from(member.replica))?))
                });
                let Some((provider, replica)) = name else { continue };
                member.endpoint = Some(self.endpoints.want(*identity, provider, replica, keeps_latency));
            }
        }
        Ok(chooser)
    }

    fn provider_of(&self, target: u16) -> Option<&'a Provider> {
        let target = self.targets.get(usize::from(target))?;
        self.providers.get(usize::from(target.provider))
    }

    #[cold]
    fn without_price(&self, named: &[Named], place: &str) -> CompileError {
        let without = named.iter().filter(|named| named.price.is_none());
        let mut names: Vec<&str> = without
            .filter_map(|named| self.targets.get(usize::from(named.member.target)))
            .map(|target| &*target.name)
            .collect();
        names.dedup();
        CompileError::Invalid(format!(
            "{place}: the strategy `cost` needs a price for each target; there is none for {}",
            names.join(", ")
        ))
    }
}

impl From<config::Price> for Price {
    fn from(written: config::Price) -> Self {
        let config::Price { input, cached_input, output } = written;
        Self { input, cached_input, output }
    }
}

#[cold]
fn missing_index(place: &str) -> CompileError {
    CompileError::Invalid(format!("{place}: its strategy has no groups"))
}
