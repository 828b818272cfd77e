//! Constants that attributes are compared with, as small numbers: a value of the request is looked up once, and
//! every test for equality is then a comparison of two integers.

use std::collections::HashMap;

use crate::value::Value;

/// Stands for no value.
pub(crate) const ABSENT: u32 = 0;
/// Stands for every value that no rule names.
pub(crate) const OTHER: u32 = 1;
const FIRST: u32 = 2;
/// From here on, integers and doubles do not stand for one another exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// So many texts are compared one by one; more are hashed.
const FEW: usize = 4;

/// The constants of one attribute, while rules are compiled.
#[derive(Debug, Default)]
pub(crate) struct Naming {
    numbers: HashMap<Scalar, u32>,
}

/// What CEL's `==` cannot tell apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Scalar {
    Bool(bool),
    /// The bits of a double.
    Number(u64),
    Text(Box<str>),
}

/// The constants of one attribute, to look values up in.
#[derive(Debug)]
pub(crate) struct Constants {
    count: u32,
    no: u32,
    yes: u32,
    /// Bits of doubles in order.
    numbers: Box<[(u64, u32)]>,
    /// In order, or with more than [`FEW`] of them, a table at most half full that is probed linearly.
    texts: Box<[Entry]>,
    bytes: Box<[u8]>,
}

/// A text: 32 bytes, half a cache line. Up to 16 bytes it is told from others by them alone.
#[derive(Debug, Clone, Copy)]
struct Entry {
    ends: Ends,
    number: u32,
    /// Where all of it lies.
    start: u32,
}

/// Length, first and last bytes of a text, which are all of one of up to 16 bytes. Of a longer one the first are
/// mixed with the others.
#[derive(Debug, Clone, Copy)]
struct Ends {
    first: u64,
    last: u64,
    length: u32,
}

const EMPTY: Entry = Entry { ends: Ends { first: 0, last: 0, length: 0 }, number: ABSENT, start: 0 };

impl Naming {
    /// The number of a constant; `None` for one that is compared by [`Value::equals`] only.
    pub(crate) fn name(&mut self, constant: &Value<'_>) -> Option<u32> {
        let scalar = match constant {
            Value::Bool(truth) => Scalar::Bool(*truth),
            Value::String(text) => Scalar::Text((**text).into()),
            _ => Scalar::Number(bits(exact(constant)?)),
        };
        let next = FIRST + u32::try_from(self.numbers.len()).ok()?;
        Some(*self.numbers.entry(scalar).or_insert(next))
    }

    pub(crate) fn finish(self) -> Constants {
        let mut constants = Constants {
            count: self.numbers.len() as u32,
            no: OTHER,
            yes: OTHER,
            numbers: Box::default(),
            texts: Box::default(),
            bytes: Box::default(),
        };
        let mut numbers = Vec::new();
        let mut texts = Vec::new();
        for (scalar, number) in self.numbers {
            match scalar {
                Scalar::Bool(false) => constants.no = number,
                Scalar::Bool(true) => constants.yes = number,
                Scalar::Number(bits) => numbers.push((bits, number)),
                Scalar::Text(text) => texts.push((number, text)),
            }
        }
        numbers.sort_unstable();
        // So that one rule set is always the same in memory.
        texts.sort_unstable();
        constants.numbers = numbers.into();
        (constants.texts, constants.bytes) = table(&texts);
        constants
    }
}

impl Constants {
    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Numbers of values are below this.
    pub(crate) fn end(&self) -> u32 {
        FIRST + self.count
    }

    /// The number of a value that the request has.
    #[inline(never)]
    pub(crate) fn find(&self, value: &Value<'_>) -> u32 {
        match value {
            Value::String(text) => self.find_text(text.as_bytes(), true),
            Value::Bool(false) => self.no,
            Value::Bool(true) => self.yes,
            _ => number(value).map_or(OTHER, |number| self.find_number(number)),
        }
    }

