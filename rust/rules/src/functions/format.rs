//! Text made from a template: `string.format(list)`.

use super::conversions::two_digit_exponent;
use super::strings::Writer;
use super::{Table, mismatch};
use crate::budget::ELEMENT;
use crate::error::ErrorKind;
use crate::value::Value;

pub(super) const FUNCTIONS: Table = &[("string.format(list(A)) -> string", |budget, arguments| {
    let [Value::String(template), Value::List(values)] = arguments else { return Err(mismatch(arguments)) };
    let mut output = Writer::new(budget);
    let mut values = values.iter();
    let mut rest: &str = template;
    while let Some((plain, clause)) = rest.split_once('%') {
        output.push(plain)?;
        if let Some(after) = clause.strip_prefix('%') {
            output.push("%")?;
            rest = after;
            continue;
        }
        let (precision, after) = precision(clause)?;
        let mut characters = after.chars();
        let conversion = characters.next().ok_or(UNFINISHED)?;
        let value = values.next().ok_or(TOO_FEW)?;
        convert(&mut output, conversion, precision, value)?;
        rest = characters.as_str();
    }
    output.push(rest)?;
    Ok(output.finish())
})];

/// Digits after the point where the template does not say.
const PRECISION: usize = 6;
const MAXIMUM_PRECISION: usize = 1000;

const UNFINISHED: ErrorKind =
    ErrorKind::Invalid("the template ends after a %, which is written %% for itself");
const TOO_FEW: ErrorKind = ErrorKind::Invalid("the template asks for more values than there are");
const NO_PRECISION: ErrorKind =
    ErrorKind::Invalid("the template has a precision that is not a number of at most 1000");
const UNKNOWN: ErrorKind =
    ErrorKind::Invalid("the template has a clause other than %s, %d, %f, %e, %x, %X, %o, %b and %%");
const NO_TEXT: ErrorKind = ErrorKind::Invalid("%s takes no optionals, addresses and networks");
const NO_DECIMAL: ErrorKind = ErrorKind::Invalid("%d takes numbers only");
const NO_FIXED: ErrorKind = ErrorKind::Invalid("%f takes numbers only");
const NO_SCIENTIFIC: ErrorKind = ErrorKind::Invalid("%e takes numbers only");
const NO_BINARY: ErrorKind = ErrorKind::Invalid("%b takes ints, uints and bools only");
const NO_OCTAL: ErrorKind = ErrorKind::Invalid("%o takes ints and uints only");
const NO_HEXADECIMAL: ErrorKind = ErrorKind::Invalid("%x takes ints, uints, strings and bytes only");

/// The precision at the start of a clause, and what follows it.
fn precision(clause: &str) -> Result<(usize, &str), ErrorKind> {
    let Some(written) = clause.strip_prefix('.') else { return Ok((PRECISION, clause)) };
    let digits = written.find(|character: char| !character.is_ascii_digit()).ok_or(UNFINISHED)?;
    let (digits, after) = written.split_at_checked(digits).ok_or(NO_PRECISION)?;
    let number = digits.parse().ok().filter(|number| *number <= MAXIMUM_PRECISION);
    Ok((number.ok_or(NO_PRECISION)?, after))
}

fn convert(
    output: &mut Writer<'_>,
    conversion: char,
    precision: usize,
    value: &Value<'_>,
) -> Result<(), ErrorKind> {
    match conversion {
        's' => write(output, value),
        'd' => match value {
            Value::Int(_) | Value::Uint(_) | Value::Double(_) => write(output, value),
            _ => Err(NO_DECIMAL),
        },
        'f' => {
            let number = number(value).ok_or(NO_FIXED)?;
            output.push(&finite(number, |number| format!("{number:.precision$}")))
        }
        'e' => {
            let number = number(value).ok_or(NO_SCIENTIFIC)?;
            output.push(&finite(number, |number| two_digit_exponent(format!("{number:.precision$e}"))))
        }
        'b' => {
            let (sign, digits) = match value {
                Value::Bool(truth) => ("", u64::from(*truth)),
                _ => integer(value).ok_or(NO_BINARY)?,
            };
            output.push(&format!("{sign}{digits:b}"))
        }
        'o' => {
            let (sign, digits) = integer(value).ok_or(NO_OCTAL)?;
            output.push(&format!("{sign}{digits:o}"))
        }
        'x' | 'X' => match value {
            Value::String(text) => bytes(output, text.as_bytes(), conversion == 'X'),
            Value::Bytes(content) => bytes(output, content, conversion == 'X'),
            _ => {
                let (sign, digits) = integer(value).ok_or(NO_HEXADECIMAL)?;
                let text =
                    if conversion == 'X' { format!("{sign}{digits:X}") } else { format!("{sign}{digits:x}") };
                output.push(&text)
            }
        },
        _ => Err(UNKNOWN),
    }
}

