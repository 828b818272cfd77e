//! Phase 7: the candidates in the order in which they are tried.

mod affinity;
mod carried;
mod endpoint;
mod endpoints;
mod key;
mod order;
mod prompt;
mod strategy;

use edgeroute_placement::{Order, PromptBlocks, rotated};
use edgeroute_wire::{Change, Dialect, Edit, Span, quote};
use sha2::{Digest, Sha256};
use smallvec::SmallVec;

pub use affinity::{AffinityPool, Learned};
pub(crate) use carried::{Carried, Reply, forget, insert};
pub use endpoint::{Endpoint, Load};
pub(crate) use endpoint::{EndpointId, EndpointIds};
pub(crate) use strategy::{Compiled, Compiler, Strategy};

use crate::plan::{Candidate, Plan};
use crate::refusal::{Code, Refusal};
use crate::snapshot::{Model, ModelId, Provider, Resolved, Snapshot, Target};
use crate::trace::{Phase, Trace};
use crate::variables::Variables;
use order::{Choice, Uncached};
use strategy::{Chooser, Group};

/// The request, as far as strategies look at it.
pub(crate) struct Asked<'a, 'v> {
    pub(crate) variables: &'a Variables<'v>,
    /// What rules change of the body.
    pub(crate) changes: &'a [Change<'a>],
    /// What may be generated, as far as it counts as load.
    pub(crate) output_tokens: u64,
}

/// What was found out about the request's prompt for strategies that go by it.
#[derive(Debug, Default)]
pub(crate) struct Placed {
    /// The prompt's blocks, hashed once for each salt.
    prompts: SmallVec<[(u64, PromptBlocks); 1]>,
    pools: SmallVec<[PlacedPool; 1]>,
}

/// The same for one pool.
#[derive(Debug)]
struct PlacedPool {
    /// Which fallback of the model it is, from 1; 0 for the model itself.
    fallback: u16,
    model: ModelId,
    /// Position of the pool's group, and of its prompt among those above.
    group: usize,
    prompt: usize,
    /// The tokens of the prompt.
    tokens: u64,
    /// Those of them that each member would have to read.
    uncached: Uncached,
    /// What puts the salt of the tenant's caches into the body for engines.
    cache_salt: Option<(Span, Box<[u8]>)>,
}

/// The model's own targets by its strategy, or the one that a rule pins, then those of its fallbacks. Only targets that
/// speak the caller's dialect remain. Where the strategy orders targets, the replicas of each come in turn, and at each
/// replica the credentials in turn: an account that is used up costs no replica.
pub(crate) fn place(
    plan: &mut Plan,
    asked: &Asked<'_, '_>,
    seed: u64,
    trace: &mut Trace,
) -> Result<(), Refusal> {
    let (snapshot, facts) = (asked.variables.snapshot, asked.variables.facts);
    let Some((id, model)) = plan.model.and_then(|id| Some((id, snapshot.model(id)?))) else {
        return Err(missing_model());
    };
    // One turn for each provider, however many of its targets are candidates: two would always meet the same replica.
    let mut turns = SmallVec::<[(u16, u64); 4]>::new();
    let mut turn_of = |target: &Target, turns_of_provider| {
        if let Some((_, turn)) = turns.iter().find(|(provider, _)| *provider == target.provider) {
            return *turn;
        }
        let turn = facts.turn(turns_of_provider);
        turns.push((target.provider, turn));
        turn
    };
    let pools: SmallVec<[(ModelId, &Model); 4]> = pools(snapshot, id, plan.fallbacks(snapshot)).collect();
    for (fallback, (id, pool)) in (0u16..).zip(pools) {
        // Pools draw apart from each other.
        let seed = seed ^ u64::from(fallback);
        let order = match (plan.pin.filter(|_| fallback == 0), &pool.strategy) {
            (Some(pinned), _) => Order::from_slice(&[pinned]),
            (None, Strategy::Grouped(groups)) => {
                place_group(plan, asked, (fallback, id, pool), groups, seed, trace);
                continue;
            }
            (None, _) => pool.order(seed),
        };
        for id in order {
            let Some(target) = snapshot.target(id) else { continue };
            let Some(provider) = snapshot.provider_of(target) else { continue };
            if provider.dialect != plan.dialect.spoken_by() {
                note_dialect(target, provider, trace);
                continue;
            }
            let is_alone = provider.replicas.len().max(provider.credentials.len()) <= 1;
            let turn = if is_alone { 0 } else { turn_of(target, provider.turns) };
            for (replica, credential) in in_turn(provider, turn) {
                let candidate = Candidate { fallback, target: id, replica, credential };
                push(plan, snapshot, candidate, pool, trace);
            }
        }
    }
    if !plan.candidates.is_empty() {
        return Ok(());
    }
    let own = plan.pin.as_ref().map_or(&*model.targets, std::slice::from_ref);
    let all = || targets(snapshot, own, plan.fallbacks(snapshot));
    if all().any(|(_, spoken)| spoken == plan.dialect.spoken_by()) {
        return Err(all_drained(model));
    }
    Err(no_target(plan.dialect, model, all()))
}

