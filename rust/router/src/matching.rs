//! Phase 4: rules. The first that matches acts; where it says so, rules match again with what it has changed.

use edgeroute_rules::{Match, Pass};
use edgeroute_wire::Change as FieldChange;
use smallvec::SmallVec;

use crate::config::{OnError, RuleCache, Sticky};
use crate::plan::Plan;
use crate::recall;
use crate::refusal::{Code, Refusal};
use crate::rule::{Action, Change, Choice, Rule};
use crate::snapshot::{Found, Key, Resolved, Snapshot};
use crate::trace::{Phase, Trace};
use crate::variables::{TEAM, VIRTUAL_KEY, Variables};

/// Most rules that act on one request.
pub(crate) const MOST_RULES: usize = 10;
/// Most rules of which a trace says why they do not match.
const MOST_NOTED: usize = 100;

/// What the rules that matched have changed, the last word on each thing.
#[derive(Debug, Default)]
pub(crate) struct Changes<'a> {
    /// The model that a rule chose.
    pub(crate) model: Option<Found<'a>>,
    /// Of the cache: mode and time each by the last rule that says it.
    pub(crate) cache: Option<RuleCache>,
    /// Top-level fields of the body.
    pub(crate) body: SmallVec<[FieldChange<'a>; 4]>,
    /// What replaces the model's own fallbacks.
    fallbacks: Option<&'a [Resolved]>,
    /// What comes after them.
    added: SmallVec<[&'a Resolved; 4]>,
}

/// Lets rules act until none matches or one that matches does not continue. Each acts once.
pub(crate) fn match_rules<'a>(
    plan: &mut Plan,
    snapshot: &'a Snapshot,
    variables: &mut Variables<'a>,
    seed: u64,
    trace: &mut Trace,
) -> Result<Changes<'a>, Refusal> {
    let mut changes = Changes::default();
    let mut acted = SmallVec::<[usize; 4]>::new();
    while let Some(rule) = next_match(plan, snapshot, variables, &acted, trace)? {
        acted.extend(plan.rules.last().map(|index| usize::from(*index)));
        match &rule.action {
            Action::Reject(reject) => {
                trace.note(Phase::Match, || format!("rule `{}` matches: refused", rule.name));
                let mut refusal = Refusal::new(Code::RejectedByRule, reject.message.clone());
                refusal.status = reject.status;
                return Err(refusal);
            }
            Action::Change(change) => {
                changes.apply(plan, rule, change, variables, seed, trace);
                if !change.continues {
                    break;
                }
                if acted.len() == MOST_RULES {
                    trace.note(Phase::Match, || format!("no rule is tried after {MOST_RULES} that matched"));
                    break;
                }
            }
        }
    }
    Ok(changes)
}

/// The next rule that acts, which is then the last of the plan's.
fn next_match<'a>(
    plan: &mut Plan,
    snapshot: &'a Snapshot,
    variables: &Variables<'a>,
    acted: &[usize],
    trace: &mut Trace,
) -> Result<Option<&'a Rule>, Refusal> {
    let mut pass = snapshot.conditions.pass(variables);
    let matched = pass.first_match(acted, |index, _| {
        let index = index as u16;
        if !plan.rule_errors.contains(&index) {
            plan.rule_errors.push(index);
        }
    });
    if trace.is_on() {
        note_passed(&mut pass, variables, acted, matched.as_ref(), trace);
    }
    let Some(Match { rule: index, error }) = matched else {
        trace.note(Phase::Match, || match (snapshot.rules.len(), acted.len()) {
            (0, _) => "there are no rules".into(),
            (count, 0) => format!("none of {count} rules matches"),
            _ => "no other rule matches".into(),
        });
        return Ok(None);
    };
    let index = index as u16;
    let Some(rule) = snapshot.rule(index) else { return Ok(None) };
    plan.rules.push(index);
    if error.is_some() && rule.on_error == OnError::Reject {
        let message = format!("the rule `{}` cannot be evaluated for this request and refuses it", rule.name);
        return Err(Refusal::new(Code::RuleFailed, message));
    }
    Ok(Some(rule))
}

/// Says of the rules before the one that acts why they do not, and of that one if it could not be evaluated.
#[cold]
fn note_passed(
    pass: &mut Pass<'_, Variables<'_>>,
    variables: &Variables<'_>,
    acted: &[usize],
    matched: Option<&Match>,
    trace: &mut Trace,
) {
    let rules = &variables.snapshot.rules;
    let end = matched.map_or(rules.len(), |found| found.rule + usize::from(found.error.is_some()));
    let mut tried = (0..end).filter(|index| !acted.contains(index));
    for index in tried.by_ref().take(MOST_NOTED) {
        let Some(rule) = rules.get(index) else { continue };
        let why = match (&rule.scope, pass.evaluate(index)) {
            (Some((TEAM, team)), Ok(_)) if **team != *variables.team_name() => {
                format!("does not match: it is for team `{team}`")
            }
            (Some((VIRTUAL_KEY, key)), Ok(_)) if *key != variables.key.name => {
                format!("does not match: it is for virtual key `{key}`")
            }
            (_, Ok(_)) => "does not match: false".to_owned(),
            (_, Err(error)) => {
                let then = match rule.on_error {
                    OnError::Match => "counts as a match",
                    OnError::Reject => "refuses the request",
                    OnError::NoMatch => "does not match",
                };
                format!("{then}: `{}`: {error}", rule.when.get(error.span()).unwrap_or_default())
            }
        };
        trace.note_once(Phase::Match, format!("rule `{}` {why}", rule.name));
    }
    let more = tried.count();
    if more > 0 {
        trace.note_once(Phase::Match, format!("nor do {more} more rules"));
    }
}