    /// The constant of a number.
    pub(crate) fn value(&self, number: u32) -> Option<Value<'static>> {
        if number < FIRST {
            return None;
        }
        if number == self.no || number == self.yes {
            return Some(Value::Bool(number == self.yes));
        }
        if let Some((bits, _)) = self.numbers.iter().find(|(_, known)| *known == number) {
            return Some(Value::Double(f64::from_bits(*bits)));
        }
        let entry = self.texts.iter().find(|entry| entry.number == number)?;
        Some(Value::from(String::from_utf8_lossy(self.text(entry)?).into_owned()))
    }

    #[inline]
    pub(crate) fn find_number(&self, number: f64) -> u32 {
        let bits = bits(number);
        let found = self.numbers.binary_search_by_key(&bits, |(known, _)| *known);
        found.ok().and_then(|index| self.numbers.get(index)).map_or(OTHER, |(_, number)| *number)
    }

    /// The number of a text. Bytes that nobody has `checked` are no value unless they are UTF-8.
    #[inline(always)]
    pub(crate) fn find_text(&self, text: &[u8], checked: bool) -> u32 {
        let Some(ends) = Ends::of_short(text) else { return self.find_long(text, checked) };
        match self.number_of(ends, |_| true) {
            OTHER if !checked && !ends.are_ascii() => other_or_absent(text),
            number => number,
        }
    }

    #[inline(never)]
    fn find_long(&self, text: &[u8], checked: bool) -> u32 {
        match self.number_of(Ends::of(text), |entry| self.text(entry) == Some(text)) {
            OTHER if !checked => other_or_absent(text),
            number => number,
        }
    }

    /// The number of the entry with these ends that is the text.
    #[inline(always)]
    fn number_of(&self, ends: Ends, is: impl Fn(&Entry) -> bool) -> u32 {
        let is = |entry: &Entry| entry.ends == ends && is(entry);
        if self.texts.len() <= FEW {
            return self.texts.iter().find(|entry| is(entry)).map_or(OTHER, |entry| entry.number);
        }
        let mask = self.texts.len() - 1;
        let mut at = ends.place(self.texts.len());
        while let Some(entry) = self.texts.get(at)
            && entry.number != ABSENT
        {
            if is(entry) {
                return entry.number;
            }
            at = (at + 1) & mask;
        }
        OTHER
    }

    fn text(&self, entry: &Entry) -> Option<&[u8]> {
        let start = entry.start as usize;
        self.bytes.get(start..start + entry.ends.length as usize)
    }
}

/// What a number is compared as. Every integer that equals a double below 2^53 is that double.
#[inline]
pub(crate) fn number(value: &Value<'_>) -> Option<f64> {
    match *value {
        Value::Double(number) => Some(number),
        Value::Int(number) => Some(number as f64),
        Value::Uint(number) => Some(number as f64),
        _ => None,
    }
}

/// A constant that compares with any number as this double does.
pub(crate) fn exact(constant: &Value<'_>) -> Option<f64> {
    number(constant).filter(|number| number.abs() < EXACT)
}

/// The bits of a number; zero has no sign.
fn bits(number: f64) -> u64 {
    (number + 0.0).to_bits()
}

/// Lays out texts; few as they are, more in a table by hash.
fn table(texts: &[(u32, Box<str>)]) -> (Box<[Entry]>, Box<[u8]>) {
    let mut bytes = Vec::new();
    let mut entries = Vec::with_capacity(texts.len());
    for (number, text) in texts {
        entries.push(Entry { ends: Ends::of(text.as_bytes()), number: *number, start: bytes.len() as u32 });
        bytes.extend_from_slice(text.as_bytes());
    }
    if entries.len() <= FEW {
        return (entries.into(), bytes.into());
    }
    let mut table = vec![EMPTY; (entries.len() * 2).next_power_of_two()];
    let mask = table.len() - 1;
    for entry in entries {
        let mut at = entry.ends.place(table.len());
        while table.get(at).is_some_and(|taken| taken.number != ABSENT) {
            at = (at + 1) & mask;
        }
        if let Some(free) = table.get_mut(at) {
            *free = entry;
        }
    }
    (table.into(), bytes.into())
}

impl PartialEq for Ends {
    /// NOTE: one branch, which is nearly always predicted; three are not.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        (self.first ^ other.first) | (self.last ^ other.last) | u64::from(self.length ^ other.length) == 0
    }
}

/// The number of a text that is no constant.
#[cold]
fn other_or_absent(text: &[u8]) -> u32 {
    if str::from_utf8(text).is_ok() { OTHER } else { ABSENT }
}

