//! The syntax of RE2, written for crate `regex`, which matches in linear time too but reads some of the same patterns
//! otherwise: there `\d` is any digit of Unicode, `&&` intersects classes, and `\<` is the start of a word. Whatever
//! RE2 refuses is refused here, with the place; crate `regex` then has nothing left to object to but size and the names
//! of Unicode's classes. The reference is <https://github.com/google/re2/wiki/Syntax>.

use std::ops::Range;

use super::classes::perl_class;
use super::refusals::{BACK_REFERENCE, PatternError, REFUSED_GROUPS, error, too_large, unknown_escape};

/// A pattern as crate `regex` reads it, and what was learnt on the way.
#[derive(Debug, Default)]
pub(super) struct Translation {
    pub(super) text: String,
    /// Set if the pattern is plain text, apart from anchors.
    pub(super) plain: Option<Plain>,
    /// Groups that capture, of which the text has the first nine.
    pub(super) groups: usize,
    /// How large the pattern is with its repetitions written out, in classes and characters.
    pub(super) weight: usize,
    /// Where classes of Unicode are named.
    pub(super) properties: Vec<Property>,
}

/// Text to look for: anywhere, or at the start, the end or both.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plain {
    pub(super) text: String,
    pub(super) at_start: bool,
    pub(super) at_end: bool,
}

/// A named class, translated, and its place in the pattern.
#[derive(Debug)]
pub(super) struct Property {
    pub(super) text: String,
    pub(super) span: Range<usize>,
}

/// What RE2 allows, alone or as the product of nested repetitions.
const MAXIMUM_REPETITIONS: usize = 1000;
/// How deep groups may nest.
const MAXIMUM_DEPTH: usize = 64;
/// Groups that can be named in a replacement, by one digit. The engine need not note where the others are, which takes
/// memory for each and each state.
const MAXIMUM_CAPTURED: usize = 9;
/// The largest [`Translation::weight`], and the longest pattern in bytes.
const MAXIMUM_WEIGHT: usize = 16 * 1024;

const CHARACTER: usize = 1;
pub(super) const CLASS: usize = 2;
/// Classes that reach beyond ASCII take several states.
pub(super) const WIDE_CLASS: usize = 4;
pub(super) const PROPERTY: usize = 64;

/// Something that can be repeated.
#[derive(Debug, Clone, Copy, Default)]
struct Item {
    weight: usize,
    /// The product of the nested repetitions in it.
    repetitions: usize,
}

/// A group that is open, or the whole pattern.
#[derive(Debug, Default)]
struct Group {
    opened: usize,
    /// All items but the last.
    before: Item,
    last: Option<Item>,
}

pub(super) struct Translator<'p> {
    pub(super) source: &'p str,
    pub(super) at: usize,
    /// Where the last `:]` is, before which alone `[:` can be the start of a name.
    pub(super) last_name: Option<usize>,
    groups: Vec<Group>,
    /// Flags that hold from the next item on. RE2 looks through them for what is repeated: `a(?i)*` is `a*`.
    flags: String,
    /// Where a repetition starts that has just ended.
    repetition: Option<usize>,
    plain: Plain,
    is_plain: bool,
    pub(super) result: Translation,
}

/// Translates a pattern of RE2.
pub(super) fn translate(source: &str) -> Result<Translation, PatternError> {
    if source.len() > MAXIMUM_WEIGHT {
        return Err(too_large(0..source.len()));
    }
    let mut translator = Translator {
        source,
        at: 0,
        last_name: source.rfind(":]"),
        groups: vec![Group::default()],
        flags: String::new(),
        repetition: None,
        plain: Plain::default(),
        is_plain: true,
        result: Translation::default(),
    };
    while translator.at < source.len() {
        translator.item()?;
    }
    translator.finish()
}

