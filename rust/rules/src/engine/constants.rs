//! Constants that attributes are compared with, as small numbers: a value of the request is looked up once, and
//! every test for equality is then a comparison of two integers.

use std::collections::HashMap;
use std::mem;

use crate::ends::Ends;
use crate::program::Attribute;
use crate::value::Value;

/// Stands for no value.
pub(crate) const ABSENT: u32 = 0;
/// Stands for every value that no rule names.
pub(crate) const OTHER: u32 = 1;
const FIRST: u32 = 2;
/// From here on, integers and doubles do not stand for one another exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// So many ways to hash the texts of an attribute are tried for one that gives each a place of its own,
const TRIES: usize = 256;
/// but so many texts are hashed at most, beyond the first time: of many texts, no way does.
const TRIED: usize = 1 << 16;

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
///
/// NOTE: with the attribute itself, since both are read for each lookup: from a cold cache, of 1,000 rules, the first
/// match takes 0.3 µs less.
#[derive(Debug)]
pub(crate) struct Constants {
    attribute: Attribute,
    count: u32,
    no: u32,
    yes: u32,
    /// Bits of doubles in order.
    numbers: Box<[(u64, u32)]>,
    texts: Texts,
}

/// Texts with their numbers: a table at most half full that is probed linearly, or one text.
///
/// NOTE: where each has a place of its own, which is tried for, it takes one comparison. Of 100 rules, searched by hash,
/// the first match takes 100 ns instead of 119 where the processor cannot foresee the requests.
#[derive(Debug, Default)]
struct Texts {
    places: Box<[Place]>,
    hash: Hash,
    bytes: Box<[u8]>,
}

/// A place for a text: 32 bytes, half a cache line.
#[derive(Debug, Clone, Copy)]
struct Place {
    first: u64,
    last: u64,
    length: u32,
    /// [`OTHER`] if there is none.
    number: u32,
    /// Where all of it lies.
    start: u32,
    /// Whether one that was not found yet may be at the next place.
    goes_on: bool,
}

const FREE: Place = Place { first: 0, last: 0, length: 0, number: OTHER, start: 0, goes_on: false };

/// Where texts belong: multiplicative hashing, of which the first bits are the best (Knuth, The Art of Computer
/// Programming 3, 6.4). Texts in a table are the operator's, so that nobody else can make them collide.
#[derive(Debug, Clone, Copy, Default)]
struct Hash {
    factors: [u64; 2],
    shift: u32,
}

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

    pub(crate) fn finish(self, attribute: Attribute) -> Constants {
        let mut constants = Constants {
            attribute,
            count: self.numbers.len() as u32,
            no: OTHER,
            yes: OTHER,
            numbers: Box::default(),
            texts: Texts::default(),
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
        constants.texts = Texts::new(&texts);
        constants
    }
}

impl Constants {
    /// What is compared with them.
    pub(crate) fn attribute(&self) -> &Attribute {
        &self.attribute
    }

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
        let text = self.texts.text(self.texts.places.iter().find(|place| place.number == number)?)?;
        Some(Value::from(String::from_utf8_lossy(text).into_owned()))
    }

    #[inline]
    pub(crate) fn find_number(&self, number: f64) -> u32 {
        let bits = bits(number);
        let found = self.numbers.binary_search_by_key(&bits, |(known, _)| *known);
        found.ok().and_then(|index| self.numbers.get(index)).map_or(OTHER, |(_, number)| *number)
    }

    /// The number of a text. Bytes that nobody has `checked` are no value unless they are UTF-8.
    ///
    /// NOTE: only what nearly all texts need is here, without a loop, and the rest far away: of 100 rules the first
    /// match takes 3 to 4 ns less.
    #[inline(always)]
    pub(crate) fn find_text(&self, text: &[u8], checked: bool) -> u32 {
        match Ends::of_short(text) {
            Some(ends) if ends.are_ascii() => self.texts.find_at_once(ends),
            _ => None,
        }
        .unwrap_or_else(|| self.find_any_text(text, checked))
    }

    #[cold]
    fn find_any_text(&self, text: &[u8], checked: bool) -> u32 {
        match self.texts.find(text) {
            OTHER if !checked && str::from_utf8(text).is_err() => ABSENT,
            number => number,
        }
    }
}