/// Sign and magnitude.
fn integer(value: &Value<'_>) -> Option<(&'static str, u64)> {
    match value {
        Value::Int(number) => Some((if *number < 0 { "-" } else { "" }, number.unsigned_abs())),
        Value::Uint(number) => Some(("", *number)),
        _ => None,
    }
}

fn number(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Uint(number) => Some(*number as f64),
        Value::Double(number) => Some(*number),
        _ => None,
    }
}

/// A number as `written`, if it is one.
fn finite(number: f64, written: impl FnOnce(f64) -> String) -> String {
    if number.is_nan() {
        "NaN".into()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity" } else { "-Infinity" }.into()
    } else {
        written(number)
    }
}

/// Two digits for each byte.
fn bytes(output: &mut Writer<'_>, content: &[u8], upper: bool) -> Result<(), ErrorKind> {
    content
        .iter()
        .try_for_each(|byte| output.push(&if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }))
}

/// A value as `%s` has it.
fn write(output: &mut Writer<'_>, value: &Value<'_>) -> Result<(), ErrorKind> {
    match value {
        Value::Null => output.push("null"),
        Value::Bool(truth) => output.push(if *truth { "true" } else { "false" }),
        Value::Int(number) => output.push(&number.to_string()),
        Value::Uint(number) => output.push(&number.to_string()),
        Value::Double(number) => output.push(&finite(*number, |number| number.to_string())),
        Value::String(text) => output.push(text),
        Value::Bytes(content) => readable(output, content),
        Value::Timestamp(time) => output.push(&time.to_string()),
        Value::Duration(length) => {
            let (seconds, rest) = (length.nanoseconds() / NANOSECONDS, length.nanoseconds() % NANOSECONDS);
            output.push(&format!("{}s", seconds as f64 + rest as f64 / NANOSECONDS as f64))
        }
        Value::Type(kind) => output.push(kind.type_name()),
        Value::List(elements) => {
            output.push("[")?;
            for (index, element) in elements.iter().enumerate() {
                output.push(if index > 0 { ", " } else { "" })?;
                write(output, element)?;
            }
            output.push("]")
        }
        Value::Map(entries) => map(output, entries),
        Value::Optional(_) | Value::Ip(_) | Value::Cidr(_) => Err(NO_TEXT),
    }
}

const NANOSECONDS: i64 = 1_000_000_000;

/// The text that bytes encode. A run of bytes that encode none becomes one replacement character.
fn readable(output: &mut Writer<'_>, content: &[u8]) -> Result<(), ErrorKind> {
    let mut replaced = false;
    for chunk in content.utf8_chunks() {
        replaced &= chunk.valid().is_empty();
        output.push(chunk.valid())?;
        if !replaced && !chunk.invalid().is_empty() {
            output.push("\u{fffd}")?;
            replaced = true;
        }
    }
    Ok(())
}

/// The entries in the order of their keys as they are written.
fn map(output: &mut Writer<'_>, entries: &[(Value<'_>, Value<'_>)]) -> Result<(), ErrorKind> {
    let mut written = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        output.budget.spend(ELEMENT)?;
        let mut text = Writer::new(output.budget);
        write(&mut text, key)?;
        written.push((text.into_text(), value));
    }
    written.sort_by(|(left, _), (right, _)| left.cmp(right));
    output.push("{")?;
    for (index, (key, value)) in written.iter().enumerate() {
        output.push(if index > 0 { ", " } else { "" })?;
        output.push(key)?;
        output.push(": ")?;
        write(output, value)?;
    }
    output.push("}")
}