impl Translator<'_> {
    fn item(&mut self) -> Result<(), PatternError> {
        let start = self.at;
        let before = self.repetition.take();
        match self.next() {
            Some('\\') => self.escape(start),
            Some('[') => self.class(start),
            Some('(') => self.open(start),
            Some(')') => self.close(start),
            Some('|') => {
                self.is_plain = false;
                self.result.text.push('|');
                if let Some(group) = self.groups.last_mut() {
                    group.settle();
                }
                Ok(())
            }
            Some('.') => self.push(".", WIDE_CLASS),
            Some('^') => self.anchor("^"),
            Some('$') => self.anchor("$"),
            Some('*' | '+' | '?') => self.repeat(start, before, 1),
            Some('{') => match self.counts(start)? {
                Some(most) => self.repeat(start, before, most),
                None => self.character('{'),
            },
            Some(other) => self.character(other),
            None => Ok(()),
        }
    }

    fn finish(mut self) -> Result<Translation, PatternError> {
        match self.groups.pop() {
            Some(group) if !self.groups.is_empty() => {
                Err(error(group.opened..group.opened + 1, "this group is never closed"))
            }
            group => {
                self.result.weight = group.map_or(0, |mut group| group.settle().weight);
                self.result.plain = self.is_plain.then_some(self.plain);
                Ok(self.result)
            }
        }
    }

    pub(super) fn rest(&self) -> &str {
        self.source.get(self.at..).unwrap_or_default()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let character = self.rest().chars().next()?;
        self.at += character.len_utf8();
        Some(character)
    }

    pub(super) fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// Reads on while characters are of a kind.
    pub(super) fn take(&mut self, wanted: impl Fn(char) -> bool) -> &str {
        let start = self.at;
        self.at += self.rest().find(|character| !wanted(character)).unwrap_or(self.rest().len());
        self.source.get(start..self.at).unwrap_or_default()
    }

    /// Adds an item that is no plain text.
    pub(super) fn push(&mut self, text: &str, weight: usize) -> Result<(), PatternError> {
        self.is_plain = false;
        self.append(text, Item { weight, repetitions: 1 })
    }

    fn append(&mut self, text: &str, item: Item) -> Result<(), PatternError> {
        self.result.text.push_str(&self.flags);
        self.flags.clear();
        self.result.text.push_str(text);
        self.hold(item)
    }

    fn hold(&mut self, item: Item) -> Result<(), PatternError> {
        if let Some(group) = self.groups.last_mut() {
            group.settle();
            group.last = Some(item);
            if group.before.weight.saturating_add(item.weight) > MAXIMUM_WEIGHT {
                return Err(too_large(0..self.at));
            }
        }
        Ok(())
    }

    fn character(&mut self, character: char) -> Result<(), PatternError> {
        self.is_plain &= !self.plain.at_end;
        self.plain.text.push(character);
        let mut text = String::new();
        push_character(&mut text, character);
        self.append(&text, Item { weight: CHARACTER, repetitions: 1 })
    }

    fn anchor(&mut self, text: &str) -> Result<(), PatternError> {
        match text {
            "^" | r"\A" => {
                self.is_plain &= self.plain.text.is_empty() && !self.plain.at_end;
                self.plain.at_start = true;
            }
            _ => self.plain.at_end = true,
        }
        self.append(text, Item { weight: CHARACTER, repetitions: 1 })
    }

    /// Repeats the last item. `start` is where `*`, `+`, `?` or `{` is, and the scanner behind it.
    fn repeat(&mut self, start: usize, before: Option<usize>, most: usize) -> Result<(), PatternError> {
        self.is_plain = false;
        self.eat("?");
        let span = start..self.at;
        if let Some(before) = before {
            return Err(error(
                before..self.at,
                "a repetition cannot be repeated, nor made possessive; put the first in parentheses",
            ));
        }
        let Some(item) = self.groups.last_mut().and_then(|group| group.last.as_mut()) else {
            return Err(error(
                span,
                "there is nothing before this to repeat; write \\ before it to mean itself",
            ));
        };
        item.weight = item.weight.saturating_mul(most.max(1));
        item.repetitions = item.repetitions.saturating_mul(most.max(1));
        if item.repetitions > MAXIMUM_REPETITIONS {
            return Err(error(span, "RE2 repeats at most 1000 times, nested repetitions multiplied"));
        }
        let item = *item;
        if let Some(group) = self.groups.last_mut() {
            group.last = None;
        }
        self.hold(item)?;
        self.result.text.push_str(self.source.get(span.clone()).unwrap_or_default());
        self.repetition = Some(start);
        Ok(())
    }

    /// Reads `2}`, `2,}` or `2,3}` and gives the largest number; what is not of that form is plain text.
    fn counts(&mut self, start: usize) -> Result<Option<usize>, PatternError> {
        let length = self.rest().find(|character: char| !matches!(character, '0'..='9' | ','));
        let inner = self.rest().get(..length.unwrap_or_default()).unwrap_or_default();
        let end = self.at + inner.len() + 1;
        if self.source.get(end - 1..end) != Some("}") {
            return Ok(None);
        }
        let (low, high) = match inner.split_once(',') {
            Some((low, high)) => (low, Some(high)),
            None => (inner, None),
        };
        let is_count = |text: &str| {
            text.bytes().all(|byte| byte.is_ascii_digit())
                && !text.is_empty()
                && (text == "0" || !text.starts_with('0'))
        };
        if !is_count(low) || !high.is_none_or(|high| high.is_empty() || is_count(high)) {
            return Ok(None);
        }
        // What does not fit is too many as well.
        let number = |text: &str| text.parse().unwrap_or(usize::MAX);
        let low = number(low);
        let high = high.filter(|high| !high.is_empty()).map_or(low, number);
        self.at = end;
        if high < low {
            return Err(error(start..end, "this repetition ends before it starts"));
        }
        if high > MAXIMUM_REPETITIONS {
            return Err(error(start..end, "RE2 repeats at most 1000 times"));
        }
        Ok(Some(high))
    }

    fn open(&mut self, start: usize) -> Result<(), PatternError> {
        self.is_plain = false;
        if !self.eat("?") {
            return self.group(start, "(", true);
        }
        if self.eat(":") {
            return self.group(start, "(?:", false);
        }
        for (head, message) in REFUSED_GROUPS {
            if self.eat(head) {
                return Err(error(start..self.at, message));
            }
        }
        if self.eat("P<") || self.eat("<") {
            let name = self.take(|character| character.is_alphanumeric() || character == '_');
            if name.is_empty() || !self.eat(">") {
                let message = "the name of a group consists of letters, digits and _, as in (?P<name>…)";
                return Err(error(start..self.at, message));
            }
            return self.group(start, "(", true);
        }
        self.flags(start)
    }

    fn group(&mut self, start: usize, text: &str, captures: bool) -> Result<(), PatternError> {
        if self.groups.len() > MAXIMUM_DEPTH {
            return Err(error(start..self.at, "groups nest too deep here: at most 64"));
        }
        self.result.text.push_str(&self.flags);
        self.flags.clear();
        self.result.groups += usize::from(captures);
        let is_kept = captures && self.result.groups <= MAXIMUM_CAPTURED;
        self.result.text.push_str(if captures && !is_kept { "(?:" } else { text });
        self.groups.push(Group { opened: start, ..Group::default() });
        Ok(())
    }

    /// Reads `i-s)` or `i-s:`.
    fn flags(&mut self, start: usize) -> Result<(), PatternError> {
        let written = self.take(|character| matches!(character, 'i' | 'm' | 's' | 'U' | '-')).to_owned();
        let negative = written.split_once('-').map(|(_, negative)| negative);
        let closer = self.next();
        let well_formed = negative.is_none_or(|negative| !negative.is_empty() && !negative.contains('-'));
        match closer {
            Some(')') if well_formed => {
                if !written.is_empty() {
                    self.flags.push_str(&format!("(?{})", distinct(&written)));
                }
                Ok(())
            }
            Some(':') if well_formed => self.group(start, &format!("(?{}:", distinct(&written)), false),
            _ => Err(error(start..self.at, "after (? RE2 has :, P<name> and the flags i, m, s and U")),
        }
    }

    fn close(&mut self, start: usize) -> Result<(), PatternError> {
        let closed = self.groups.pop().filter(|_| !self.groups.is_empty());
        let Some(mut group) = closed else {
            return Err(error(start..self.at, "this parenthesis closes no group; write \\) to mean itself"));
        };
        // Flags hold to the end of their group.
        self.flags.clear();
        self.result.text.push(')');
        let content = group.settle();
        self.hold(Item { weight: content.weight + CHARACTER, repetitions: content.repetitions.max(1) })
    }

    fn escape(&mut self, start: usize) -> Result<(), PatternError> {
        let Some(character) = self.next() else {
            return Err(error(start..self.at, "a pattern cannot end with \\; write \\\\ to mean itself"));
        };
        match character {
            'A' => self.anchor(r"\A"),
            'z' => self.anchor(r"\z"),
            'b' => self.push(r"(?-u:\b)", CHARACTER),
            'B' => self.push(r"(?-u:\B)", CHARACTER),
            'Q' => {
                while self.at < self.source.len() && !self.eat(r"\E") {
                    if let Some(character) = self.next() {
                        self.character(character)?;
                    }
                }
                Ok(())
            }
            'p' | 'P' => {
                let property = self.property(start, character == 'P')?;
                self.push(&property, PROPERTY)
            }
            _ => match perl_class(character) {
                Some((class, negative)) => {
                    let sign = if negative { "^" } else { "" };
                    self.push(&format!("[{sign}{class}]"), if negative { WIDE_CLASS } else { CLASS })
                }
                None => {
                    let character = self.escaped_character(start, character)?;
                    self.character(character)
                }
            },
        }
    }

    /// The character that an escape stands for, inside and outside of classes.
    pub(super) fn escaped_character(&mut self, start: usize, character: char) -> Result<char, PatternError> {
        let code = match character {
            'a' => 0x07,
            'f' => 0x0c,
            'n' => 0x0a,
            'r' => 0x0d,
            't' => 0x09,
            'v' => 0x0b,
            'x' => self.hexadecimal(start)?,
            '1'..='7' if !self.rest().starts_with(|next| matches!(next, '0'..='7')) => {
                return Err(error(start..self.at, BACK_REFERENCE));
            }
            '0'..='7' => {
                let mut code = character.to_digit(8).unwrap_or_default();
                for _ in 0..2 {
                    if let Some(digit) = self.rest().chars().next().and_then(|next| next.to_digit(8)) {
                        code = code * 8 + digit;
                        self.at += 1;
                    }
                }
                code
            }
            '8' | '9' => return Err(error(start..self.at, BACK_REFERENCE)),
            _ if character.is_ascii() && !character.is_ascii_alphanumeric() => return Ok(character),
            _ => return Err(error(start..self.at, &unknown_escape(character))),
        };
        char::from_u32(code).ok_or_else(|| error(start..self.at, "Unicode has no such character"))
    }

    /// Reads `41` or `{1F600}`.
    fn hexadecimal(&mut self, start: usize) -> Result<u32, PatternError> {
        let digits = if self.eat("{") {
            let digits = self.take(|character| character.is_ascii_hexdigit()).to_owned();
            if self.eat("}") { digits } else { String::new() }
        } else {
            let digits = self.rest().get(..2).unwrap_or_default();
            let digits = digits.chars().filter(char::is_ascii_hexdigit).collect::<String>();
            self.at += digits.len();
            if digits.len() == 2 { digits } else { String::new() }
        };
        let message = "\\x takes two hexadecimal digits, or more in braces, as in \\x{1F600}";
        u32::from_str_radix(&digits, 16).map_err(|_| error(start..self.at, message))
    }
}

impl Group {
    /// Counts the last item to those that can no longer be repeated.
    fn settle(&mut self) -> Item {
        if let Some(last) = self.last.take() {
            self.before.weight = self.before.weight.saturating_add(last.weight);
            self.before.repetitions = self.before.repetitions.max(last.repetitions);
        }
        self.before
    }
}

/// A character that means itself, in and out of classes.
pub(super) fn push_character(text: &mut String, character: char) {
    // Escaped, these two are the boundaries of words.
    if character.is_ascii_punctuation() && !matches!(character, '<' | '>') {
        text.push('\\');
    }
    text.push(character);
}

/// Flags each once, as crate `regex` wants them. The last mention counts.
fn distinct(flags: &str) -> String {
    let (positive, negative) = flags.split_once('-').unwrap_or((flags, ""));
    let unset: String = ['i', 'm', 's', 'U'].into_iter().filter(|flag| negative.contains(*flag)).collect();
    let set =
        ['i', 'm', 's', 'U'].into_iter().filter(|flag| positive.contains(*flag) && !unset.contains(*flag));
    let set: String = set.collect();
    if unset.is_empty() { set } else { format!("{set}-{unset}") }
}
