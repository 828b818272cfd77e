//! Whether two answers to one question say the same, as far as that can be told without a judge.

use std::borrow::Cow;

/// What a comparison came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// They say the same.
    Correct,
    /// They contradict each other.
    Wrong,
    /// Nobody can tell.
    Unknown,
}

/// An answer that is nothing but a choice.
#[derive(Debug, PartialEq)]
enum Choice<'t> {
    Yes,
    No,
    /// A, B, C …
    Letter(char),
    /// A number without zeros that say nothing, and its unit, empty if it has none.
    Number(Cow<'t, str>, &'t str),
}

impl Verdict {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::Correct, Self::Wrong, Self::Unknown];

    /// The name in metrics and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Correct => "correct",
            Self::Wrong => "wrong",
            Self::Unknown => "unknown",
        }
    }
}

/// Compares a stored answer with a fresh one.
///
/// Correct are answers of the same words, whatever their case, spacing, emphasis and final punctuation, and those that
/// are nothing but the same number with the same unit, the same letter of a multiple choice, or the same yes or no.
/// Wrong are those that are nothing but different ones of these, and where one says yes and the other no, whatever
/// follows. Everything else is unknown: whoever words an answer in another way may mean the same.
pub fn compare(stored: &str, fresh: &str) -> Verdict {
    let (stored, fresh) = (normalised(stored), normalised(fresh));
    if stored.is_empty() || fresh.is_empty() {
        return Verdict::Unknown;
    }
    if stored == fresh {
        return Verdict::Correct;
    }
    if let (Some(one), Some(other)) = (choice(&stored), choice(&fresh)) {
        return match (one, other) {
            (one, other) if one == other => Verdict::Correct,
            (Choice::Yes | Choice::No, Choice::Yes | Choice::No) => Verdict::Wrong,
            (Choice::Letter(_), Choice::Letter(_)) => Verdict::Wrong,
            (Choice::Number(_, unit), Choice::Number(_, other)) if unit == other => Verdict::Wrong,
            _ => Verdict::Unknown,
        };
    }
    match (opening(&stored), opening(&fresh)) {
        (Some(one), Some(other)) if one != other => Verdict::Wrong,
        _ => Verdict::Unknown,
    }
}

/// In lower case, with single spaces, without emphasis and what surrounds an answer.
fn normalised(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !plain.is_empty() {
            plain.push(' ');
        }
        plain.extend(word.chars().filter(|each| !matches!(each, '*' | '`')).flat_map(char::to_lowercase));
    }
    let surrounding = |each: char| matches!(each, '.' | '!' | '"' | '\'' | '“' | '”' | '’' | ' ');
    let mut plain = plain.trim_matches(surrounding);
    for opening in ["the answer is", "the correct answer is", "final answer", "answer"] {
        if let Some(rest) = plain.strip_prefix(opening)
            && rest.starts_with([':', ' '])
        {
            plain = rest.trim_start_matches([':', ' ']).trim_matches(surrounding);
            break;
        }
    }
    plain.to_owned()
}

fn choice(text: &str) -> Option<Choice<'_>> {
    match text {
        "yes" | "true" => return Some(Choice::Yes),
        "no" | "false" => return Some(Choice::No),
        _ => {}
    }
    let letter = text.trim_start_matches("option ").trim_matches(['(', ')', '[', ']', ':']);
    if let Some(letter) = single(letter).filter(|letter| letter.is_ascii_alphabetic()) {
        return Some(Choice::Letter(letter));
    }
    number(text)
}

