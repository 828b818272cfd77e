//! Phase 4: which model answers. A rule says so, or else the client does, within what its team may ask for.

use crate::plan::Plan;
use crate::refusal::{Code, Refusal, excerpt};
use crate::snapshot::{Action, Found, Key, Snapshot};
use crate::trace::{Phase, Trace};
use crate::variables::Variables;

/// Evaluates the rules; returns the model that one chose.
pub(crate) fn match_rules<'a>(
    plan: &mut Plan,
    snapshot: &'a Snapshot,
    variables: &Variables<'_>,
    trace: &mut Trace,
) -> Result<Option<Found<'a>>, Refusal> {
    let errors = &mut plan.rule_errors;
    let matched = snapshot.conditions.pass(variables).first_match(|index, error| {
        errors.push(index as u16);
        trace.note(Phase::Match, || {
            let name = snapshot.rule(index as u16).map_or("", |rule| &rule.name);
            format!("rule `{name}` does not match: {error}")
        });
    });
    let index = matched.and_then(|index| u16::try_from(index).ok());
    let Some((index, rule)) = index.and_then(|index| Some((index, snapshot.rule(index)?))) else {
        trace.note(Phase::Match, || match snapshot.rules.len() {
            0 => "there are no rules".into(),
            count => format!("none of {count} rules matches"),
        });
        return Ok(None);
    };
    plan.rule = Some(index);
    match &rule.action {
        Action::Model(resolved) => {
            let found = resolved.found();
            trace.note(Phase::Match, || {
                let model = snapshot.model(found.model).map_or("", |model| &model.name);
                format!("rule `{}` matches: model `{model}`", rule.name)
            });
            Ok(Some(found))
        }
        Action::Reject(reject) => {
            trace.note(Phase::Match, || format!("rule `{}` matches: refused", rule.name));
            let mut refusal = Refusal::new(Code::RejectedByRule, reject.message.clone());
            refusal.status = reject.status;
            Err(refusal)
        }
    }
}

/// The model that a client reaches under this name.
pub(crate) fn allowed_model<'a>(
    snapshot: &'a Snapshot,
    key: &'a Key,
    name: &'a str,
) -> Result<Found<'a>, Refusal> {
    let team = snapshot.team_of(key);
    let resolved = team.and_then(|team| team.alias(name)).unwrap_or(name);
    let found = snapshot.names.find(resolved).ok_or_else(|| unknown_model(snapshot, key, name))?;
    match team {
        Some(team) if !team.allows(resolved) => {
            let message = format!("team `{}` may not use the model `{}`", team.name, excerpt(name));
            Err(Refusal::new(Code::ModelNotAllowed, message).field("model"))
        }
        _ => Ok(found),
    }
}

#[cold]
fn unknown_model(snapshot: &Snapshot, key: &Key, name: &str) -> Refusal {
    let mut near: Vec<(usize, &str)> = snapshot
        .names_for(key)
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 2.max(candidate.len() / 3))
        .collect();
    near.sort_unstable();
    let near: Vec<String> = near.iter().take(3).map(|(_, name)| format!("`{name}`")).collect();
    let help = match near.as_slice() {
        [] => "GET /v1/models lists the models this key may ask for".to_owned(),
        names => format!("did you mean {}?", names.join(" or ")),
    };
    Refusal::new(Code::ModelNotFound, format!("there is no model `{}`; {help}", excerpt(name))).field("model")
}

/// Levenshtein distance, of the first 64 characters.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let next = (diagonal + usize::from(from != to)).min(left + 1).min(*cell + 1);
            diagonal = *cell;
            *cell = next;
            left = next;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in
            [("", "", 0), ("", "abc", 3), ("gpt-4o", "gpt4o", 1), ("kitten", "sitting", 3), ("ä", "a", 1)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }
}
