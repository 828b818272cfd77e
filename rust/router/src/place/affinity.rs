//! The strategy `affinity`: prompts go to the endpoint whose cache holds them, unless it is too busy. Which endpoint
//! has seen which prefix stands in a file that all workers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use edgeroute_placement::{
    Affinity, AffinityIndex, Candidate, Decision, Node, PrefillRate, Price, Prompt, PromptBlocks, SLOTS,
    Slot, TokensPerByte, key,
};
use edgeroute_shared::{Cells, Exact, Words};
use sha2::{Digest, Sha256};
use smallvec::SmallVec;

use super::endpoint::{Identity, Load, update};
use super::strategy::Member;
use super::{Asked, cell_name};
use crate::compile::CompileError;
use crate::config::{self, Tenant};
use crate::facts::Facts;
use crate::snapshot::Provider;

/// The strategy's part for the candidates of one dialect.
#[derive(Debug)]
pub struct AffinityPool {
    pub(crate) index: Arc<PoolIndex>,
    /// What the strategy knows of each member, in their order.
    each: Vec<Seat>,
    affinity: Affinity,
    tenant: Option<Tenant>,
    /// Whether what the `*` of the model's name stands for decides which model answers.
    is_pattern: bool,
    learned: Exact,
}

/// The index of a pool in shared memory: the owners of its slots, then who has seen what.
#[derive(Debug)]
pub(crate) struct PoolIndex {
    words: Words,
    /// Slots of the pool's endpoints.
    slots: Vec<(Identity, Slot)>,
}

/// A member's place in the index.
#[derive(Debug)]
struct Seat {
    /// That of its replica.
    name: Box<str>,
    slot: Slot,
    node: Node,
    price: Option<Price>,
    /// Shorter prefixes are not kept by its cache.
    least_tokens: u32,
    /// Whether an answer with an error may mean that its cache is gone.
    is_own: bool,
}

/// What a pool has learned of its models.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Learned {
    /// Tokens per byte of prompt.
    pub tokens_per_byte: TokensPerByte,
    /// Prompt tokens read per second.
    pub prefill_rate: PrefillRate,
}

impl PoolIndex {
    /// Finds or makes the file of a pool, and the slots of these endpoints in it.
    pub(crate) fn open(
        written: &config::Model,
        endpoints: &[Identity],
        cells: &Cells,
        now_s: u32,
    ) -> Result<Self, CompileError> {
        let place = format!("model `{}`", written.name);
        if endpoints.len() > SLOTS {
            return Err(CompileError::Invalid(format!(
                "{place}: the strategy `affinity` tells at most {SLOTS} candidates apart, these are {}; use fewer \
                 replicas or credentials, or the strategy `bounded-hash`",
                endpoints.len()
            )));
        }
        let count = written.strategy.index_bytes / size_of::<AtomicU64>();
        let least = SLOTS + AffinityIndex::LEAST_WORDS;
        if count < least {
            return Err(CompileError::Invalid(format!(
                "{place}: an index of {} bytes is too small, it needs at least {}",
                written.strategy.index_bytes,
                least * size_of::<AtomicU64>()
            )));
        }
        // One name, one size: a file of another size is another one.
        let file = format!("affinity-{}", cell_name(&[&written.name, &count.to_string()]));
        let mut index = Self { words: cells.words(&file, count)?, slots: Vec::new() };
        for &endpoint in endpoints {
            let slot = index.claim(endpoint, endpoints, now_s).ok_or_else(|| {
                CompileError::Invalid(format!("{place}: another process changes its index at this moment"))
            })?;
            index.slots.push((endpoint, slot));
        }
        Ok(index)
    }

