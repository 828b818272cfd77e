//! Classes of characters: `[a-z]`, `[[:alpha:]]`, `\d`, `\p{Greek}`.

use super::refusals::{PatternError, error};
use super::translate::{CLASS, PROPERTY, Property, Translator, WIDE_CLASS, push_character};

impl Translator<'_> {
    /// Reads `L`, `{Lu}` or `{^Greek}` after `\p` or `\P`.
    pub(super) fn property(&mut self, start: usize, mut negative: bool) -> Result<String, PatternError> {
        let unknown =
            "\\p takes a category of Unicode, as in \\pL and \\p{Lu}, or a script, as in \\p{Greek}";
        let name = if self.eat("{") {
            negative ^= self.eat("^");
            let name = self.take(|character| character.is_ascii_alphabetic() || character == '_').to_owned();
            if self.eat("}") { name } else { String::new() }
        } else {
            self.next().map_or(String::new(), String::from)
        };
        let span = start..self.at;
        if !name.starts_with(|first: char| first.is_ascii_uppercase()) {
            return Err(error(span, unknown));
        }
        let letter = if negative { 'P' } else { 'p' };
        let kind = if name.len() <= 2 || name == "Any" { "gc" } else { "sc" };
        let text = format!("\\{letter}{{{kind}={name}}}");
        self.result.properties.push(Property { text: text.clone(), span });
        Ok(text)
    }

    pub(super) fn class(&mut self, start: usize) -> Result<(), PatternError> {
        let mut class = String::from(if self.eat("^") { "[^" } else { "[" });
        let mut weight = if class.len() > 1 { WIDE_CLASS } else { CLASS };
        let mut first = true;
        loop {
            let place = self.at;
            let Some(character) = self.next() else {
                return Err(error(start..start + 1, "this class is never closed; write \\[ to mean itself"));
            };
            if character == ']' && !first {
                break;
            }
            first = false;
            if character == '['
                && let Some(named) = self.ascii_class(place)?
            {
                class.push_str(&named);
                continue;
            }
            if character == '\\' {
                let letter = self.next();
                if let Some(letter @ ('p' | 'P')) = letter {
                    class.push_str(&self.property(place, letter == 'P')?);
                    weight += PROPERTY;
                    continue;
                }
                if let Some((members, negative)) = letter.and_then(perl_class) {
                    class.push_str(&if negative { format!("[^{members}]") } else { members.to_owned() });
                    continue;
                }
                self.at = place + 1;
            }
            let low = self.class_character(place, character)?;
            push_character(&mut class, low);
            let rest = self.rest();
            if rest.starts_with('-') && !rest.starts_with("-]") && rest.len() > 1 {
                self.at += 1;
                let next = self.next().unwrap_or('-');
                let high = self.class_character(self.at - next.len_utf8(), next)?;
                if high < low {
                    return Err(error(place..self.at, "this range ends before it starts"));
                }
                class.push('-');
                push_character(&mut class, high);
            }
            weight += usize::from(!low.is_ascii());
        }
        class.push(']');
        self.push(&class, weight)
    }

    /// A character of a class that was read as far as `character`.
    fn class_character(&mut self, place: usize, character: char) -> Result<char, PatternError> {
        if character != '\\' {
            return Ok(character);
        }
        match self.next() {
            Some(next) => self.escaped_character(place, next),
            None => Err(error(place..self.at, "a pattern cannot end with \\; write \\\\ to mean itself")),
        }
    }

    /// Reads `:alpha:]` after `[`; what has no `:]` is plain text.
    fn ascii_class(&mut self, place: usize) -> Result<Option<String>, PatternError> {
        let Some(inner) = self.rest().strip_prefix(':') else { return Ok(None) };
        if self.last_name.is_none_or(|last| last <= self.at) {
            return Ok(None);
        }
        let Some((name, _)) = inner.split_once(":]") else { return Ok(None) };
        let known = ASCII_CLASSES.contains(&name.strip_prefix('^').unwrap_or(name));
        let text = format!("[:{name}:]");
        self.at = place + text.len();
        if known {
            return Ok(Some(text));
        }
        let message = format!("RE2 has no such class; it has {}", ASCII_CLASSES.join(", "));
        Err(error(place..self.at, &message))
    }
}

const ASCII_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// The members of `\d`, `\s`, `\w`, and whether they are excluded.
pub(super) fn perl_class(letter: char) -> Option<(&'static str, bool)> {
    let members = match letter.to_ascii_lowercase() {
        'd' => "0-9",
        's' => r"\t\n\f\r ",
        'w' => "0-9A-Za-z_",
        _ => return None,
    };
    Some((members, letter.is_ascii_uppercase()))
}
