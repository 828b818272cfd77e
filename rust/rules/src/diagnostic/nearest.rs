//! Which name was meant by one that does not exist.

/// Longer words are not compared: the work is the product of the lengths.
const LONGEST: usize = 64;

/// The candidate that a reader most likely meant by `word`, if any is near.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(1);
    let word = word.to_lowercase();
    let near = candidates.into_iter().filter(|candidate| word.len().abs_diff(candidate.len()) <= allowed);
    near.map(|candidate| (distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and exchanges of neighbours from `left` to `right` (optimal string alignment).
pub(crate) fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    if left.len().max(right.len()) > LONGEST {
        return usize::MAX;
    }
    let mut older: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    let mut before_left = None;
    for (row, letter) in left.iter().enumerate() {
        let mut current = Vec::with_capacity(previous.len());
        let mut behind = row + 1;
        current.push(behind);
        let mut before_right = None;
        for (column, other) in right.iter().enumerate() {
            let [diagonal, above] = [column, column + 1].map(|at| previous.get(at).copied().unwrap_or(0));
            let mut best = (above + 1).min(behind + 1).min(diagonal + usize::from(letter != other));
            if before_left == Some(other) && before_right == Some(letter) {
                best = best.min(older.get(column.wrapping_sub(1)).map_or(best, |swapped| swapped + 1));
            }
            current.push(best);
            (behind, before_right) = (best, Some(other));
        }
        older = std::mem::replace(&mut previous, current);
        before_left = Some(letter);
    }
    previous.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (left, right, expected) in [
            ("", "", 0),
            ("headrs", "headers", 1),
            ("haeders", "headers", 1),
            ("model", "mode", 1),
            ("abc", "", 3),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("ca", "abc", 3),
            ("ba", "ab", 1),
        ] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
        assert_eq!(distance(&"a".repeat(70), "a"), usize::MAX);
    }

    #[test]
    fn suggestions_are_near() {
        let names = ["headers", "model", "tokens_used"];
        for (word, expected) in
            [("headrs", Some("headers")), ("Model", Some("model")), ("weather", None), ("x", None)]
        {
            assert_eq!(nearest(word, names), expected, "{word}");
        }
    }
}
