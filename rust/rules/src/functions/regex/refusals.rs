//! Why RE2 refuses a pattern, in words for those who know other dialects.

use std::ops::Range;

/// Why a pattern is refused, and for which of its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PatternError {
    pub(crate) message: String,
    pub(crate) span: Range<usize>,
}

pub(super) const BACK_REFERENCE: &str = "RE2 has no back-references: they cannot be matched in linear time; compare the parts with regex.extract instead";
const LOOK_AHEAD: &str = "RE2 has no look-ahead: it cannot be matched in linear time; join two matches() with && instead, or ! and &&";
const LOOK_BEHIND: &str = "RE2 has no look-behind: it cannot be matched in linear time; match what stands before in the same pattern";
const NO_BACKTRACKING: &str = "RE2 has no atomic groups: it never goes back, so that (?: does the same";
const CONDITION: &str = "RE2 has no conditions; write the alternatives with | instead";
const RECURSION: &str = "RE2 has no recursion; a regular expression cannot match nested parentheses";

/// What other dialects have after `(?`. The longer of two that start alike comes first.
pub(super) const REFUSED_GROUPS: [(&str, &str); 14] = [
    ("<=", LOOK_BEHIND),
    ("<!", LOOK_BEHIND),
    ("=", LOOK_AHEAD),
    ("!", LOOK_AHEAD),
    (">", NO_BACKTRACKING),
    ("P=", BACK_REFERENCE),
    ("P>", RECURSION),
    ("R", RECURSION),
    ("&", RECURSION),
    ("0", RECURSION),
    ("1", RECURSION),
    ("(", CONDITION),
    ("#", "RE2 has no comments in patterns"),
    ("x", "RE2 has no flag x: white space in a pattern stands for itself"),
];

#[cold]
pub(super) fn unknown_escape(character: char) -> String {
    match character {
        'C' => "RE2 has \\C for single bytes; texts here are read by characters: write . instead".into(),
        'E' => "this \\E ends no \\Q".into(),
        'Z' => "RE2 has no \\Z; \\z is the end of the text".into(),
        'u' | 'U' => "RE2 has no \\u; a character is written by its number as in \\x{1F600}".into(),
        'k' | 'g' => BACK_REFERENCE.into(),
        'Q' | 'A' | 'z' | 'b' | 'B' | 'd' | 'D' | 's' | 'S' | 'w' | 'W' => {
            format!("\\{character} has no meaning at this place of a class")
        }
        'K' => LOOK_BEHIND.into(),
        _ if character.is_ascii() => format!("RE2 has no \\{character}"),
        _ => format!("\\ is not needed before {character}"),
    }
}

#[cold]
pub(super) fn error(span: Range<usize>, message: &str) -> PatternError {
    PatternError { message: message.to_owned(), span }
}

#[cold]
pub(super) fn too_large(span: Range<usize>) -> PatternError {
    error(span, "this pattern is too large, with its repetitions written out")
}
