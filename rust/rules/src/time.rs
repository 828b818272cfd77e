//! Points in time and lengths of time, as CEL has them: the years 1 to 9999, and 292 years, in nanoseconds.

use std::fmt;

use jiff::{SignedDuration, Timestamp as Instant};

/// A point in time from the year 1 to the year 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(Instant);

/// A length of time in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(i64);

const FIRST_SECOND: i64 = -62_135_596_800;
const LAST_SECOND: i64 = 253_402_300_799;

impl Timestamp {
    /// A point in time, if CEL has it.
    pub fn new(instant: Instant) -> Option<Self> {
        let seconds = instant.as_nanosecond().div_euclid(1_000_000_000);
        (i128::from(FIRST_SECOND)..=i128::from(LAST_SECOND)).contains(&seconds).then_some(Self(instant))
    }

    /// From seconds since 1970, and nanoseconds of the second.
    pub fn from_unix(seconds: i64, nanoseconds: i32) -> Option<Self> {
        Instant::new(seconds, nanoseconds).ok().and_then(Self::new)
    }

    /// Reads the format of RFC 3339.
    pub fn parse(text: &str) -> Option<Self> {
        // What the format demands and jiff does not: a T, seconds, and an offset.
        let bytes = text.as_bytes();
        let punctuated = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        if !punctuated.iter().all(|(at, wanted)| bytes.get(*at) == Some(wanted)) {
            return None;
        }
        text.parse().ok().and_then(Self::new)
    }

    /// Whole seconds since 1970, rounded down.
    pub fn unix_seconds(self) -> i64 {
        self.0.as_nanosecond().div_euclid(1_000_000_000) as i64
    }

    /// Nanoseconds since 1970.
    pub fn unix_nanoseconds(self) -> i128 {
        self.0.as_nanosecond()
    }

    pub(crate) fn checked_add(self, length: Duration) -> Option<Self> {
        self.0.checked_add(SignedDuration::from_nanos(length.0)).ok().and_then(Self::new)
    }

    /// How much later it is than another.
    pub(crate) fn since(self, other: Self) -> Option<Duration> {
        i64::try_from(self.0.as_nanosecond() - other.0.as_nanosecond()).ok().map(Duration)
    }
}

impl Duration {
    /// So many nanoseconds.
    pub fn from_nanoseconds(nanoseconds: i64) -> Self {
        Self(nanoseconds)
    }

    /// Reads a sum of numbers with units (h, m, s, ms, us, µs, ns), as `-1h30m` or `1.5s`.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if rest == "0" {
            return Some(Self(0));
        }
        if rest.is_empty() {
            return None;
        }
        let mut total = 0_i128;
        while !rest.is_empty() {
            let digits = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
            let (number, after) = rest.split_at_checked(digits)?;
            let unit = after.find(|character: char| character.is_ascii_digit() || character == '.');
            let (unit, after) = after.split_at_checked(unit.unwrap_or(after.len()))?;
            total = total.checked_add(nanoseconds_of(number, unit)?)?;
            rest = after;
        }
        let total = if negative { -total } else { total };
        i64::try_from(total).ok().map(Self)
    }

    /// In nanoseconds.
    pub fn nanoseconds(self) -> i64 {
        self.0
    }

    pub(crate) fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    pub(crate) fn checked_neg(self) -> Option<Self> {
        self.0.checked_neg().map(Self)
    }
}

impl fmt::Display for Timestamp {
    /// The format of RFC 3339, in UTC, with as many digits of the second as it takes.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Display for Duration {
    /// In seconds, as `-1.5s`, with as many digits as it takes.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (seconds, rest) = (self.0.unsigned_abs() / 1_000_000_000, self.0.unsigned_abs() % 1_000_000_000);
        if rest == 0 {
            return write!(formatter, "{sign}{seconds}s");
        }
        let digits = format!("{rest:09}");
        write!(formatter, "{sign}{seconds}.{}s", digits.trim_end_matches('0'))
    }
}

/// A decimal number of a unit. What is finer than a nanosecond is dropped.
fn nanoseconds_of(number: &str, unit: &str) -> Option<i128> {
    let scale: i128 = match unit {
        "h" => 3_600_000_000_000,
        "m" => 60_000_000_000,
        "s" => 1_000_000_000,
        "ms" => 1_000_000,
        "us" | "µs" | "μs" => 1_000,
        "ns" => 1,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || whole.len() > 20 {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let kept = fraction.get(..fraction.len().min(18))?;
    let part: i128 = if kept.is_empty() { 0 } else { kept.parse().ok()? };
    whole.checked_mul(scale)?.checked_add(part * scale / 10_i128.pow(kept.len() as u32))
}