impl Ends {
    fn of(text: &[u8]) -> Self {
        Self::of_short(text).unwrap_or_else(|| {
            let (words, _) = text.as_chunks::<8>();
            let first = words.iter().fold(0_u64, |mixed, word| {
                (mixed ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
            });
            let last = text.last_chunk().map_or(0, |last| u64::from_le_bytes(*last));
            Self { first, last, length: text.len() as u32 }
        })
    }

    /// Of a text of up to 16 bytes.
    #[inline(always)]
    fn of_short(text: &[u8]) -> Option<Self> {
        let (first, last) = match text.len() {
            8..=16 => (u64::from_le_bytes(*text.first_chunk()?), u64::from_le_bytes(*text.last_chunk()?)),
            4..8 => (
                u32::from_le_bytes(*text.first_chunk()?).into(),
                u32::from_le_bytes(*text.last_chunk()?).into(),
            ),
            0..4 => {
                let byte = |place: usize| text.get(place).copied().map_or(0, u64::from);
                (byte(0) | byte(1) << 8, byte(2))
            }
            _ => return None,
        };
        Some(Self { first, last, length: text.len() as u32 })
    }

    /// Whether they are ASCII.
    #[inline]
    fn are_ascii(self) -> bool {
        (self.first | self.last) & 0x8080_8080_8080_8080 == 0
    }

    /// Where the text is in a table of so many entries, a power of two above one, or from where on: multiplicative
    /// hashing, of which the first bits are the best (Knuth, The Art of Computer Programming 3, 6.4). Texts in the
    /// table are the operator's, so that nobody else can make them collide.
    #[inline]
    fn place(self, entries: usize) -> usize {
        let first = self.first.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = first.wrapping_add(self.last.wrapping_mul(0xd6e8_feb8_6659_fd93));
        (mixed >> (64 - entries.trailing_zeros())) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_as_equal_constants() {
        let constants = [
            Value::Bool(true),
            Value::Int(5),
            Value::Double(-0.0),
            Value::Double(2.5),
            Value::Int(-7),
            Value::from(""),
            Value::from("premium"),
        ];
        let many: Vec<String> =
            (0..300).map(|number| "x".repeat(number % 41) + &number.to_string()).collect();
        for texts in [0, 2, 3, 4, 5, 300] {
            let mut naming = Naming::default();
            let known: Vec<Value<'_>> = constants
                .iter()
                .cloned()
                .chain(many.iter().take(texts).map(|text| Value::from(text.as_str())))
                .collect();
            let numbers: Vec<u32> = known.iter().map(|constant| naming.name(constant).unwrap()).collect();
            let found = naming.finish();
            assert_eq!(found.count() as usize, known.len());
            let values = known.iter().cloned().chain([
                Value::Bool(false),
                Value::Uint(5),
                Value::Double(5.0),
                Value::Int(0),
                Value::Int(i64::MAX),
                Value::Double(f64::NAN),
                Value::Null,
                Value::from("Premium"),
                Value::from("premium "),
                Value::list(vec![Value::Int(5)]),
            ]);
            for value in values {
                let expected = known.iter().position(|constant| constant.equals(&value));
                let expected = expected.map_or(OTHER, |index| numbers[index]);
                assert_eq!(found.find(&value), expected, "{value:?} among {texts} texts");
                if let Value::String(text) = &value {
                    assert_eq!(
                        found.find_text(text.as_bytes(), false),
                        expected,
                        "{value:?} among {texts} texts"
                    );
                }
            }
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_no_value() {
        for others in [0, 3, 4, 300] {
            let mut naming = Naming::default();
            let known = naming.name(&Value::from("ä")).unwrap();
            for other in 0..others {
                naming.name(&Value::from(format!("text {other}"))).unwrap();
            }
            let constants = naming.finish();
            let check = |bytes: &[u8], expected: u32| {
                assert_eq!(constants.find_text(bytes, false), expected, "{bytes:?} among {others}");
            };
            check("ä".as_bytes(), known);
            check("ö".as_bytes(), OTHER);
            check("ä, but more than 16 bytes".as_bytes(), OTHER);
            for length in [1, 3, 4, 7, 8, 9, 16, 17, 40] {
                for place in [0, length / 2, length - 1] {
                    let mut bytes = vec![b'x'; length];
                    bytes[place] = 0xff;
                    check(&bytes, ABSENT);
                }
            }
        }
    }

    #[test]
    fn some_constants_have_no_number() {
        for constant in [Value::Null, Value::Int(1 << 53), Value::Double(f64::NAN), Value::Double(1e300)] {
            assert_eq!(Naming::default().name(&constant), None, "{constant:?}");
        }
    }
}
