//! Phase 7: the candidates in the order in which they are tried.

use edgeroute_placement::{Order, rotated};
use edgeroute_wire::Dialect;
use smallvec::SmallVec;

use crate::facts::Facts;
use crate::plan::{Candidate, Plan};
use crate::refusal::{Code, Refusal};
use crate::snapshot::{Model, ModelId, Resolved, Snapshot, Target};
use crate::trace::{Phase, Trace};

/// The model's own targets by its strategy, or the one that a rule pins, then those of its fallbacks; each target's replicas in turn, and at each
/// replica the credentials in turn: an account that is used up costs no replica. Only targets that speak the caller's
/// dialect remain.
pub(crate) fn place(
    plan: &mut Plan,
    snapshot: &Snapshot,
    facts: &dyn Facts,
    seed: u64,
    trace: &mut Trace,
) -> Result<(), Refusal> {
    let Some(model) = plan.model.and_then(|id| snapshot.model(id)) else {
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
    let pools: SmallVec<[&Model; 4]> = pools(snapshot, model, plan.fallbacks(snapshot)).collect();
    for (fallback, pool) in (0u16..).zip(pools) {
        // Pools draw apart from each other.
        let order = match plan.pin.filter(|_| fallback == 0) {
            Some(pinned) => Order::from_slice(&[pinned]),
            None => pool.order(seed ^ u64::from(fallback)),
        };
        for id in order {
            let Some(target) = snapshot.target(id) else { continue };
            let Some(provider) = snapshot.provider_of(target) else { continue };
            if provider.dialect != plan.dialect.spoken_by() {
                trace.note(Phase::Place, || {
                    format!("passed over {}: it speaks {}", target.name, provider.dialect.name())
                });
                continue;
            }
            let replicas = provider.replicas.len() as u16;
            let credentials = provider.credentials.len().max(1) as u16;
            let turn = if replicas.max(credentials) > 1 { turn_of(target, provider.turns) } else { 0 };
            // Each pair of replica and credential comes first equally often.
            let turn_of_credentials = turn / u64::from(replicas.max(1));
            for replica in rotated(replicas, turn) {
                for credential in rotated(credentials, turn_of_credentials) {
                    let candidate = Candidate { fallback, target: id, replica, credential };
                    trace.note(Phase::Place, || {
                        format!("candidate {} (model `{}`)", plan.describe(snapshot, candidate), pool.name)
                    });
                    plan.candidates.push(candidate);
                }
            }
        }
    }
    if !plan.candidates.is_empty() {
        return Ok(());
    }
    let own = plan.pin.as_ref().map_or(&*model.targets, std::slice::from_ref);
    Err(no_target(plan.dialect, model, targets(snapshot, own, plan.fallbacks(snapshot))))
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
    model: &'s Model,
    fallbacks: &[Resolved],
) -> impl Iterator<Item = &'s Model> {
    std::iter::once(model).chain(fallbacks.iter().filter_map(|fallback| snapshot.model(fallback.model)))
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