    /// The index itself.
    pub(crate) fn index(&self) -> Option<AffinityIndex<'_>> {
        AffinityIndex::new(self.words.get(SLOTS..)?).ok()
    }

    fn slot(&self, endpoint: Identity) -> Option<Slot> {
        self.slots.iter().find(|(known, _)| *known == endpoint).map(|(_, slot)| *slot)
    }

    /// The slot of an endpoint: the one that it owns, a free one, or that of an endpoint which is not in the pool any
    /// more. The last is taken from it, for whatever its target has seen the new one has not.
    fn claim(&self, endpoint: Identity, all: &[Identity], now_s: u32) -> Option<Slot> {
        let owners = || self.words.iter().take(SLOTS).enumerate();
        let own = endpoint.word();
        // As often as there are others who may take the same slot at the same time.
        for _ in 0..=SLOTS {
            if let Some((number, _)) = owners().find(|(_, owner)| owner.load(Ordering::Acquire) == own) {
                return Slot::new(number).ok();
            }
            let left = |owner: u64| all.iter().all(|each| each.word() != owner);
            let free = owners().find(|(_, owner)| owner.load(Ordering::Acquire) == 0);
            let (number, owner) =
                free.or_else(|| owners().find(|(_, owner)| left(owner.load(Ordering::Acquire))))?;
            let before = owner.load(Ordering::Acquire);
            if (before == 0 || left(before))
                && owner.compare_exchange(before, own, Ordering::AcqRel, Ordering::Acquire).is_ok()
            {
                let slot = Slot::new(number).ok()?;
                // Nobody has seen anything in a slot that was free, and a reset takes away the rest of its second.
                if before != 0 {
                    self.index()?.reset(slot, now_s);
                }
                return Some(slot);
            }
        }
        None
    }
}

impl AffinityPool {
    pub(crate) fn new<'m>(
        written: &config::Model,
        index: Arc<PoolIndex>,
        members: impl Iterator<Item = (&'m Member, Identity, &'m Provider, Option<Price>)>,
        cells: &Cells,
    ) -> Result<Self, CompileError> {
        let seat = |(member, identity, provider, price): (&Member, Identity, &Provider, Option<Price>)| {
            let slot = index.slot(identity)?;
            let cache = provider.prompt_cache;
            index.index()?.set_lifetime(slot, cache.and_then(|cache| cache.lifetime_s));
            Some(Seat {
                name: provider.replicas.get(usize::from(member.replica))?.name.clone(),
                slot,
                node: Node::new(&identity.name(), member.weight),
                price,
                least_tokens: cache.map_or(0, |cache| u32::try_from(cache.least_tokens).unwrap_or(u32::MAX)),
                is_own: cache.is_none(),
            })
        };
        let each = members.filter_map(seat).collect();
        Ok(Self {
            each,
            index,
            affinity: Affinity { second_price: written.strategy.second_price, ..Affinity::default() },
            tenant: written.strategy.cache_salt,
            is_pattern: written.targets.iter().any(|target| target.model.ends_with('*')),
            learned: cells.exact(&format!("learned/{}", cell_name(&[&written.name])))?,
        })
    }
}

impl AffinityPool {
    /// What keeps prompts with equal bytes apart: another model behind the same name, another tenant's cache, a cache
    /// that the client wants to itself.
    pub(crate) fn salt(&self, asked: &Asked<'_, '_>, rest: &str) -> u64 {
        let tenant = self.tenant.map(|tenant| tenant_name(tenant, asked)).unwrap_or_default();
        let rest = if self.is_pattern { rest } else { "" };
        let own = asked.variables.document.string("cache_salt").ok().flatten().unwrap_or_default();
        if tenant.is_empty() && rest.is_empty() && own.is_empty() {
            return 0;
        }
        let parts = [&*tenant, rest, &*own].map(|part| key(0, part.as_bytes()));
        key(0, &parts.map(u64::to_le_bytes).concat())
    }