/// The replicas of a provider that take requests in turn, and at each the credentials in turn.
pub(crate) fn in_turn(provider: &Provider, turn: u64) -> impl Iterator<Item = (u16, u16)> + use<'_> {
    let replicas = provider.replicas.len() as u16;
    let credentials = provider.credentials.len().max(1) as u16;
    // Each pair of replica and credential comes first equally often.
    let turn_of_credentials = turn / u64::from(replicas.max(1));
    let first = provider.round.as_ref().map_or(turn, |round| round.at(turn).into());
    let takes_requests = |replica: &u16| provider.round.is_none() || !provider.is_drained(*replica);
    let credentials =
        move |replica| rotated(credentials, turn_of_credentials).map(move |credential| (replica, credential));
    rotated(replicas, first).filter(takes_requests).flat_map(credentials)
}

/// The candidates of a pool whose strategy looks at each of them.
fn place_group(
    plan: &mut Plan,
    asked: &Asked<'_, '_>,
    (fallback, id, pool): (u16, ModelId, &Model),
    groups: &[Group],
    seed: u64,
    trace: &mut Trace,
) {
    let snapshot = asked.variables.snapshot;
    let dialect = plan.dialect.spoken_by();
    let is_noted = trace.is_on();
    for group in groups.iter().filter(|group| is_noted && group.dialect != dialect) {
        let mut targets: Vec<u16> = group.members.iter().map(|member| member.target).collect();
        targets.dedup();
        for target in targets.into_iter().filter_map(|target| snapshot.target(target)) {
            if let Some(provider) = snapshot.provider_of(target) {
                note_dialect(target, provider, trace);
            }
        }
    }
    let Some((position, group)) = groups.iter().enumerate().find(|(_, group)| group.dialect == dialect)
    else {
        return;
    };
    let mut all_placed = plan.placed.take();
    let rest = plan.rest_in(snapshot, fallback);
    let choice = Choice::new(group, asked, rest, seed);
    let order = match &group.chooser {
        Chooser::Affinity(affinity) => {
            let placed = all_placed.get_or_insert_default();
            let prompt = placed.prompt(asked, affinity.salt(asked, rest));
            let Some((_, blocks)) = placed.prompts.get(prompt) else { return };
            let (order, uncached) = choice.affinity(affinity, blocks, trace);
            let learned = asked.variables.facts.learned(affinity);
            let tokens = blocks.prompt(learned.tokens_per_byte).tokens as u64;
            placed.pools.push(PlacedPool {
                fallback,
                model: id,
                group: position,
                prompt,
                tokens,
                uncached,
                cache_salt: affinity.engine_salt(asked).and_then(|salt| splice_salt(asked, &salt)),
            });
            order
        }
        _ => choice.order(trace),
    };
    plan.placed = all_placed;
    for position in order {
        if let Some(member) = group.members.get(usize::from(position)) {
            push(plan, snapshot, member.candidate(fallback), pool, trace);
        }
    }
}

fn push(plan: &mut Plan, snapshot: &Snapshot, candidate: Candidate, pool: &Model, trace: &mut Trace) {
    trace.note(Phase::Place, || {
        format!("candidate {} (model `{}`)", plan.describe(snapshot, candidate), pool.name)
    });
    plan.candidates.push(candidate);
}

fn note_dialect(target: &Target, provider: &Provider, trace: &mut Trace) {
    trace
        .note(Phase::Place, || format!("passed over {}: it speaks {}", target.name, provider.dialect.name()));
}

