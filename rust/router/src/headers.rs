//! Header fields, found by name.

use edgeroute_rules::{Attribute, mark};
use edgeroute_simd::{PLACES, places};

/// A header field: its name, lower case, and its value.
pub type Field<'a> = (&'a [u8], &'a [u8]);

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
    /// A byte of each name, of as many as there is space for.
    marks: [u8; PLACES],
}

/// Takes in fields, whose names must be in lower case.
impl<'a> From<&'a [Field<'a>]> for Headers<'a> {
    fn from(fields: &'a [Field<'a>]) -> Self {
        let mut marks = [0; PLACES];
        marks.iter_mut().zip(fields).for_each(|(to, (name, _))| *to = mark(name));
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
    /// NOTE: it reads the marks and the field that they point at, 65 instructions among 12 to 20 fields.
    pub(crate) fn find(&self, name: &[u8]) -> Found<'a> {
        self.find_marked(mark(name), |field| field == name)
    }

    /// The same of the name that is the key of an attribute.
    #[inline(always)]
    pub(crate) fn find_key(&self, attribute: &Attribute) -> Found<'a> {
        self.find_marked(attribute.mark(), |field| attribute.is_key(field))
    }

    /// The same, given the name's mark and what tells whether a name is the one.
    #[inline(always)]
    fn find_marked(&self, mark: u8, is: impl Fn(&[u8]) -> bool) -> Found<'a> {
        if self.fields.len() > PLACES {
            return Found::Several;
        }
        let alike = places(&self.marks, mark);
        if alike == 0 {
            return Found::None;
        }
        if !alike.is_power_of_two() {
            return self.find_among(alike, is);
        }
        match self.fields.get(alike.trailing_zeros() as usize) {
            Some((field, value)) if is(field) => Found::One(value),
            _ => Found::None,
        }
    }

    /// The same, of the fields at these places.
    #[cold]
    fn find_among(&self, mut alike: u32, is: impl Fn(&[u8]) -> bool) -> Found<'a> {
        let mut found = Found::None;
        while alike != 0 {
            let field = self.fields.get(alike.trailing_zeros() as usize);
            alike &= alike - 1;
            if let Some((field, value)) = field
                && is(field)
            {
                if found != Found::None {
                    return Found::Several;
                }
                found = Found::One(value);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::{Attribute, Found, Headers};

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
        for count in [0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, headers.len()] {
            let headers = &headers[..count];
            let taken_in = Headers::from(headers);
            for name in &names {
                let expected: Vec<*const u8> =
                    headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_ptr()).collect();
                let found: Vec<*const u8> = taken_in.named(name).map(<[u8]>::as_ptr).collect();
                assert_eq!(found, expected, "{count} {name:?}");
                let attribute = Attribute::new(0, Some(str::from_utf8(name).unwrap().into()));
                let found = taken_in.find(name);
                assert_eq!(taken_in.find_key(&attribute), found);
                match found {
                    Found::None => assert!(expected.is_empty(), "{count} {name:?}"),
                    Found::One(value) => assert_eq!([value.as_ptr()], *expected, "{count} {name:?}"),
                    Found::Several => assert!(expected.len() > 1 || count > 32, "{count} {name:?}"),
                }
            }
        }
    }
}