    /// What engines are to keep the tenant's prompts apart by, where they are: the client's own salt stays part of it.
    pub(crate) fn engine_salt(&self, asked: &Asked<'_, '_>) -> Option<String> {
        let tenant = tenant_name(self.tenant?, asked);
        let own = asked.variables.document.string("cache_salt").ok().flatten().unwrap_or_default();
        let mut digest = Sha256::new();
        for part in ["cache_salt", &tenant, &own] {
            digest.update(part);
            digest.update([0]);
        }
        Some(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Chooses among these members, whose loads are given in the same order. The decision counts positions among them.
    pub(crate) fn choose(
        &self,
        blocks: &PromptBlocks,
        members: &[(u16, Load)],
        output_tokens: u64,
        facts: &dyn Facts,
    ) -> Option<Decision> {
        let learned = facts.learned(self);
        let prompt = Prompt { output_tokens: output_tokens as f64, ..blocks.prompt(learned.tokens_per_byte) };
        let mut depths = [0; SLOTS];
        facts.depths(self, prompt.chain, &mut depths);
        let mut candidates = SmallVec::<[Candidate; 16]>::new();
        for (position, load) in members {
            let seat = self.each.get(usize::from(*position))?;
            candidates.push(Candidate {
                uncached_tokens: load.uncached_tokens,
                context_tokens: load.context_tokens,
                least_tokens: seat.least_tokens,
                price: seat.price,
                ..Candidate::new(seat.slot, seat.node)
            });
        }
        self.affinity.choose_by_depth(&prompt, &depths, &candidates, learned.prefill_rate)
    }

    /// How deep the index has seen the chain, for the slots of all members.
    pub(crate) fn depths(&self, chain: &[u64], now_s: u32, depths: &mut [u16; SLOTS]) {
        let slots = self.each.iter().fold(0, |slots, seat| slots | 1 << seat.slot.number());
        if let Some(index) = self.index.index() {
            index.depths(chain, slots, now_s, depths);
        }
    }

    /// The same from depths that are given by name of the replica.
    pub(crate) fn given_depths(&self, seen: impl Fn(&str) -> u16, depths: &mut [u16; SLOTS]) {
        for seat in &self.each {
            if let Some(depth) = depths.get_mut(seat.slot.number()) {
                *depth = seen(&seat.name);
            }
        }
    }

    pub(crate) fn learned(&self, cells: &Cells) -> Learned {
        Learned::unpack(cells.at(self.learned).load(Ordering::Relaxed))
    }

    /// Learns from a reply: a prompt of so many bytes and tokens; one of so many uncached tokens that was read alone.
    pub(crate) fn learn(&self, cells: &Cells, counted: Option<(u64, u64)>, read: Option<(u64, f32)>) {
        if counted.is_none() && read.is_none() {
            return;
        }
        update(cells.at(self.learned), |word| {
            let mut learned = Learned::unpack(word);
            if let Some((bytes, tokens)) = counted {
                learned.tokens_per_byte = learned.tokens_per_byte.with(bytes, tokens);
            }
            if let Some((tokens, seconds)) = read {
                learned.prefill_rate = learned.prefill_rate.with(tokens, seconds);
            }
            learned.pack()
        });
    }

    /// A prompt is on its way to this member.
    pub(crate) fn insert(&self, member: u16, chain: &[u64], now_s: u32) {
        if let (Some(seat), Some(index)) = (self.each.get(usize::from(member)), self.index.index()) {
            index.insert(chain, seat.slot, now_s);
        }
    }

    /// This member has failed. What ran our engine may have been started anew; a hosted cache outlives an error.
    #[cold]
    pub(crate) fn forget(&self, member: u16, now_s: u32) {
        let seat = self.each.get(usize::from(member)).filter(|seat| seat.is_own);
        if let (Some(seat), Some(index)) = (seat, self.index.index()) {
            index.reset(seat.slot, now_s);
        }
    }
}

impl Learned {
    fn unpack(word: u64) -> Self {
        Self {
            tokens_per_byte: TokensPerByte::from_bits(word as u32),
            prefill_rate: PrefillRate::from_bits((word >> 32) as u32),
        }
    }

    fn pack(self) -> u64 {
        u64::from(self.prefill_rate.to_bits()) << 32 | u64::from(self.tokens_per_byte.to_bits())
    }
}

/// Whose cache it is. Who has no team is a tenant alone.
fn tenant_name(tenant: Tenant, asked: &Asked<'_, '_>) -> String {
    let variables = asked.variables;
    let team = variables.snapshot.team_of(variables.key).filter(|_| tenant == Tenant::Team);
    match team {
        Some(team) => format!("team {}", team.name),
        None => format!("virtual key {}", variables.key.name),
    }
}