impl Texts {
    /// Of texts with their numbers.
    fn new(texts: &[(u32, Box<str>)]) -> Self {
        let mut bytes = Vec::new();
        let entries: Vec<Place> = texts
            .iter()
            .map(|(number, text)| {
                let Ends { first, last, length } = Ends::of(text.as_bytes());
                let start = bytes.len() as u32;
                bytes.extend_from_slice(text.as_bytes());
                Place { first, last, length, number: *number, start, goes_on: false }
            })
            .collect();
        let count = if entries.len() > 1 { (entries.len() * 2).next_power_of_two() } else { 1 };
        let hash = Hash::best(&entries, count);
        let mut places = vec![FREE; count];
        for entry in entries {
            let mut at = hash.place(entry.ends());
            while let Some(taken) = places.get_mut(at)
                && taken.number != OTHER
            {
                taken.goes_on = true;
                at = (at + 1) & (count - 1);
            }
            if let Some(free) = places.get_mut(at) {
                *free = entry;
            }
        }
        Self { places: places.into(), hash, bytes: bytes.into() }
    }

    /// The number of a short text; `None` if it may be at another place than its own.
    #[inline(always)]
    fn find_at_once(&self, ends: Ends) -> Option<u32> {
        let place = self.places.get(self.hash.place(ends))?;
        if place.ends().are(ends) {
            return Some(place.number);
        }
        (!place.goes_on).then_some(OTHER)
    }

    /// The number of a text.
    fn find(&self, text: &[u8]) -> u32 {
        let ends = Ends::of(text);
        let mut at = self.hash.place(ends);
        while let Some(place) = self.places.get(at) {
            if place.ends().are(ends) && self.text(place) == Some(text) {
                return place.number;
            }
            if !place.goes_on {
                break;
            }
            at = (at + 1) & (self.places.len() - 1);
        }
        OTHER
    }

    /// All of the text at a place.
    fn text(&self, place: &Place) -> Option<&[u8]> {
        let start = place.start as usize;
        self.bytes.get(start..start + place.length as usize)
    }
}

impl Place {
    #[inline(always)]
    fn ends(&self) -> Ends {
        Ends { first: self.first, last: self.last, length: self.length }
    }
}

impl Hash {
    /// The first that gives each text a place of its own among `count`, a power of two; or else the one that gives the
    /// most of them one.
    fn best(texts: &[Place], count: usize) -> Self {
        let shift = 64 - count.trailing_zeros();
        let distinct = |hash: &Self| {
            let mut taken = vec![false; count];
            let is_first = |text: &&Place| {
                taken.get_mut(hash.place(text.ends())).is_some_and(|taken| !mem::replace(taken, true))
            };
            texts.iter().filter(is_first).count()
        };
        let mut best = (Self::default(), None);
        for number in 0..(TRIED / texts.len().max(1)).clamp(1, TRIES) as u64 {
            let factors = [2 * number, 2 * number + 1].map(factor);
            let hash = Self { factors, shift };
            let distinct = Some(distinct(&hash));
            if distinct > best.1 {
                best = (hash, distinct);
            }
            if distinct == Some(texts.len()) {
                break;
            }
        }
        best.0
    }

    #[inline(always)]
    fn place(&self, ends: Ends) -> usize {
        // One text is compared at once. NOTE: the first match of the example takes 20 ns instead of 23.
        if self.shift == 64 {
            return 0;
        }
        let [of_first, of_last] = self.factors;
        let mixed = ends.first.wrapping_mul(of_first).wrapping_add(ends.last.wrapping_mul(of_last));
        (mixed >> self.shift) as usize
    }
}

/// An odd number without pattern (SplitMix64; Steele, Lea and Flood, Fast splittable pseudorandom number generators).
fn factor(number: u64) -> u64 {
    let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31) | 1
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

#[cfg(test)]
mod tests {
    use super::*;

    fn finish(naming: Naming) -> Constants {
        naming.finish(Attribute::new(0, None))
    }

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
        for texts in [0, 2, 3, 6, 30, 300] {
            let mut naming = Naming::default();
            let known: Vec<Value<'_>> = constants
                .iter()
                .cloned()
                .chain(many.iter().take(texts).map(|text| Value::from(text.as_str())))
                .collect();
            let numbers: Vec<u32> = known.iter().map(|constant| naming.name(constant).unwrap()).collect();
            let found = finish(naming);
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
    fn a_text_is_found_among_none_and_one() {
        let others = ["", "a", "premium", "a text of more than 16 bytes"];
        for known in others {
            let mut naming = Naming::default();
            let number = naming.name(&Value::from(known)).unwrap();
            let one = finish(naming);
            for text in others {
                let expected = if text == known { number } else { OTHER };
                assert_eq!(one.find_text(text.as_bytes(), false), expected, "{text} in {known}");
                assert_eq!(finish(Naming::default()).find_text(text.as_bytes(), false), OTHER, "{text}");
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
            let constants = finish(naming);
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
