//! What changes an answer besides the body: who asks, which model, and what goes to its provider in the head.

use edgeroute_cache::tenant_hash;
use sha2::{Digest, Sha256};
use smallvec::SmallVec;

use crate::config::{self, CacheScope};
use crate::forward;
use crate::plan::Plan;
use crate::snapshot::Model;
use crate::variables::Variables;

/// Parts of a key; each has its length in front of it when they are hashed, and their number in front of all.
pub(crate) type Parts<'a> = SmallVec<[&'a [u8]; 16]>;

/// Who shares answers: a kind and a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tenant<'a> {
    pub(crate) kind: &'static str,
    pub(crate) name: &'a str,
}

impl<'a> Tenant<'a> {
    /// Whose answers a request of this scope may get. A virtual key without a team is one of its own.
    pub(crate) fn of(variables: &Variables<'a>, scope: CacheScope) -> Self {
        let team = variables.snapshot.team_of(variables.key);
        match (scope, team) {
            (CacheScope::Everybody, _) => Self { kind: "everybody", name: "" },
            (CacheScope::Team, Some(team)) => Self { kind: "team", name: &team.name },
            (CacheScope::Team, None) | (CacheScope::VirtualKey, _) => {
                Self { kind: "virtual_key", name: &variables.key.name }
            }
        }
    }

    pub(crate) fn hash(self) -> u64 {
        tenant_hash(self.kind, self.name)
    }
}

/// The parts of a request's key besides its body. Up to the header fields each has its place; of these, those that are
/// allowed come in their order, an empty name stands before those of rules, and no field has an empty name.
pub(crate) fn parts<'a, 'v: 'a>(
    plan: &'a Plan,
    variables: &Variables<'v>,
    model: &'a Model,
    tenant: Tenant<'a>,
) -> Parts<'a> {
    let pinned = plan.pin.and_then(|pin| variables.snapshot.target(pin)).map_or("", |target| &*target.name);
    let mut parts = Parts::from_slice(&[
        tenant.kind.as_bytes(),
        tenant.name.as_bytes(),
        model.name.as_bytes(),
        plan.rest.as_deref().unwrap_or_default().as_bytes(),
        &model.fingerprint,
        pinned.as_bytes(),
        variables.operation.path().as_bytes(),
    ]);
    for name in forward::allowed(plan.dialect) {
        if let Some(value) = variables.request.header(name) {
            parts.extend([name.as_bytes(), value.as_bytes()]);
        }
    }
    parts.push(b"");
    for (name, value) in &plan.headers {
        let (is_set, value) = value.as_deref().map_or((&b"removed"[..], ""), |value| (b"set", value));
        parts.extend([name.as_bytes(), is_set, value.as_bytes()]);
    }
    parts
}

/// The same for the raw hash: what rules change of the body comes to it.
pub(crate) fn with_changes<'a>(parts: &Parts<'a>, changes: &[edgeroute_wire::Change<'a>]) -> Parts<'a> {
    let mut parts = parts.clone();
    parts.push(b"");
    for (name, value) in changes {
        let (is_set, value) = value.map_or((&b"removed"[..], ""), |value| (b"set", value));
        parts.extend([name.as_bytes(), is_set, value.as_bytes()]);
    }
    parts
}

/// Tells a model's targets from others under the same name: their providers and names there, in any order. What does
/// not change the answer, such as weights, is not in it.
pub(crate) fn fingerprint(model: &config::Model) -> [u8; 16] {
    let mut names: Vec<_> = model.targets.iter().map(|target| (&target.provider, &target.model)).collect();
    names.sort_unstable();
    names.dedup();
    let mut digest = Sha256::new();
    for (provider, name) in names {
        digest.update(format!("{provider}/{name}\n"));
    }
    digest.finalize().first_chunk().copied().unwrap_or_default()
}
