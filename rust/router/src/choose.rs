//! Which model answers where no rule says so: the one that the client names, within what its team may ask for.

use crate::refusal::{Code, Refusal, excerpt};
use crate::snapshot::{Found, Key, Snapshot};

/// Characters of a name that are compared with others.
const COMPARED: usize = 64;
/// Most distances computed for one unknown name, however many models there are.
const MOST_DISTANCES: usize = 200;

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
    let near = nearest(name, snapshot.unsorted_names_for(key));
    let near: Vec<String> = near.iter().take(3).map(|name| format!("`{name}`")).collect();
    let help = match near.as_slice() {
        [] => "GET /v1/models lists the models this key may ask for".to_owned(),
        names => format!("did you mean {}?", names.join(" or ")),
    };
    Refusal::new(Code::ModelNotFound, format!("there is no model `{}`; {help}", excerpt(name))).field("model")
}

/// Names that could have been meant, the nearest first.
fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let name = head(name);
    let mut near: Vec<(usize, &str)> = shortlist(name, candidates, MOST_DISTANCES)
        .into_iter()
        .filter_map(|candidate| Some((distance(name, head(candidate), allowance(candidate))?, candidate)))
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().map(|(_, candidate)| candidate).collect()
}

/// The `most` candidates whose distance is worth computing: of about the same length, those of which the fewest
/// characters remain when a common beginning and end are taken away. A single typo leaves one.
fn shortlist<'a>(name: &str, candidates: impl Iterator<Item = &'a str>, most: usize) -> Vec<&'a str> {
    let length = name.chars().count();
    let mut ranked: Vec<(usize, &str)> = candidates
        .filter(|candidate| head(candidate).chars().count().abs_diff(length) <= allowance(candidate))
        .map(|candidate| (remainder(name, head(candidate)), candidate))
        .collect();
    if ranked.len() > most {
        ranked.select_nth_unstable(most);
        ranked.truncate(most);
    }
    ranked.into_iter().map(|(_, candidate)| candidate).collect()
}

/// The largest distance at which a candidate could have been meant.
fn allowance(candidate: &str) -> usize {
    2.max(head(candidate).chars().count() / 3)
}

/// What is compared of a name.
fn head(name: &str) -> &str {
    name.char_indices().nth(COMPARED).and_then(|(end, _)| name.get(..end)).unwrap_or(name)
}

/// Bytes of the longer one that are left without the common beginning and end.
fn remainder(a: &str, b: &str) -> usize {
    let (shorter, longer) = (a.len().min(b.len()), a.len().max(b.len()));
    let beginning = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let end = a.bytes().rev().zip(b.bytes().rev()).take_while(|(a, b)| a == b).count();
    longer - (beginning + end).min(shorter)
}

/// Levenshtein distance, if it is not above `most`.
fn distance(a: &str, b: &str, most: usize) -> Option<usize> {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut least = left;
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let next = (diagonal + usize::from(from != *to)).min(left + 1).min(*cell + 1);
            diagonal = *cell;
            *cell = next;
            left = next;
            least = least.min(next);
        }
        // No later row has a smaller one.
        if least > most {
            return None;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in
            [("", "", 0), ("", "abc", 3), ("gpt-4o", "gpt4o", 1), ("kitten", "sitting", 3), ("ä", "a", 1)]
        {
            for (a, b) in [(a, b), (b, a)] {
                assert_eq!(distance(a, b, 64), Some(expected), "{a} {b}");
                assert_eq!(distance(a, b, expected), Some(expected), "{a} {b}");
                if let Some(less) = expected.checked_sub(1) {
                    assert_eq!(distance(a, b, less), None, "{a} {b}");
                }
            }
        }
    }

    #[test]
    fn remainders() {
        for (a, b, expected) in [("", "", 0), ("aa", "aaa", 1), ("gpt-4o", "gpt4o", 1), ("abcd", "axyd", 2)] {
            assert_eq!((remainder(a, b), remainder(b, a)), (expected, expected), "{a} {b}");
        }
    }

    #[test]
    fn few_distances_are_computed_among_many_names() {
        let names: Vec<String> = (0..5_000).map(|index| format!("team-{index:04}/model")).collect();
        let all = || names.iter().map(String::as_str).chain(["claude-sonnet", "gpt-4o"]);
        let check = |name: &str, first: &[&str]| {
            assert!(shortlist(name, all(), MOST_DISTANCES).len() <= MOST_DISTANCES, "{name}");
            assert_eq!(nearest(name, all()).get(..first.len()), Some(first), "{name}");
        };
        check("gtp-4o", &["gpt-4o"]);
        check("claude-sonet", &["claude-sonnet"]);
        check("team-4321/modle", &["team-4321/model"]);
        check("team-4321model", &["team-4321/model"]);
        check("tea-4999/model", &["team-4999/model"]);
        check("x", &[]);
        check(&"team-0001/model".repeat(10_000), &[]);
        assert_eq!(shortlist("team-4321/modl", all(), 1), ["team-4321/model"]);
        assert_eq!(shortlist("team-4321/modl", all(), 0), [""; 0]);
        let reversed: Vec<&str> = all().collect::<Vec<_>>().into_iter().rev().collect();
        assert_eq!(nearest("team-12/model", all()), nearest("team-12/model", reversed.into_iter()));
    }
}
