//! What is wrong with a rule, where, and what to do about it.

use std::fmt::Write as _;
use std::ops::Range;

/// A finding about the text of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The bytes of the source that the message is about.
    pub span: Range<usize>,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do about it, where that can be said.
    pub help: Option<String>,
}

impl Diagnostic {
    #[cold]
    pub(crate) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: None }
    }

    #[cold]
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Line and column of the start of the span in `source`, both counted from one, columns in characters.
    pub fn position(&self, source: &str) -> (usize, usize) {
        let (number, line, start) = line_at(source, self.span.start);
        (number, characters(line, self.span.start - start) + 1)
    }

    /// The message with the line of `source` it is about and carets under the span. A span of several lines
    /// is marked to the end of its first.
    pub fn render(&self, source: &str) -> String {
        let (number, line, start) = line_at(source, self.span.start);
        let before = characters(line, self.span.start - start);
        let through = characters(line, self.span.end.saturating_sub(start));
        // A tab is as wide as the terminal makes it, so the padding repeats the tabs of the source line.
        let padding: String =
            line.chars().take(before).map(|character| if character == '\t' { '\t' } else { ' ' }).collect();
        let carets = "^".repeat(through.saturating_sub(before).max(1));
        let label = number.to_string();
        let margin = " ".repeat(label.len());
        let mut text = format!(
            "error: {message}\n{margin}--> line {number}, column {column}\n{label} | {line}\n{margin} | {padding}{carets}\n",
            message = self.message,
            column = before + 1,
        );
        if let Some(help) = &self.help {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{margin} = help: {help}");
        }
        text
    }
}

/// The number, the text and the first byte of the line that holds byte `offset`.
fn line_at(source: &str, offset: usize) -> (usize, &str, usize) {
    let mut start = 0;
    for (index, line) in source.split('\n').enumerate() {
        let end = start + line.len();
        if offset <= end {
            return (index + 1, line.strip_suffix('\r').unwrap_or(line), start);
        }
        start = end + 1;
    }
    (1, source, 0)
}

/// How many characters of `line` begin before byte `offset`.
fn characters(line: &str, offset: usize) -> usize {
    line.char_indices().take_while(|(position, _)| *position < offset).count()
}

/// The candidate a reader most likely meant by `word`, if any is near.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance: insertions, deletions and replacements from `left` to `right`.
fn edit_distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (removed, a) in left.chars().enumerate() {
        let mut diagonal = removed;
        let mut previous = removed + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(right.chars()) {
            let replaced = diagonal + usize::from(a != b);
            diagonal = *cell;
            *cell = replaced.min(previous + 1).min(diagonal + 1);
            previous = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = removed + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (left, right, expected) in [
            ("", "", 0),
            ("headrs", "headers", 1),
            ("model", "mode", 1),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(edit_distance(left, right), expected, "{left} {right}");
        }
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

    #[test]
    fn carets_stand_under_the_span() {
        let check = |source: &str, span: Range<usize>, expected: &str| {
            let diagnostic = Diagnostic::new(span, "wrong").with_help("do better");
            assert_eq!(diagnostic.render(source), expected);
        };
        check(
            "a + bc",
            4..6,
            "error: wrong\n --> line 1, column 5\n1 | a + bc\n  |     ^^\n  = help: do better\n",
        );
        check(
            "one\n\ttwo +\n  3",
            5..8,
            "error: wrong\n --> line 2, column 2\n2 | \ttwo +\n  | \t^^^\n  = help: do better\n",
        );
        check(
            "'äö' == x\r\n",
            10..11,
            "error: wrong\n --> line 1, column 9\n1 | 'äö' == x\n  |         ^\n  = help: do better\n",
        );
        check(
            "a ||",
            4..4,
            "error: wrong\n --> line 1, column 5\n1 | a ||\n  |     ^\n  = help: do better\n",
        );
        check("a(\nb)", 0..5, "error: wrong\n --> line 1, column 1\n1 | a(\n  | ^^\n  = help: do better\n");
    }
}
