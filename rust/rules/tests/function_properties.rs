//! Functions of the library against naive twins.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use edgeroute_rules::{Cidr, Duration, Environment, Expression, Timestamp, Value};
use jiff::tz::TimeZone;
use proptest::prelude::*;

fn value(source: &str) -> Value<'static> {
    Expression::compile_unchecked(&Environment::new(), source).unwrap().evaluate(&()).unwrap()
}

fn elements(source: &str) -> Vec<Value<'static>> {
    let Value::List(elements) = value(source) else { panic!("{source} is no list") };
    elements.to_vec()
}

/// Values that are often equal to one another and seldom the same.
fn literal() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        (-2..3_i64).prop_map(|number| number.to_string()),
        (0..3_u64).prop_map(|number| format!("{number}u")),
        (-2..3_i64).prop_map(|number| format!("{number}.0")),
        (0..4_i64).prop_map(|more| (9_007_199_254_740_992 + more).to_string()),
        (0..4_u64).prop_map(|more| format!("{}u", 9_007_199_254_740_992 + more)),
        Just("9007199254740992.0".to_owned()),
        Just("0.0 / 0.0".to_owned()),
        prop::sample::select(vec!["-0.0", "true", "null", "'1'", "b'1'", "''", "int", "duration('1s')"])
            .prop_map(str::to_owned),
    ];
    scalar.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|inner| format!("[{}]", inner.join(", "))),
            inner.clone().prop_map(|inner| format!("{{1: {inner}, '1': {inner}}}")),
            inner.prop_map(|inner| format!("optional.of({inner})")),
        ]
    })
}

fn list() -> impl Strategy<Value = String> {
    prop::collection::vec(literal(), 0..20).prop_map(|elements| format!("dyn([{}])", elements.join(", ")))
}

fn has(elements: &[Value<'_>], wanted: &Value<'_>) -> bool {
    elements.iter().any(|element| element.equals(wanted))
}

fn contains(all: &[Value<'_>], part: &[Value<'_>]) -> bool {
    part.iter().all(|element| has(all, element))
}

proptest! {
    #[test]
    fn distinct_keeps_the_first_of_equal_elements(list in list()) {
        let mut kept: Vec<Value<'static>> = Vec::new();
        for element in elements(&list) {
            if !has(&kept, &element) {
                kept.push(element);
            }
        }
        let found = elements(&format!("{list}.distinct()"));
        prop_assert_eq!(format!("{found:?}"), format!("{kept:?}"));
    }

    #[test]
    fn sets_are_what_comparing_each_with_each_says(left in list(), right in list()) {
        let (a, b) = (elements(&left), elements(&right));
        for (function, expected) in [
            ("contains", contains(&a, &b)),
            ("equivalent", contains(&a, &b) && contains(&b, &a)),
            ("intersects", b.iter().any(|element| has(&a, element))),
        ] {
            prop_assert_eq!(value(&format!("sets.{function}({left}, {right})")), Value::Bool(expected));
        }
    }

    #[test]
    fn clocks_and_calendars_are_those_of_jiff(
        seconds in -62_135_596_800..253_400_000_000_i64,
        nanoseconds in 0..1_000_000_000_i32,
        zone in prop::sample::select(vec!["Europe/Berlin", "America/St_Johns", "Pacific/Apia", "UTC"]),
    ) {
        let there = jiff::Timestamp::new(seconds, nanoseconds).unwrap().to_zoned(TimeZone::get(zone).unwrap());
        let written = Timestamp::from_unix(seconds, nanoseconds).unwrap().to_string();
        for (function, expected) in [
            ("getFullYear", i64::from(there.year())),
            ("getMonth", i64::from(there.month()) - 1),
            ("getDayOfYear", i64::from(there.day_of_year()) - 1),
            ("getDayOfMonth", i64::from(there.day()) - 1),
            ("getDate", i64::from(there.day())),
            ("getDayOfWeek", i64::from(there.weekday().to_sunday_zero_offset())),
            ("getHours", i64::from(there.hour())),
            ("getMinutes", i64::from(there.minute())),
            ("getSeconds", i64::from(there.second())),
            ("getMilliseconds", i64::from(there.millisecond())),
        ] {
            prop_assert_eq!(value(&format!("timestamp('{written}').{function}('{zone}')")), Value::Int(expected));
        }
    }

    #[test]
    fn what_is_written_of_times_is_read(
        seconds in -62_135_596_800..253_402_300_800_i64,
        nanoseconds in 0..1_000_000_000_i32,
        length in any::<i64>(),
    ) {
        let time = Timestamp::from_unix(seconds, nanoseconds).unwrap();
        prop_assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
        prop_assert_eq!(Timestamp::parse(&time.to_string().replace('Z', "+00:00")), Some(time));
        let length = Duration::from_nanoseconds(length);
        prop_assert_eq!(Duration::parse(&length.to_string()), Some(length));
    }

    #[test]
    fn timestamps_are_read_as_jiff_reads_them(
        (year, month, day) in (0..9_999_u16, 0..15_u8, 0..33_u8),
        (hour, minute, second) in (0..26_u8, 0..62_u8, 0..62_u8),
        rest in "(\\.[0-9]{0,9})?(Z|[+-](0[0-9]|1[0-9]|2[0-4]):[0-6][0-9])?",
    ) {
        let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{rest}");
        let ours = Timestamp::parse(&text).map(Timestamp::unix_seconds);
        // It has no leap seconds, and no offsets of 24 hours and more.
        let refused = second == 60 || rest.contains("+24") || rest.contains("-24");
        let read = text.parse::<jiff::Timestamp>().ok().filter(|_| !refused);
        let theirs = read.map(|time| time.as_nanosecond().div_euclid(1_000_000_000) as i64);
        let in_range = theirs.filter(|seconds| *seconds >= -62_135_596_800);
        prop_assert_eq!(ours, in_range, "{}", text);
    }

    #[test]
    fn networks_contain_what_has_their_first_bits(
        bits in any::<u128>(),
        flips in 0..128_u32,
        prefix in 0..=128_u8,
        short in any::<bool>(),
    ) {
        let other = bits ^ (1 << flips);
        let (width, address, other): (u32, IpAddr, IpAddr) = match short {
            true => (32, Ipv4Addr::from_bits(bits as u32).into(), Ipv4Addr::from_bits(other as u32).into()),
            false => (128, Ipv6Addr::from_bits(bits).into(), Ipv6Addr::from_bits(other).into()),
        };
        let Some(network) = Cidr::new(address, prefix) else {
            prop_assert!(u32::from(prefix) > width);
            return Ok(());
        };
        prop_assert!(network.contains(address) && network.masked().contains(address));
        let differs_within = flips < width && width - 1 - flips < u32::from(prefix);
        prop_assert_eq!(network.contains(other), !differs_within);
        prop_assert_eq!(network.masked().contains(other), !differs_within);
    }

    #[test]
    fn bytes_come_back_from_base64(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let literal: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        let back = value(&format!("base64.decode(base64.encode(b'{literal}'))"));
        prop_assert_eq!(back, Value::from(&bytes[..]));
    }
}
