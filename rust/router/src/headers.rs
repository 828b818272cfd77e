//! Header fields, found by name.

/// A header field: its name, lower case, and its value.
pub type Field<'a> = (&'a [u8], &'a [u8]);

/// So many words of marks are kept.
const WORDS: usize = 3;
const ONES: u64 = 0x0101_0101_0101_0101;

/// The values of the fields of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// There is no such field.
    None,
    /// There is one.
    One(&'a [u8]),
    /// There may be several, or any number among very many fields: see [`Headers::named`].
    Several,
}

/// The header fields of a request, in order.
#[derive(Debug, Clone)]
pub struct Headers<'a> {
    fields: &'a [Field<'a>],
    /// A byte of each name, eight in a word, of as many as there is space for.
    marks: [u64; WORDS],
}

/// Takes in fields, whose names must be in lower case.
impl<'a> From<&'a [Field<'a>]> for Headers<'a> {
    fn from(fields: &'a [Field<'a>]) -> Self {
        let mut marks = [0; WORDS];
        for (word, fields) in marks.iter_mut().zip(fields.chunks(8)) {
            *word = fields.iter().rev().fold(0, |word, (name, _)| word << 8 | u64::from(mark(name)));
        }
        Self { fields, marks }
    }
}

impl<'a> Headers<'a> {
    /// The fields.
    pub fn fields(&self) -> &'a [Field<'a>] {
        self.fields
    }

    /// The values of the fields of a name, which is compared as it is, in order.
    pub(crate) fn named<'n>(&self, name: &'n [u8]) -> impl Iterator<Item = &'a [u8]> + use<'n, 'a> {
        self.fields.iter().filter(move |(field, _)| *field == name).map(|(_, value)| *value)
    }

    /// The same, if it is one value or none.
    ///
    /// NOTE: it reads the marks and the field that they point at. With that, and with values compared as bytes, a rule
    /// that reads one of 12 to 20 headers takes 56 ns instead of 79 (`cargo bench -p edgeroute-rules --bench cold`).
    #[inline]
    pub(crate) fn find(&self, name: &[u8]) -> Found<'a> {
        if self.fields.len() > 8 * WORDS {
            return Found::Several;
        }
        let marked = ONES * u64::from(mark(name));
        let mut alike = 0;
        for (place, word) in self.marks.iter().enumerate() {
            // The lowest bit of bytes that are zero, and rarely of another above one: "Bit Twiddling Hacks", haszero.
            let other = word ^ marked;
            alike |= ((other.wrapping_sub(ONES) & !other) >> 7 & ONES) << place;
        }
        let mut found = Found::None;
        while alike != 0 {
            let bit = alike.trailing_zeros() as usize;
            alike &= alike - 1;
            if let Some((field, value)) = self.fields.get(bit % 8 * 8 + bit / 8)
                && is_same(field, name)
            {
                found = match found {
                    Found::None => Found::One(value),
                    _ => return Found::Several,
                };
            }
        }
        found
    }
}

/// Whether two names are the same.
///
/// NOTE: most have 4 to 16 bytes, which are two words that may overlap. Without calls of `memcmp` a rule that reads one
/// header takes 35 ns instead of 40.
#[inline]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match one.len() {
        8..=16 => ends::<8>(one) == ends::<8>(other),
        4..=7 => ends::<4>(one) == ends::<4>(other),
        _ => one == other,
    }
}

/// The first and the last bytes.
#[inline]
fn ends<const N: usize>(name: &[u8]) -> Option<(&[u8; N], &[u8; N])> {
    name.first_chunk().zip(name.last_chunk())
}

/// A byte that differs among the names of a usual request.
#[inline]
fn mark(name: &[u8]) -> u8 {
    name.last().copied().unwrap_or_default().wrapping_add((name.len() as u8).wrapping_mul(32 + 5))
}

#[cfg(test)]
mod tests {
    use super::{Found, Headers};

    #[test]
    fn fields_are_found_as_by_comparing_them_one_by_one() {
        // Of every length, and of each some that differ in one byte only.
        let names: Vec<Vec<u8>> = (0..40_usize)
            .flat_map(|length| {
                let plain = vec![b'x'; length];
                let changed = (0..length).step_by(3).map(|place| {
                    let mut name = plain.clone();
                    name[place] = b'y';
                    name
                });
                changed.chain([plain.clone()]).collect::<Vec<_>>()
            })
            .collect();
        let headers: Vec<(&[u8], &[u8])> =
            names.iter().chain(names.iter().rev().step_by(2)).map(|name| (&**name, &**name)).collect();
        for count in [0, 1, 7, 8, 9, 23, 24, 25, headers.len()] {
            let headers = &headers[..count];
            let taken_in = Headers::from(headers);
            for name in &names {
                let expected: Vec<*const u8> =
                    headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_ptr()).collect();
                let found: Vec<*const u8> = taken_in.named(name).map(<[u8]>::as_ptr).collect();
                assert_eq!(found, expected, "{count} {name:?}");
                match taken_in.find(name) {
                    Found::None => assert!(expected.is_empty(), "{count} {name:?}"),
                    Found::One(value) => assert_eq!([value.as_ptr()], *expected, "{count} {name:?}"),
                    Found::Several => assert!(expected.len() > 1 || count > 24, "{count} {name:?}"),
                }
            }
        }
    }
}
