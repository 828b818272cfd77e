//! From a normalised configuration to a [`Snapshot`]: names become indexes, cells are found or made, and what cannot
//! be enforced is an error. `edgeroute.config` has found people's mistakes before; what is found here stops a load.

use std::collections::HashMap;

use edgeroute_limits::{Breaker, BreakerSettings, Limits};
use edgeroute_placement::RoundRobin;
use edgeroute_shared::Cells;
use edgeroute_wire::{Dialect, quote};

use crate::client_address::Network;
use crate::config::{self, Config};
use crate::hash::FastMap;
use crate::inquiry::compile_inquiries;
use crate::meter::{Sums, label};
use crate::place::{Compiled, Compiler, Endpoint, Strategy};
use crate::recall;
use crate::refusal::without_text;
use crate::rule::compile_rules;
use crate::snapshot::{
    Credential, Deadlines, Key, Model, ModelId, Names, Provider, Replica, Resolved, Snapshot, Target, Team,
};

/// Why a normalised configuration cannot become a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// Not the JSON that this version publishes.
    #[error("the published configuration cannot be read: {}", without_text(.0))]
    Malformed(#[from] serde_json::Error),
    /// A name that nothing defines.
    #[error("{place} names the {kind} `{name}`, which does not exist")]
    Unknown {
        /// Where the name stands.
        place: String,
        /// What it should be the name of.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A rule that does not compile.
    #[error("rule `{rule}`: {message}")]
    Rule {
        /// Name of the rule.
        rule: String,
        /// The first error, rendered.
        message: String,
    },
    /// Aliases or fallbacks that lead back to themselves.
    #[error("aliases or fallbacks of the {0} form a cycle")]
    Cycle(String),
    /// A value out of range, or a name that stands twice.
    #[error("{0}")]
    Invalid(String),
    /// The memory file has no room.
    #[error(transparent)]
    Cells(#[from] edgeroute_shared::Error),
    /// A limit that cannot be kept.
    #[error(transparent)]
    Limits(#[from] edgeroute_limits::Error),
}

/// Three connect failures in a row take a replica out for ten seconds, on all workers of the host.
const BREAKER: BreakerSettings = BreakerSettings { failures: 3, open_ms: 10_000 };

impl Snapshot {
    /// Compiles a normalised configuration and finds its cells, creating those that are new.
    ///
    /// Indexes of prompts take note of new owners at this second, for `now_ms` in Unix milliseconds.
    pub fn compile(
        normalised: &[u8],
        cells: &Cells,
        generation: u64,
        now_ms: u64,
    ) -> Result<Self, CompileError> {
        let config: Config = serde_json::from_slice(normalised)?;
        check_sizes(&config)?;
        let providers: Vec<Provider> =
            config.providers.iter().map(|each| provider(each, cells)).collect::<Result<_, _>>()?;
        let written = Written::new(&config.models)?;
        let (mut models, mut targets, names) = compile_models(&config, &written, cells)?;
        let (rules, conditions) = compile_rules(&config, &written, &mut targets, cells)?;
        compile_inquiries(&config, &mut models, &mut targets, cells)?;
        let endpoints = compile_strategies(&config, &providers, &mut models, &mut targets, cells, now_ms)?;
        let teams =
            config.teams.iter().map(|each| team(each, &written, cells)).collect::<Result<Vec<_>, _>>()?;
        let mut keys = Vec::with_capacity(config.virtual_keys.len());
        let mut key_hashes = FastMap::with_capacity_and_hasher(config.virtual_keys.len(), Default::default());
        for (index, written) in (0u32..).zip(&config.virtual_keys) {
            let (hash, key) = key(written, &teams, cells)?;
            if key_hashes.insert(hash, index).is_some() {
                let text = format!("virtual key `{}` has the hash of another key", written.name);
                return Err(CompileError::Invalid(text));
            }
            keys.push(key);
        }
        Ok(Self {
            generation,
            providers,
            defaults: config.defaults,
            max_body: config.max_body,
            max_reply: config.max_reply,
            max_stream: config.max_stream,
            max_in_flight: config.max_in_flight,
            targets,
            endpoints,
            models,
            rules,
            conditions,
            keys,
            key_hashes,
            teams,
            names,
            trusted_proxies: config
                .trusted_proxies
                .iter()
                .map(|text| network(text))
                .collect::<Result<_, _>>()?,
            cache: config.cache,
            sums: Sums::new(cells)?,
        })
    }
}

/// Indexes of everything but keys are 16 bits.
fn check_sizes(config: &Config) -> Result<(), CompileError> {
    let most = |count: fn(&config::Provider) -> usize| config.providers.iter().map(count).max().unwrap_or(0);
    for (what, count) in [
        ("providers", config.providers.len()),
        ("URLs of one provider", most(|provider| provider.replicas.len())),
        ("credentials of one provider", most(|provider| provider.credentials.len())),
        ("models", config.models.len()),
        ("targets", config.models.iter().map(|model| model.targets.len()).sum()),
        ("rules", config.rules.len()),
        ("teams", config.teams.len()),
    ] {
        if count > usize::from(u16::MAX) {
            return Err(CompileError::Invalid(format!("{count} {what}; at most {} are possible", u16::MAX)));
        }
    }
    if config.defaults.attempts == 0 {
        return Err(CompileError::Invalid("defaults.attempts must be 1 or more".into()));
    }
    Ok(())
}

fn network(text: &str) -> Result<Network, CompileError> {
    Network::parse(text).ok_or_else(|| {
        CompileError::Invalid(format!("trusted_proxies: `{text}` is not a network like 10.0.0.0/8"))
    })
}

fn provider(written: &config::Provider, cells: &Cells) -> Result<Provider, CompileError> {
    let replica = |replica: &config::Replica| {
        let url = replica.url.as_str();
        let name = replica.address.map_or_else(|| url.to_owned(), |address| format!("{url}@{address}"));
        let breaker = Breaker::new(cells, &format!("breaker/{}/{name}", written.name), BREAKER)?;
        let (address, proxy, weight) = (replica.address, replica.proxy.clone(), replica.weight);
        Ok(Replica { name: name.into(), url: url.into(), address, proxy, weight, breaker })
    };
    let dialect = Dialect::of_provider(&written.dialect).ok_or_else(|| CompileError::Unknown {
        place: format!("provider `{}`", written.name),
        kind: "dialect",
        name: written.dialect.clone(),
    })?;
    let weights: Vec<u32> = written.replicas.iter().map(|replica| replica.weight).collect();
    let is_even = weights.iter().zip(weights.iter().skip(1)).all(|(weight, next)| weight == next);
    // Of replicas that are all drained, none has a turn.
    let round = (!is_even).then(|| RoundRobin::new(&weights)).transpose();
    Ok(Provider {
        name: written.name.as_str().into(),
        dialect,
        credentials: written.credentials.iter().map(|key| Credential::new(dialect, key)).collect(),
        headers: written.headers.iter().map(|(name, value)| (name.as_str().into(), value.clone())).collect(),
        ca: written.ca.clone(),
        max_connections: written.max_connections,
        replicas: written.replicas.iter().map(replica).collect::<Result<_, CompileError>>()?,
        turns: cells.exact(&format!("turn/{}", written.name))?,
        round: round
            .map_err(|error| CompileError::Invalid(format!("provider `{}`: {error}", written.name)))?,
        engine: written.engine,
        prompt_cache: written.prompt_cache,
    })
}

/// The models of a configuration, by the names that it uses for them.
pub(crate) struct Written<'a> {
    models: &'a [config::Model],
    by_name: HashMap<&'a str, usize>,
    /// Prefix before the `*`, longest first.
    wildcards: Vec<(&'a str, usize)>,
}

impl<'a> Written<'a> {
    fn new(models: &'a [config::Model]) -> Result<Self, CompileError> {
        let mut by_name = HashMap::with_capacity(models.len());
        let mut wildcards = Vec::new();
        for (index, model) in models.iter().enumerate() {
            if by_name.insert(model.name.as_str(), index).is_some() {
                return Err(CompileError::Invalid(format!("the model `{}` stands there twice", model.name)));
            }
            wildcards.extend(model.name.strip_suffix('*').map(|prefix| (prefix, index)));
        }
        wildcards.sort_unstable_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Ok(Self { models, by_name, wildcards })
    }

    /// Follows aliases. A `*` at the end of an alias hands on what the name's own `*` stands for.
    pub(crate) fn resolve(&self, name: &str, place: &str) -> Result<Resolved, CompileError> {
        let unknown =
            |name: &str| CompileError::Unknown { place: place.into(), kind: "model", name: name.into() };
        let (mut current, mut rest) = (name, None);
        for _ in 0..=self.models.len() {
            let (index, matched) = self.find(current).ok_or_else(|| unknown(current))?;
            rest = if current.ends_with('*') { rest } else { matched };
            match self.models.get(index).and_then(|model| model.alias.as_deref()) {
                Some(alias) => current = alias,
                None => return Ok(Resolved { model: index as ModelId, rest: rest.map(Into::into) }),
            }
        }
        Err(CompileError::Cycle(format!("model `{name}`")))
    }

    fn find<'n>(&self, name: &'n str) -> Option<(usize, Option<&'n str>)> {
        if let Some(&index) = self.by_name.get(name) {
            return Some((index, None));
        }
        if name.ends_with('*') {
            return None;
        }
        self.wildcards.iter().find_map(|(prefix, index)| Some((*index, Some(name.strip_prefix(prefix)?))))
    }

    /// The fallbacks of a model with theirs, depth first, each once.
    fn fallbacks(&self, model: &config::Model, id: ModelId) -> Result<Vec<Resolved>, CompileError> {
        let place = format!("model `{}`", model.name);
        self.follow(Some(Resolved { model: id, rest: None }), &model.fallbacks, &place)
    }

    /// These models with their fallbacks, depth first, each once.
    pub(crate) fn all_fallbacks(&self, names: &[String], place: &str) -> Result<Vec<Resolved>, CompileError> {
        self.follow(None, names, place)
    }

    fn follow(
        &self,
        from: Option<Resolved>,
        names: &[String],
        place: &str,
    ) -> Result<Vec<Resolved>, CompileError> {
        let mut found = Vec::new();
        let mut open = vec![(from, names.iter())];
        while let Some((from, names)) = open.last_mut() {
            let Some(name) = names.next() else {
                open.pop();
                continue;
            };
            let mut next = self.resolve(name, place)?;
            next.rest = next.rest.or_else(|| from.as_ref()?.rest.clone());
            if open.iter().flat_map(|(passed, _)| passed).any(|passed| passed.model == next.model) {
                return Err(CompileError::Cycle(place.into()));
            }
            if found.contains(&next) {
                continue;
            }
            found.push(next.clone());
            let theirs = self.models.get(usize::from(next.model)).map(|model| model.fallbacks.iter());
            open.push((Some(next), theirs.unwrap_or_default()));
        }
        Ok(found)
    }
}

fn compile_models(
    config: &Config,
    written: &Written<'_>,
    cells: &Cells,
) -> Result<(Vec<Model>, Vec<Target>, Names), CompileError> {
    let (mut models, mut targets, mut names) = (Vec::new(), Vec::new(), Names::default());
    for (id, model) in config.models.iter().enumerate() {
        let place = format!("model `{}`", model.name);
        let resolved = written.resolve(&model.name, &place)?;
        match model.name.strip_suffix('*') {
            Some(prefix) => names.wildcards.push((prefix.into(), resolved)),
            None => _ = names.exact.insert(model.name.as_str().into(), resolved),
        }
        let first = targets.len() as u16;
        for each in &model.targets {
            targets.push(target(each, config, &place, cells)?);
        }
        models.push(Model {
            name: model.name.as_str().into(),
            targets: (first..targets.len() as u16).collect(),
            strategy: Strategy::Ordered,
            fallbacks: written.fallbacks(model, id as ModelId)?,
            cache: model.cache,
            embedder: None,
            judge: None,
            hash: edgeroute_cache::model_hash(&model.name),
            fingerprint: recall::fingerprint(model),
        });
    }
    names.wildcards.sort_unstable_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    Ok((models, targets, names))
}

/// Gives each model its strategy, and each target its endpoints; returns all endpoints.
fn compile_strategies(
    config: &Config,
    providers: &[Provider],
    models: &mut [Model],
    targets: &mut [Target],
    cells: &Cells,
    now_ms: u64,
) -> Result<Vec<Endpoint>, CompileError> {
    let mut compiler = Compiler::new(providers, targets, cells, (now_ms / 1_000) as u32);
    for (written, model) in config.models.iter().zip(models) {
        model.strategy = compiler.strategy(written, model)?;
    }
    let Compiled { endpoints, of_targets } = compiler.finish()?;
    for (target, endpoints) in targets.iter_mut().zip(of_targets) {
        target.endpoints = endpoints;
    }
    Ok(endpoints)
}

fn target(
    written: &config::Target,
    config: &Config,
    place: &str,
    cells: &Cells,
) -> Result<Target, CompileError> {
    let provider =
        config.providers.iter().position(|provider| provider.name == written.provider).ok_or_else(|| {
            CompileError::Unknown { place: place.into(), kind: "provider", name: written.provider.clone() }
        })?;
    let name = format!("{}/{}", written.provider, written.model);
    let defaults = &config.defaults;
    let mut quoted_model = Vec::new();
    quote(&written.model, &mut quoted_model);
    Ok(Target {
        in_flight: cells.gauge(&format!("edgeroute_in_flight{{target={}}}", label(&name)), None)?,
        name: name.into(),
        endpoints: Box::default(),
        provider: provider as u16,
        model: written.model.as_str().into(),
        quoted_model: quoted_model.into(),
        deadlines: Deadlines {
            connect_ms: written.connect_ms.unwrap_or(defaults.connect_ms),
            first_byte_ms: written.first_byte_ms.unwrap_or(defaults.first_byte_ms),
            gap_ms: written.gap_ms.unwrap_or(defaults.gap_ms),
        },
    })
}

/// The target of this name, of any model, or else a new one.
pub(crate) fn named_target(
    written: &config::Named,
    config: &Config,
    targets: &mut Vec<Target>,
    cells: &Cells,
    place: &str,
) -> Result<u16, CompileError> {
    let name = format!("{}/{}", written.provider, written.model);
    if let Some(known) = targets.iter().position(|target| *target.name == *name) {
        return Ok(known as u16);
    }
    let index = u16::try_from(targets.len())
        .map_err(|_| CompileError::Invalid(format!("{place} names one target too many")))?;
    let plain = config::Target {
        provider: written.provider.clone(),
        model: written.model.clone(),
        weight: 1,
        price: None,
        connect_ms: None,
        first_byte_ms: None,
        gap_ms: None,
    };
    targets.push(target(&plain, config, place, cells)?);
    Ok(index)
}

fn team(written: &config::Team, models: &Written<'_>, cells: &Cells) -> Result<Team, CompileError> {
    for model in written.aliases.values() {
        models.resolve(model, &format!("team `{}`", written.name))?;
    }
    Ok(Team {
        name: written.name.as_str().into(),
        models: written.models.as_ref().map(|names| names.iter().map(|name| name.as_str().into()).collect()),
        aliases: written
            .aliases
            .iter()
            .map(|(from, to)| (from.as_str().into(), to.as_str().into()))
            .collect(),
        limits: Limits::new(cells, &format!("team/{}", written.name), written.limits)?,
        quotas: written.limits,
        counts_tokens: written.limits.tokens_per_minute.is_some(),
    })
}

fn key(written: &config::VirtualKey, teams: &[Team], cells: &Cells) -> Result<([u8; 32], Key), CompileError> {
    let place = || format!("virtual key `{}`", written.name);
    let hash = decode_hash(&written.hash)
        .ok_or_else(|| CompileError::Invalid(format!("{}: its hash is not 64 hex digits", place())))?;
    let found = written.team.as_ref().map(|name| {
        let found = (0u16..).zip(teams).find(|(_, team)| *team.name == **name);
        found.ok_or_else(|| CompileError::Unknown { place: place(), kind: "team", name: name.clone() })
    });
    let team = found.transpose()?;
    let limits = Limits::new(cells, &format!("key/{}", written.name), written.limits)?;
    let key = Key {
        name: written.name.as_str().into(),
        scopes: std::iter::once(limits).chain(team.map(|(_, team)| team.limits)).collect(),
        quotas: written.limits,
        counts_tokens: written.limits.tokens_per_minute.is_some()
            || team.is_some_and(|(_, team)| team.counts_tokens),
        team: team.map(|(index, _)| index),
    };
    Ok((hash, key))
}

fn decode_hash(hex: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if hex.len() != 64 {
        return None;
    }
    for (byte, digits) in hash.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = decode_hex(digits)?;
    }
    Some(hash)
}

/// The byte of two hexadecimal digits.
pub(crate) fn decode_hex(digits: &[u8]) -> Option<u8> {
    digits.iter().try_fold(0, |byte, digit| {
        let value = char::from(*digit).to_digit(16)?;
        Some(byte << 4 | value as u8)
    })
}
