//! Parts of points in time, as a calendar and a clock show them somewhere, and lengths of time in units.

use jiff::tz::TimeZone;

use super::{Implementation, Table, mismatch};
use crate::error::ErrorKind;
use crate::time::{Local, zone};
use crate::value::Value;

pub(super) const FUNCTIONS: Table = &[
    ("timestamp.getFullYear() -> int", YEAR),
    ("timestamp.getFullYear(string) -> int", YEAR),
    ("timestamp.getMonth() -> int", MONTH),
    ("timestamp.getMonth(string) -> int", MONTH),
    ("timestamp.getDayOfYear() -> int", DAY_OF_YEAR),
    ("timestamp.getDayOfYear(string) -> int", DAY_OF_YEAR),
    ("timestamp.getDayOfMonth() -> int", DAY_OF_MONTH),
    ("timestamp.getDayOfMonth(string) -> int", DAY_OF_MONTH),
    ("timestamp.getDate() -> int", DATE),
    ("timestamp.getDate(string) -> int", DATE),
    ("timestamp.getDayOfWeek() -> int", DAY_OF_WEEK),
    ("timestamp.getDayOfWeek(string) -> int", DAY_OF_WEEK),
    ("timestamp.getHours() -> int", HOURS),
    ("timestamp.getHours(string) -> int", HOURS),
    ("timestamp.getMinutes() -> int", MINUTES),
    ("timestamp.getMinutes(string) -> int", MINUTES),
    ("timestamp.getSeconds() -> int", SECONDS),
    ("timestamp.getSeconds(string) -> int", SECONDS),
    ("timestamp.getMilliseconds() -> int", MILLISECONDS),
    ("timestamp.getMilliseconds(string) -> int", MILLISECONDS),
    ("duration.getHours() -> int", |_, arguments| whole(arguments, 3_600_000_000_000)),
    ("duration.getMinutes() -> int", |_, arguments| whole(arguments, 60_000_000_000)),
    ("duration.getSeconds() -> int", |_, arguments| whole(arguments, 1_000_000_000)),
    // Those of the second, unlike hours, minutes and seconds.
    ("duration.getMilliseconds() -> int", |_, arguments| match arguments {
        [Value::Duration(length)] => Ok(Value::Int(length.nanoseconds() % 1_000_000_000 / 1_000_000)),
        _ => Err(mismatch(arguments)),
    }),
];

const YEAR: Implementation = |_, arguments| Ok(Value::Int(local(arguments)?.year));
/// January is 0.
const MONTH: Implementation = |_, arguments| Ok(Value::Int(i64::from(local(arguments)?.date.month()) - 1));
/// From 0.
const DAY_OF_YEAR: Implementation =
    |_, arguments| Ok(Value::Int(i64::from(local(arguments)?.date.day_of_year()) - 1));
/// From 0.
const DAY_OF_MONTH: Implementation =
    |_, arguments| Ok(Value::Int(i64::from(local(arguments)?.date.day()) - 1));
/// From 1.
const DATE: Implementation = |_, arguments| Ok(Value::Int(i64::from(local(arguments)?.date.day())));
/// Sunday is 0.
const DAY_OF_WEEK: Implementation =
    |_, arguments| Ok(Value::Int(i64::from(local(arguments)?.date.weekday().to_sunday_zero_offset())));
const HOURS: Implementation = |_, arguments| Ok(Value::Int(i64::from(local(arguments)?.time.hour())));
const MINUTES: Implementation = |_, arguments| Ok(Value::Int(i64::from(local(arguments)?.time.minute())));
const SECONDS: Implementation = |_, arguments| Ok(Value::Int(i64::from(local(arguments)?.time.second())));
const MILLISECONDS: Implementation =
    |_, arguments| Ok(Value::Int(i64::from(local(arguments)?.time.millisecond())));

/// What calendar and clock show at a time, in the zone that is asked for or in UTC.
fn local(arguments: &[Value<'_>]) -> Result<Local, ErrorKind> {
    match arguments {
        [Value::Timestamp(time)] => Ok(time.at(&TimeZone::UTC)),
        [Value::Timestamp(time), Value::String(name)] => zone(name).map(|zone| time.at(&zone)).ok_or(NO_ZONE),
        _ => Err(mismatch(arguments)),
    }
}

const NO_ZONE: ErrorKind =
    ErrorKind::Invalid("this text is not a time zone, as Europe/Berlin, UTC and -02:30 are");

/// How many units of so many nanoseconds a length of time has, rounded towards 0.
fn whole<'a>(arguments: &[Value<'a>], unit: i64) -> Result<Value<'a>, ErrorKind> {
    match arguments {
        [Value::Duration(length)] => Ok(Value::Int(length.nanoseconds() / unit)),
        _ => Err(mismatch(arguments)),
    }
}
