//! Diagnostics as text, in the form that cel-go gives its own: `ERROR: name:line:column: message`, the line of the
//! source, and below it dots up to the place. Labels and help follow.

use std::fmt::Write as _;
use std::ops::Range;

use super::Diagnostic;

/// Columns of source that are shown. Of a longer line it is the part around the place.
const WIDTH: usize = 120;

impl Diagnostic {
    /// Line and column of the start of the span in `source`, both counted from one, columns in characters.
    pub fn position(&self, source: &str) -> (usize, usize) {
        let line = Line::at(source, self.span.start);
        (line.number, line.characters_before(self.span.start) + 1)
    }

    /// The finding as text for people, of several lines. `name` says whose condition `source` is. A span of several
    /// lines is marked to the end of its first.
    pub fn render(&self, name: &str, source: &str) -> String {
        let (number, column) = self.position(source);
        let Self { code, message, .. } = self;
        let severity = self.severity().name().to_uppercase();
        let mut text = format!("{severity}: {name}:{number}:{column}: {message} [{code}]\n");
        let mut shown = Line::at(source, self.span.start);
        // Writing to a String cannot fail.
        let _ = writeln!(text, " | {}", shown.text(self.span.start));
        let _ = writeln!(text, " | {}", shown.mark(&self.span, self.span.start, '^'));
        for label in &self.labels {
            let line = Line::at(source, label.span.start);
            // The window of a line is where the span is, so that marks of one line stand under one text.
            let mut place = self.span.start;
            if line.number != shown.number {
                place = label.span.start;
                let _ = writeln!(text, " | {}", line.text(place));
            }
            let _ = writeln!(text, " | {} {}", line.mark(&label.span, place, '-'), label.text);
            shown = line;
        }
        if let Some(help) = &self.help {
            let _ = writeln!(text, " = help: {help}");
        }
        text
    }
}

/// One line of a source.
struct Line<'s> {
    number: usize,
    text: &'s str,
    /// Its first byte in the source.
    start: usize,
}

impl<'s> Line<'s> {
    /// The line that holds byte `offset`.
    fn at(source: &'s str, offset: usize) -> Self {
        let mut start = 0;
        for (index, text) in source.split('\n').enumerate() {
            let end = start + text.len();
            if offset <= end {
                return Self { number: index + 1, text: text.strip_suffix('\r').unwrap_or(text), start };
            }
            start = end + 1;
        }
        Self { number: 1, text: source, start: 0 }
    }

    /// How many of its characters begin before byte `offset` of the source.
    fn characters_before(&self, offset: usize) -> usize {
        let offset = offset.saturating_sub(self.start);
        self.text.char_indices().take_while(|(position, _)| *position < offset).count()
    }

    /// The first of its characters that is shown, so that the one at `offset` is.
    fn first_shown(&self, offset: usize) -> usize {
        let characters = self.text.chars().count();
        if characters <= WIDTH {
            return 0;
        }
        self.characters_before(offset).saturating_sub(WIDTH / 2).min(characters - WIDTH)
    }

    /// What is shown of it, around byte `offset`, without what could command a terminal.
    fn text(&self, offset: usize) -> String {
        let first = self.first_shown(offset);
        let mut rest = self.text.chars().skip(first);
        let shown: String = rest.by_ref().take(WIDTH).map(printable).collect();
        let [before, after] = [first > 0, rest.next().is_some()].map(|cut| if cut { "…" } else { "" });
        format!("{before}{shown}{after}")
    }

    /// Dots up to the span, and `mark` under it, for what [`Self::text`] shows.
    fn mark(&self, span: &Range<usize>, offset: usize, mark: char) -> String {
        let first = self.first_shown(offset);
        let from = self.characters_before(span.start).clamp(first, first + WIDTH);
        let through = self.characters_before(span.end).clamp(from, first + WIDTH);
        let columns = |from: usize, through: usize| -> usize {
            self.text.chars().skip(from).take(through - from).map(columns).sum()
        };
        let dots = columns(first, from) + usize::from(first > 0);
        let marks = columns(from, through).max(1);
        ".".repeat(dots) + &String::from(mark).repeat(marks)
    }
}

/// A tab is one column wide, as in the position.
fn printable(character: char) -> char {
    match character {
        '\t' => ' ',
        control if control.is_control() => '\u{fffd}',
        plain => plain,
    }
}

/// How wide terminals show a character: those of East Asia and pictograms take two columns.
fn columns(character: char) -> usize {
    let wide = matches!(u32::from(character),
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff00..=0xff60
        | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd);
    if wide { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::super::Code;
    use super::*;

    fn check(source: &str, span: Range<usize>, expected: &str) {
        let diagnostic = Diagnostic::new(Code::TypeMismatch, span, "wrong").with_help("do better");
        assert_eq!(diagnostic.render("rule", source), expected);
    }

    #[test]
    fn carets_stand_under_the_span() {
        for (source, span, head, line, carets) in [
            ("a + bc", 4..6, "1:5", "a + bc", "....^^"),
            ("one\n\ttwo +\n  3", 5..8, "2:2", " two +", ".^^^"),
            ("'äö' == x\r\n", 10..11, "1:9", "'äö' == x", "........^"),
            ("'名' == x", 9..10, "1:8", "'名' == x", "........^"),
            ("a ||", 4..4, "1:5", "a ||", "....^"),
            ("a(\nb)", 0..5, "1:1", "a(", "^^"),
            ("", 0..0, "1:1", "", "^"),
            ("a\u{1b}[2J", 0..1, "1:1", "a\u{fffd}[2J", "^"),
        ] {
            check(
                source,
                span,
                &format!(
                    "ERROR: rule:{head}: wrong [type_mismatch]\n | {line}\n | {carets}\n = help: do better\n"
                ),
            );
        }
    }

    #[test]
    fn of_long_lines_the_part_around_the_span_is_shown() {
        let source = "a".repeat(500) + "bcd" + &"e".repeat(500);
        let line = format!("…{}bcd{}…", "a".repeat(60), "e".repeat(57));
        let carets = ".".repeat(61) + "^^^";
        let expected =
            format!("ERROR: rule:1:501: wrong [type_mismatch]\n | {line}\n | {carets}\n = help: do better\n");
        check(&source, 500..503, &expected);
    }

    #[test]
    fn labels_stand_under_their_lines() {
        let diagnostic = Diagnostic::new(Code::UnclosedBracket, 0..1, "wrong")
            .with_label(2..3, "here")
            .with_label(5..6, "and there");
        assert_eq!(
            diagnostic.render("rule", "( a\n b"),
            "ERROR: rule:1:1: wrong [unclosed_bracket]\n | ( a\n | ^\n | ..- here\n |  b\n | .- and there\n"
        );
    }
}