impl<'a> Changes<'a> {
    fn apply(
        &mut self,
        plan: &mut Plan,
        rule: &'a Rule,
        change: &'a Change,
        variables: &mut Variables<'a>,
        seed: u64,
        trace: &mut Trace,
    ) {
        let drawn = change.model.as_ref().and_then(|choice| choose(choice, rule, variables, seed));
        if let Some((name, resolved)) = drawn {
            self.model = Some(resolved.found());
            variables.model = name;
            plan.pin = None;
        }
        plan.pin = change.pin.or(plan.pin);
        if let Some(fallbacks) = &change.fallbacks {
            if !fallbacks.add {
                self.fallbacks = Some(&fallbacks.models);
                self.added.clear();
            } else {
                self.added.extend(&fallbacks.models);
            }
        }
        if let Some(new) = change.cache {
            let before = self.cache.get_or_insert(new);
            *before = RuleCache { mode: new.mode.or(before.mode), ttl_ms: new.ttl_ms.or(before.ttl_ms) };
        }
        for (name, value) in &change.body {
            self.body.retain(|(known, _)| **known != **name);
            self.body.push((name, value.as_deref()));
        }
        for header in &change.headers {
            plan.headers.retain(|(known, _)| *known != header.0);
            plan.headers.push(header.clone());
        }
        variables.tags.extend(change.tag.as_deref());
        trace.note(Phase::Match, || {
            let mut text = format!("rule `{}` matches: ", rule.name);
            text.push_str(&describe(change, drawn.map(|(name, _)| &**name), variables.snapshot));
            text
        });
    }

    /// The fallbacks of the request in place of the model's own; none if they stay.
    pub(crate) fn fallbacks(
        &self,
        snapshot: &Snapshot,
        plan: &Plan,
        chosen: Found<'_>,
    ) -> Option<Vec<Resolved>> {
        if self.fallbacks.is_none() && self.added.is_empty() && plan.pin.is_none() {
            return None;
        }
        let own = snapshot.model(chosen.model).filter(|_| plan.pin.is_none());
        let own = own.map_or(&[][..], |model| &model.fallbacks);
        let mut found: Vec<Resolved> = Vec::new();
        for each in self.fallbacks.unwrap_or(own).iter().chain(self.added.iter().copied()) {
            if (plan.pin.is_some() || each.found() != chosen) && !found.contains(each) {
                found.push(each.clone());
            }
        }
        Some(found)
    }
}

/// The model that a rule chooses, by the request's seed or by who asks.
fn choose<'a>(
    choice: &'a Choice,
    rule: &Rule,
    variables: &Variables<'_>,
    seed: u64,
) -> Option<&'a (Box<str>, Resolved)> {
    let key: &Key = variables.key;
    match choice.sticky {
        None => choice.draw(&rule.name, &seed.to_le_bytes()),
        Some(Sticky::VirtualKey) => choice.draw(&rule.name, key.name.as_bytes()),
        Some(Sticky::User) => {
            let user = variables.user();
            choice.draw(&rule.name, user.as_deref().unwrap_or(&key.name).as_bytes())
        }
    }
}

/// What a rule does, in words.
#[cold]
fn describe(change: &Change, drawn: Option<&str>, snapshot: &Snapshot) -> String {
    let mut did = Vec::new();
    if let (Some(choice), Some(drawn)) = (&change.model, drawn) {
        did.push(format!("model `{drawn}`{}", describe_draw(choice)));
    }
    did.extend(
        change.pin.and_then(|pin| snapshot.target(pin)).map(|target| format!("pinned to {}", target.name)),
    );
    for (name, value) in &change.body {
        did.push(match value {
            Some(value) => format!("sets `{name}` to {value}"),
            None => format!("removes `{name}`"),
        });
    }
    for (name, value) in &change.headers {
        did.push(match value {
            // Its value may be a credential.
            Some(_) => format!("sets the header `{name}`"),
            None => format!("removes the header `{name}`"),
        });
    }
    did.extend(change.tag.as_ref().map(|tag| format!("tag `{tag}`")));
    did.extend(change.cache.map(recall::describe_change));
    if let Some(fallbacks) = &change.fallbacks {
        let names = fallbacks.models.iter().filter_map(|each| snapshot.model(each.model));
        let names: Vec<String> = names.map(|model| format!("`{}`", model.name)).collect();
        let word = if fallbacks.add { "more fallbacks" } else { "fallbacks" };
        did.push(if names.is_empty() {
            format!("no {word}")
        } else {
            format!("{word} {}", names.join(", "))
        });
    }
    did.extend(change.continues.then(|| "rules match again".to_owned()));
    did.join("; ")
}

fn describe_draw(choice: &Choice) -> String {
    if choice.models.len() < 2 {
        return String::new();
    }
    let shares = choice.models.iter().zip(&choice.weights);
    let shares: Vec<String> = shares.map(|((name, _), weight)| format!("`{name}` {weight}")).collect();
    let by = match choice.sticky {
        None => "the request's seed",
        Some(Sticky::User) => "the client's user, or else its virtual key",
        Some(Sticky::VirtualKey) => "the virtual key",
    };
    format!(", drawn of {} by {by}", shares.join(", "))
}