/// The edit that puts a cache's salt into the body, unless rules have a word on it.
fn splice_salt(asked: &Asked<'_, '_>, salt: &str) -> Option<(Span, Box<[u8]>)> {
    const FIELD: &str = "cache_salt";
    if asked.changes.iter().any(|(name, _)| *name == FIELD) {
        return None;
    }
    let document = asked.variables.document;
    let mut with = Vec::new();
    if let Some(field) = document.get(FIELD) {
        quote(salt, &mut with);
        return Some((field.value, with.into()));
    }
    quote(FIELD, &mut with);
    with.push(b':');
    quote(salt, &mut with);
    with.push(b',');
    Some((Span { start: document.inside(), end: document.inside() }, with.into()))
}

/// A part of a cell's name that is as long as cells allow and tells all names apart.
fn cell_name(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
        digest.update([0]);
    }
    digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl Asked<'_, '_> {
    /// The estimated tokens of the prompt.
    fn prompt_tokens(&self) -> u64 {
        self.variables.prompt.get().tokens
    }
}

impl Placed {
    /// The position of the prompt's blocks with this salt.
    fn prompt(&mut self, asked: &Asked<'_, '_>, salt: u64) -> usize {
        if let Some(known) = self.prompts.iter().position(|(known, _)| *known == salt) {
            return known;
        }
        self.prompts.push((salt, prompt::blocks(asked, salt)));
        self.prompts.len() - 1
    }

    /// What the request asks of engines of this candidate's pool about its cache.
    pub(crate) fn cache_salt(&self, candidate: Candidate) -> Option<Edit<'_>> {
        let (span, with) = self.pool(candidate)?.cache_salt.as_ref()?;
        Some(Edit { span: *span, with })
    }

    fn pool(&self, candidate: Candidate) -> Option<&PlacedPool> {
        self.pools.iter().find(|pool| pool.fallback == candidate.fallback)
    }
}

/// Refuses a dialect that neither the model's targets nor those of its fallbacks speak.
pub(crate) fn check_dialect(snapshot: &Snapshot, id: ModelId, dialect: Dialect) -> Result<(), Refusal> {
    let Some(model) = snapshot.model(id) else { return Err(missing_model()) };
    let targets = || targets(snapshot, &model.targets, &model.fallbacks);
    let speaks = |(_, spoken): (&Target, Dialect)| spoken == dialect.spoken_by();
    if targets().any(speaks) { Ok(()) } else { Err(no_target(dialect, model, targets())) }
}

/// The model, then its fallbacks.
fn pools<'s>(
    snapshot: &'s Snapshot,
    id: ModelId,
    fallbacks: &[Resolved],
) -> impl Iterator<Item = (ModelId, &'s Model)> {
    let all = std::iter::once(id).chain(fallbacks.iter().map(|fallback| fallback.model));
    all.filter_map(|id| Some((id, snapshot.model(id)?)))
}

/// These targets and those of the fallbacks, and what each speaks.
fn targets<'s>(
    snapshot: &'s Snapshot,
    own: &'s [u16],
    fallbacks: &'s [Resolved],
) -> impl Iterator<Item = (&'s Target, Dialect)> {
    let fallbacks = fallbacks.iter().filter_map(|fallback| snapshot.model(fallback.model));
    own.iter().chain(fallbacks.flat_map(|pool| &pool.targets)).filter_map(|&id| {
        let target = snapshot.target(id)?;
        Some((target, snapshot.provider_of(target)?.dialect))
    })
}

#[cold]
fn missing_model() -> Refusal {
    Refusal::new(Code::Internal, "the model's entry is missing")
}

#[cold]
fn all_drained(model: &Model) -> Refusal {
    let message = format!(
        "no replica takes requests for the model `{}`: all are drained, or none is found yet; try again later",
        model.name
    );
    Refusal::new(Code::UpstreamUnreachable, message)
}

#[cold]
fn no_target<'s>(
    dialect: Dialect,
    model: &Model,
    targets: impl Iterator<Item = (&'s Target, Dialect)>,
) -> Refusal {
    let mut spoken = Vec::new();
    for (target, dialect) in targets {
        let each = format!("{} speaks {}", target.name, dialect.name());
        if !spoken.contains(&each) {
            spoken.push(each);
        }
    }
    let message = format!(
        "the model `{}` cannot be served in {}: {}; this version does not translate between dialects",
        model.name,
        dialect.name(),
        spoken.join(", ")
    );
    Refusal::new(Code::NoTarget, message).field("model")
}
