//! Points in time and lengths of time, as CEL has them: the years 1 to 9999, and 292 years, in nanoseconds.

use std::fmt;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp as Instant};

/// A point in time from the year 1 to the year 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Since 1970, rounded down.
    seconds: i64,
    /// Of the second.
    nanoseconds: i32,
}

/// A length of time in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(i64);

/// What calendars and clocks show somewhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Local {
    pub(crate) year: i64,
    /// Of a year that has the same days.
    pub(crate) date: Date,
    pub(crate) time: Time,
}

const FIRST_SECOND: i64 = -62_135_596_800;
const LAST_SECOND: i64 = 253_402_300_799;
const SECOND: i64 = 1_000_000_000;
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
/// After so many years the calendar repeats, days of the week included.
const CYCLE_YEARS: i64 = 400;
const CYCLE_SECONDS: i64 = 146_097 * 86_400;
/// Hours that the time of a place may differ from UTC.
const MAXIMUM_OFFSET_HOURS: i64 = 14;

impl Timestamp {
    /// From seconds since 1970, rounded down, and nanoseconds of the second; `None` outside of the years 1 to 9999.
    pub fn from_unix(seconds: i64, nanoseconds: i32) -> Option<Self> {
        let fits = (FIRST_SECOND..=LAST_SECOND).contains(&seconds);
        (fits && (0..SECOND as i32).contains(&nanoseconds)).then_some(Self { seconds, nanoseconds })
    }

    /// Reads the format of RFC 3339, as `2026-11-21T09:30:00.5+01:00`. What is finer than a nanosecond is dropped.
    pub fn parse(text: &str) -> Option<Self> {
        let punctuation = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        if !punctuation.iter().all(|(at, wanted)| text.as_bytes().get(*at) == Some(wanted)) {
            return None;
        }
        let pair = |from: usize| i8::try_from(digits(text.get(from..from + 2)?)?).ok();
        let year = i16::try_from(digits(text.get(..4)?)?).ok()?;
        let date = Date::new(year, pair(5)?, pair(8)?).ok()?;
        let time = Time::new(pair(11)?, pair(14)?, pair(17)?, 0).ok()?;
        let rest = text.get(19..)?;
        let (fraction, offset) = match rest.strip_prefix('.') {
            Some(rest) => rest.split_at_checked(rest.find(|character: char| !character.is_ascii_digit())?)?,
            None => ("0", rest),
        };
        let kept = fraction.get(..fraction.len().min(9))?;
        let nanoseconds = digits(kept)? * 10_i64.pow(9 - kept.len() as u32);
        let offset = if offset == "Z" { 0 } else { numeric_offset(offset, 23)? };
        let local = date.to_datetime(time).duration_since(EPOCH).as_secs();
        Self::from_unix(local - offset, nanoseconds as i32)
    }

    /// Whole seconds since 1970, rounded down.
    pub fn unix_seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds since 1970.
    pub fn unix_nanoseconds(self) -> i128 {
        i128::from(self.seconds) * i128::from(SECOND) + i128::from(self.nanoseconds)
    }

    pub(crate) fn checked_add(self, length: Duration) -> Option<Self> {
        let nanoseconds = i64::from(self.nanoseconds) + length.0.rem_euclid(SECOND);
        let seconds = self.seconds + length.0.div_euclid(SECOND) + nanoseconds / SECOND;
        Self::from_unix(seconds, (nanoseconds % SECOND) as i32)
    }

    /// How much later it is than another.
    pub(crate) fn since(self, other: Self) -> Option<Duration> {
        let seconds = i128::from(self.seconds - other.seconds);
        let total = seconds * i128::from(SECOND) + i128::from(self.nanoseconds - other.nanoseconds);
        i64::try_from(total).ok().map(Duration)
    }

    /// What calendar and clock of a zone show.
    pub(crate) fn at(self, zone: &TimeZone) -> Local {
        // The zones of `jiff` end some hours before the year 9999 does.
        let instant = Instant::new(self.seconds, 0).unwrap_or(Instant::MAX);
        let seconds = self.seconds + i64::from(zone.to_offset(instant).seconds());
        // Its calendar ends with the year 9999, after which it can be the next year already where this is asked for.
        let since = SignedDuration::new(seconds - CYCLE_SECONDS, self.nanoseconds);
        let shown = EPOCH.saturating_add(since);
        Local { year: i64::from(shown.year()) + CYCLE_YEARS, date: shown.date(), time: shown.time() }
    }
}

/// The time zone of a name (`Europe/Berlin`, `UTC`) or of an offset (`-02:30`, `02:00`).
pub(crate) fn zone(name: &str) -> Option<TimeZone> {
    if name.contains(':') {
        let seconds = numeric_offset(name, MAXIMUM_OFFSET_HOURS)?;
        return Offset::from_seconds(seconds as i32).ok().map(TimeZone::fixed);
    }
    if name.is_empty() {
        return Some(TimeZone::UTC);
    }
    // NOTE: the database keeps what it has read; a name that was asked for before takes 0.1 µs.
    let zone = jiff::tz::db().get(name).ok()?;
    // It does not mind the case of letters, which the reference implementation does.
    (!zone.is_unknown() && zone.iana_name() == Some(name)).then_some(zone)
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
        let Local { year, date, time } = self.at(&TimeZone::UTC);
        write!(formatter, "{year:04}-{:02}-{:02}T", date.month(), date.day())?;
        write!(formatter, "{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())?;
        write_fraction(formatter, self.nanoseconds.unsigned_abs())?;
        formatter.write_str("Z")
    }
}

impl fmt::Display for Duration {
    /// In seconds, as `-1.5s`, with as many digits as it takes.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(formatter, "{sign}{}", (self.0 / SECOND).unsigned_abs())?;
        write_fraction(formatter, (self.0 % SECOND).unsigned_abs() as u32)?;
        formatter.write_str("s")
    }
}

/// Nanoseconds of a second behind a point, if there are any.
fn write_fraction(formatter: &mut fmt::Formatter<'_>, nanoseconds: u32) -> fmt::Result {
    if nanoseconds == 0 {
        return Ok(());
    }
    write!(formatter, ".{}", format!("{nanoseconds:09}").trim_end_matches('0'))
}

/// Seconds that `±HH:MM` is ahead of UTC. The sign may be left out.
fn numeric_offset(text: &str, maximum_hours: i64) -> Option<i64> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (hours, minutes) =
        unsigned.split_once(':').filter(|(hours, minutes)| hours.len() == 2 && minutes.len() == 2)?;
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    (hours <= maximum_hours && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

/// A number written in digits alone.
fn digits(text: &str) -> Option<i64> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
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