/// A number with at most one word behind it, or a sign of a currency in front of it.
fn number(text: &str) -> Option<Choice<'_>> {
    let (sign, text) = match text.strip_prefix(['-', '−']) {
        Some(text) => ("-", text),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let currency = text.chars().next().filter(|first| matches!(first, '$' | '€' | '£' | '¥'));
    let (unit_before, text) = text.split_at(currency.map_or(0, char::len_utf8));
    let end =
        text.find(|each: char| !(each.is_ascii_digit() || matches!(each, '.' | ','))).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let unit = unit.trim();
    if unit.contains(' ')
        || (!unit.is_empty() && !unit_before.is_empty())
        || !digits.starts_with(|each: char| each.is_ascii_digit())
    {
        return None;
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    // Commas between thousands; where they stand for anything else, nobody can tell.
    let mut groups = whole.split(',');
    let leading = groups.next()?;
    let grouped = groups.clone().count() > 0;
    if fraction.contains(['.', ',']) || (grouped && leading.len() > 3) || groups.any(|group| group.len() != 3)
    {
        return None;
    }
    let whole = whole.replace(',', "");
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let zero = whole.is_empty() && fraction.is_empty();
    let sign = if zero { "" } else { sign };
    let value = format!("{sign}{whole}.{fraction}");
    let unit = if unit_before.is_empty() { unit } else { unit_before };
    Some(Choice::Number(Cow::Owned(value), unit))
}

/// Whether a longer answer starts with yes or no.
fn opening(text: &str) -> Option<bool> {
    let first = text.split(|each: char| !each.is_alphanumeric()).next()?;
    match first {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

fn single(text: &str) -> Option<char> {
    let mut characters = text.chars();
    characters.next().filter(|_| characters.next().is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Verdict::{Correct, Unknown, Wrong};

    #[test]
    fn answers_are_compared_without_a_judge() {
        for (stored, fresh, expected) in [
            ("Paris", "paris.", Correct),
            ("**Paris**", " Paris\n", Correct),
            ("Paris is the capital.", "Paris  is the\ncapital", Correct),
            ("The answer is 42.", "42", Correct),
            ("Answer: B", "(B)", Correct),
            ("Final answer: 7", "7", Correct),
            ("42", "42.0", Correct),
            ("1,000", "1000", Correct),
            ("$5", "$5.00", Correct),
            ("5 km", "5km", Correct),
            ("-0", "0", Correct),
            ("Yes", "yes!", Correct),
            ("True.", "Yes", Correct),
            ("42", "43", Wrong),
            ("5 km", "6 km", Wrong),
            ("-5", "5", Wrong),
            ("A", "B", Wrong),
            ("Yes", "No.", Wrong),
            ("Yes, within 30 days.", "No, that is not possible.", Wrong),
            ("yes", "No, that is not possible.", Wrong),
            ("5 km", "5 miles", Unknown),
            ("5 km", "5", Unknown),
            ("$5", "€5", Unknown),
            ("1,5", "1.5", Unknown),
            ("1.000.000", "1000000", Unknown),
            ("Yes, within 30 days.", "Yes, within 60 days.", Unknown),
            ("Nobody knows.", "No", Unknown),
            ("None", "no", Unknown),
            ("Paris", "London", Unknown),
            ("Paris", "It is Paris.", Unknown),
            ("It costs 5 euros", "It costs 6 euros", Unknown),
            ("A", "42", Unknown),
            ("yes", "42", Unknown),
            ("", "", Unknown),
            ("...", "...", Unknown),
            ("", "Paris", Unknown),
            ("answers vary", "answer", Unknown),
        ] {
            assert_eq!(compare(stored, fresh), expected, "{stored:?} {fresh:?}");
            assert_eq!(compare(fresh, stored), expected, "{fresh:?} {stored:?}");
        }
    }

    proptest! {
        #[test]
        fn only_the_same_is_correct(one in ".{0,40}", other in ".{0,40}") {
            prop_assert_ne!(compare(&one, &one), Wrong);
            prop_assert_eq!(compare(&one, &other), compare(&other, &one));
        }

        #[test]
        fn numbers_are_the_same_if_their_values_are(
            one in -2_000_i32..2_000,
            other in -2_000_i32..2_000,
            decimals in 0_usize..3,
        ) {
            let (one, other) = (f64::from(one) / 4.0, f64::from(other) / 4.0);
            let verdict = compare(&format!("{one}"), &format!("{other:.*}", decimals + 2));
            prop_assert_eq!(verdict, if one == other { Correct } else { Wrong });
        }
    }
}
