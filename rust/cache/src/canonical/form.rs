//! The canonical form: one sequence of bytes for each value, from which the value could be read back. Two values have
//! the same form exactly if they are equal: objects without regard to the order of their fields, strings by their
//! characters, numbers by their value. In a JSON Schema alone the order of `properties` counts: models fill them in it.
//!
//! | value | form |
//! |---|---|
//! | null, true, false | `n`, `t`, `f` |
//! | string | `"`, its characters in UTF-8, ff |
//! | number | `#`, `-` if below 0, digits without zeros at either end (`0` is one), `e`, exponent (4, little endian) |
//! | array | `[`, elements, `]` |
//! | object | `{`, for each field (sorted by name, but for `properties`) the name in UTF-8, ff and the value; fe |
//!
//! UTF-8 has neither ff nor fe.

use edgeroute_wire::unescape;

use super::tree::{Member, Node, Text, Tree};

/// Ends a text.
const TEXT_END: u8 = 0xff;
/// Ends an object.
const OBJECT_END: u8 = 0xfe;
/// Stands for a value that was left out. No value starts so.
const LEFT_OUT: u8 = b'*';

/// Appends the form of a value without the value `left_out`; `None` if it has none: half a surrogate pair, or a number
/// whose exponent is beyond reason.
pub(super) fn write(tree: &Tree<'_>, at: u32, left_out: Option<u32>, out: &mut Vec<u8>) -> Option<()> {
    if left_out == Some(at) {
        out.push(LEFT_OUT);
        return Some(());
    }
    match tree.node(at)? {
        Node::Null => out.push(b'n'),
        Node::Boolean(true) => out.push(b't'),
        Node::Boolean(false) => out.push(b'f'),
        Node::Number(text) => write_number(text, out)?,
        Node::String(text) => {
            out.push(b'"');
            write_text(*text, out)?;
        }
        Node::Array { .. } => {
            out.push(b'[');
            for element in tree.elements(at) {
                write(tree, element, left_out, out)?;
            }
            out.push(b']');
        }
        Node::Object { .. } => {
            out.push(b'{');
            write_members(tree, tree.members(at), left_out, out)?;
        }
    }
    Some(())
}

/// Appends the fields of an object, and its end.
pub(super) fn write_members(
    tree: &Tree<'_>,
    members: &[Member<'_>],
    left_out: Option<u32>,
    out: &mut Vec<u8>,
) -> Option<()> {
    for member in members {
        write_text(member.name, out)?;
        match tree.node(member.value) {
            Some(Node::Object { .. }) if member.name.is("properties") => {
                let mut members = tree.members(member.value).to_vec();
                members.sort_unstable_by_key(|member| member.value);
                out.push(b'{');
                write_members(tree, &members, left_out, out)?;
            }
            _ => write(tree, member.value, left_out, out)?,
        }
    }
    out.push(OBJECT_END);
    Some(())
}

fn write_text(text: Text<'_>, out: &mut Vec<u8>) -> Option<()> {
    match text.escaped {
        false => out.extend_from_slice(text.content.as_bytes()),
        true => unescape(text.content, out)?,
    }
    out.push(TEXT_END);
    Some(())
}

/// Whether two numbers of JSON are equal.
pub(super) fn is_same_number(one: &str, other: &str) -> bool {
    let (one, other) = (decimal(one), decimal(other));
    one.is_some() && one == other
}

fn write_number(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let Decimal { negative, whole, fraction, exponent } = decimal(text)?;
    out.push(b'#');
    if negative {
        out.push(b'-');
    }
    out.extend_from_slice(whole.as_bytes());
    out.extend_from_slice(fraction.as_bytes());
    out.push(b'e');
    out.extend_from_slice(&exponent.to_le_bytes());
    Some(())
}

/// A number: the digits of `whole` and then of `fraction`, times ten to the power of `exponent`.
struct Decimal<'b> {
    negative: bool,
    whole: &'b str,
    fraction: &'b str,
    exponent: i32,
}

impl PartialEq for Decimal<'_> {
    fn eq(&self, other: &Self) -> bool {
        let digits = |it: &Self| {
            it.whole.bytes().chain(it.fraction.bytes()).eq(other.whole.bytes().chain(other.fraction.bytes()))
        };
        self.negative == other.negative && self.exponent == other.exponent && digits(self)
    }
}

/// The number that JSON writes so, without zeros at either end of its digits. Never rounded; `None` if the exponent
/// does not fit.
fn decimal(text: &str) -> Option<Decimal<'_>> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let mut exponent = exponent.parse::<i64>().ok()?.checked_sub(fraction.len() as i64)?;
    let mut whole = whole.trim_start_matches('0');
    let mut digits = fraction;
    if whole.is_empty() {
        digits = fraction.trim_start_matches('0');
    }
    if digits.is_empty() {
        let trimmed = whole.trim_end_matches('0');
        exponent = exponent.checked_add((whole.len() - trimmed.len()) as i64)?;
        whole = trimmed;
    }
    if whole.is_empty() && digits.is_empty() {
        return Some(Decimal { negative: false, whole: "0", fraction: "", exponent: 0 });
    }
    Some(Decimal { negative, whole, fraction: digits, exponent: i32::try_from(exponent).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        write_number(text, &mut out).map(|()| out)
    }

    #[test]
    fn numbers_are_told_apart_by_their_value() {
        let equal: &[&[&str]] = &[
            &["0", "-0", "0.0", "0e5", "-0.00e-3", "0e99999999"],
            &["1", "1.0", "1e0", "10e-1", "0.1e1", "0.01E+2", "100e-2", "1.000"],
            &["-1", "-1.0", "-10e-1"],
            &["0.7", "7e-1", "0.70", "70e-2"],
            &["1000", "1e3", "1E+3", "10e2", "1.0e3"],
            &["1001", "1001.0", "1.001e3"],
            &["9007199254740993", "9007199254740993.0"],
            &["9007199254740992"],
            &["123456789012345678901234567890", "1.2345678901234567890123456789e29"],
            &["123456789012345678901234567891"],
            &["0.1"],
            &["0.1000000000000000055"],
            &["10.01", "1001e-2"],
            &["1e400"],
            &["1e401"],
        ];
        for (index, same) in equal.iter().enumerate() {
            for (other_index, others) in equal.iter().enumerate() {
                for (one, other) in same.iter().flat_map(|one| others.iter().map(move |other| (one, other))) {
                    let expected = index == other_index;
                    assert_eq!(number(one) == number(other), expected, "{one} {other}");
                    assert_eq!(is_same_number(one, other), expected, "{one} {other}");
                }
            }
        }
        for beyond in [
            "1e99999999999",
            "1e-99999999999999999999",
            "1e2147483648",
            "1.5e-9223372036854775808",
            "10e9223372036854775807",
        ] {
            assert_eq!(number(beyond), None, "{beyond}");
        }
    }
}
