//! What the functions of the library come to: `(expression, expected)`, where expected is an expression of the same
//! value and type, or the error.
#![allow(clippy::unwrap_used, reason = "tests")]

use edgeroute_rules::{Attribute, Environment, Expression, Source, Type, Value};

/// What both modes come to; checking may refuse what would fail when it is evaluated.
fn check(table: &[(&str, &str)]) {
    for (source, expected) in table {
        let unchecked = Expression::compile_unchecked(&Environment::new(), source).unwrap();
        let found = unchecked.evaluate(&()).map_err(|error| error.to_string());
        match expected.strip_prefix("error: ") {
            Some(error) => assert_eq!(found, Err(error.to_owned()), "{source}"),
            None => assert_eq!(found.map(|found| shown(&found)), Ok(shown(&value(expected))), "{source}"),
        }
        if let Ok(checked) = Expression::compile(&Environment::new(), source) {
            let found = checked.evaluate(&()).map_err(|error| error.to_string());
            let plain = unchecked.evaluate(&()).map_err(|error| error.to_string());
            assert_eq!(found.map(|found| shown(&found)), plain.map(|plain| shown(&plain)), "{source}");
        } else {
            assert!(expected.starts_with("error: "), "{source} is refused");
        }
    }
}

fn value(source: &str) -> Value<'static> {
    Expression::compile_unchecked(&Environment::new(), source).unwrap().evaluate(&()).unwrap()
}

/// So that not-a-number is like itself, and 0.0 unlike -0.0.
fn shown(value: &Value<'_>) -> String {
    format!("{value:?}")
}

/// The types that checking finds, or that it refuses the expression.
fn types(table: &[(&str, &str)]) {
    for (source, expected) in table {
        let found = Expression::compile(&Environment::new(), source);
        let found = found.map_or("refused".into(), |expression| expression.result_type().to_string());
        assert_eq!(found, *expected, "{source}");
    }
}

#[test]
fn calendars_and_clocks() {
    const TIME: &str = "timestamp('2009-02-13T23:31:30.123456789Z')";
    for (function, utc, zone, there) in [
        ("getFullYear", 2009, "Europe/Berlin", 2009),
        ("getMonth", 1, "Pacific/Apia", 1),
        ("getDayOfYear", 43, "Australia/Sydney", 44),
        ("getDayOfMonth", 12, "+11:00", 13),
        ("getDate", 13, "America/St_Johns", 13),
        ("getDayOfWeek", 5, "Asia/Tokyo", 6),
        ("getHours", 23, "02:00", 1),
        ("getMinutes", 31, "Asia/Kathmandu", 16),
        ("getSeconds", 30, "-02:30", 30),
        ("getMilliseconds", 123, "UTC", 123),
    ] {
        check(&[
            (&format!("{TIME}.{function}()"), &utc.to_string()),
            (&format!("{TIME}.{function}('UTC')"), &utc.to_string()),
            (&format!("{TIME}.{function}('{zone}')"), &there.to_string()),
        ]);
    }
}

#[test]
fn time_zones() {
    const NO_ZONE: &str = "error: this text is not a time zone, as Europe/Berlin, UTC and -02:30 are";
    check(&[
        // Summer time begins at 01:00 UTC.
        ("timestamp('2026-03-29T00:59:59Z').getHours('Europe/Berlin')", "1"),
        ("timestamp('2026-03-29T01:00:00Z').getHours('Europe/Berlin')", "3"),
        ("timestamp('2009-02-13T23:31:30Z').getHours('')", "23"),
        ("timestamp('2009-02-13T23:31:30Z').getHours('EST')", "18"),
        ("timestamp('2009-02-13T23:31:30Z').getHours('+14:00')", "13"),
        ("timestamp('2009-02-13T23:31:30Z').getHours('europe/berlin')", NO_ZONE),
        ("timestamp('2009-02-13T23:31:30Z').getHours('utc')", NO_ZONE),
        ("timestamp('2009-02-13T23:31:30Z').getHours('Etc/Unknown')", NO_ZONE),
        ("timestamp('2009-02-13T23:31:30Z').getHours('Local')", NO_ZONE),
        ("timestamp('2009-02-13T23:31:30Z').getHours('Europe/Berlin/../Paris')", NO_ZONE),
        ("timestamp('2009-02-13T23:31:30Z').getHours('+2:00')", NO_ZONE),
        ("timestamp('2009-02-13T23:31:30Z').getHours('+02:60')", NO_ZONE),
        ("timestamp('2009-02-13T23:31:30Z').getHours('+15:00')", NO_ZONE),
        ("timestamp('2009-02-13T23:31:30Z').getHours('--1:00')", NO_ZONE),
        ("timestamp('2009-02-13T23:31:30Z').getHours(':')", NO_ZONE),
        // The ends of time.
        ("timestamp('9999-12-31T23:59:59Z').getFullYear('+14:00')", "10000"),
        ("timestamp('9999-12-31T23:59:59Z').getFullYear('Pacific/Kiritimati')", "10000"),
        ("timestamp('9999-12-31T23:59:59.999Z').getMilliseconds()", "999"),
        ("timestamp('0001-01-01T00:00:00Z').getFullYear('-14:00')", "0"),
        ("timestamp('0001-01-01T00:00:00Z').getDayOfWeek()", "1"),
    ]);
    types(&[
        ("timestamp('2009-02-13T23:31:30Z').getHours(1)", "refused"),
        ("duration('1s').getHours('UTC')", "refused"),
        ("duration('1s').getFullYear()", "refused"),
    ]);
}

#[test]
fn units_of_durations() {
    check(&[
        ("duration('-90m').getHours()", "-1"),
        ("duration('3730s').getMinutes()", "62"),
        ("duration('-1500ms').getSeconds()", "-1"),
        ("duration('-1500ms').getMilliseconds()", "-500"),
        ("duration('123.321456789s').getMilliseconds()", "321"),
    ]);
}

#[test]
fn timestamps_are_read_and_written() {
    const NONE: &str =
        "error: this text is not a timestamp of the years 1 to 9999, as 2026-11-21T09:30:00Z is";
    for (text, written) in [
        ("2009-02-13T23:31:30Z", "2009-02-13T23:31:30Z"),
        ("2009-02-13T23:31:30.120Z", "2009-02-13T23:31:30.12Z"),
        ("2009-02-13T23:31:30.0Z", "2009-02-13T23:31:30Z"),
        ("2009-02-13T23:31:30.1234567899Z", "2009-02-13T23:31:30.123456789Z"),
        ("2009-02-13T23:31:30+23:59", "2009-02-12T23:32:30Z"),
        ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.5Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("0000-12-31T23:30:00-01:00", "0001-01-01T00:30:00Z"),
        ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"),
        ("2024-02-29T00:00:00-00:00", "2024-02-29T00:00:00Z"),
    ] {
        check(&[(&format!("string(timestamp('{text}'))"), &format!("'{written}'"))]);
    }
    for text in [
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "2009-02-13t23:31:30Z",
        "2009-02-13T23:31:30z",
        "2009-02-13T23:31:60Z",
        "2009-02-13T24:00:00Z",
        "2009-02-13T23:31:30",
        "2009-02-13T23:31:30.Z",
        "2009-02-13T23:31:30,5Z",
        "2009-02-13T23:31:30+25:00",
        "2009-02-13T23:31:30Z ",
        "2009-02-13T23:31Z",
        "2009-02-30T23:31:30Z",
        "2009-02-13 23:31:30Z",
        "2009-02-13T23:31:30Z[UTC]",
        "+009-02-13T23:31:30Z",
        "2009-02-13Tä3:31:30Z",
        "",
    ] {
        check(&[(&format!("timestamp('{text}')"), NONE)]);
    }
    check(&[
        ("int(timestamp('1969-12-31T23:59:59.5Z'))", "-1"),
        ("timestamp(-62135596800)", "timestamp('0001-01-01T00:00:00Z')"),
        ("timestamp('1969-12-31T23:59:59.5Z') + duration('1500ms')", "timestamp('1970-01-01T00:00:01Z')"),
        ("timestamp('1970-01-01T00:00:01Z') - duration('1.5s')", "timestamp('1969-12-31T23:59:59.5Z')"),
        ("timestamp('1970-01-01T00:00:01Z') - timestamp('1969-12-31T23:59:59.5Z')", "duration('1.5s')"),
    ]);
}

#[test]
fn addresses() {
    const NO_ADDRESS: &str = "error: this text is not an address, as 192.0.2.1 and 2001:db8::1 are";
    for (text, family, properties) in [
        ("192.168.0.1", 4, "isGlobalUnicast"),
        ("127.9.8.7", 4, "isLoopback"),
        ("0.0.0.0", 4, "isUnspecified"),
        ("255.255.255.255", 4, ""),
        ("224.0.0.1", 4, "isLinkLocalMulticast"),
        ("224.0.1.1", 4, ""),
        ("169.254.169.254", 4, "isLinkLocalUnicast"),
        ("2001:db8::68", 6, "isGlobalUnicast"),
        ("fd80::1", 6, "isGlobalUnicast"),
        ("::1", 6, "isLoopback"),
        ("::", 6, "isUnspecified"),
        ("ff02::1", 6, "isLinkLocalMulticast"),
        ("ff12::1", 6, "isLinkLocalMulticast"),
        ("ff00::1", 6, ""),
        ("fe80::1", 6, "isLinkLocalUnicast"),
        ("febf::1", 6, "isLinkLocalUnicast"),
        ("fec0::1", 6, "isGlobalUnicast"),
    ] {
        check(&[(&format!("ip('{text}').family()"), &family.to_string())]);
        check(&[(&format!("string(ip('{text}'))"), &format!("'{text}'"))]);
        for property in
            ["isUnspecified", "isLoopback", "isGlobalUnicast", "isLinkLocalMulticast", "isLinkLocalUnicast"]
        {
            check(&[(&format!("ip('{text}').{property}()"), &(property == properties).to_string())]);
        }
    }
    for text in [
        "",
        "192.168.0",
        "192.168.0.1.0",
        "192.168.0.01",
        "192.168.0.256",
        "192.168.0.1 ",
        "192.168.0.1/24",
        "::ffff:192.168.0.1",
        "fe80::1%en0",
        ":::1",
        "1::2::3",
        "1:2:3:4:5:6:7:8:9",
        "12345::",
        "[::1]",
    ] {
        check(&[
            (&format!("isIP('{text}')"), "false"),
            (&format!("ip('{text}')"), NO_ADDRESS),
            (&format!("ip.isCanonical('{text}')"), NO_ADDRESS),
        ]);
    }
    check(&[
        ("type(ip('1.2.3.4')) == net.IP", "true"),
        ("ip('2001:db8::1') == ip('2001:DB8:0::1')", "true"),
        ("ip('::ffff:c0a8:1') == ip('192.168.0.1')", "true"),
        ("ip('::1') == ip('127.0.0.1')", "false"),
        ("ip('127.0.0.1') in [ip('::1'), ip('127.0.0.1')]", "true"),
        ("string(ip('2001:0db8:0:0:1:0:0:1'))", "'2001:db8::1:0:0:1'"),
        ("ip.isCanonical('127.0.0.1')", "true"),
        ("ip.isCanonical('2001:db8::68')", "true"),
        ("ip.isCanonical('2001:DB8::68')", "false"),
        ("ip.isCanonical('2001:db8:0:0:0:0:0:1')", "false"),
    ]);
    types(&[
        ("ip('1.2.3.4')", "net.IP"),
        ("ip(1)", "refused"),
        ("isIP(cidr('192.168.0.0/24'))", "refused"),
        ("ip('1.2.3.4') < ip('1.2.3.5')", "refused"),
        ("cidr('192.168.0.0/24').containsIP(1)", "refused"),
    ]);
}

#[test]
fn networks() {
    const NO_NETWORK: &str = "error: this text is not a network, as 192.0.2.0/24 and 2001:db8::/32 are";
    for text in [
        "",
        "192.168.0.0",
        "192.168.0.0/",
        "192.168.0.0/33",
        "192.168.0.0/-1",
        "192.168.0.0/+8",
        "192.168.0.0/08",
        "192.168.0.0/8/8",
        "192.168.0.0/255.255.255.0",
        "2001:db8::/129",
        "fe80::1%en0/24",
        "::ffff:192.168.0.1/24",
        "::ffff:c0a8:1/120",
    ] {
        check(&[(&format!("isCIDR('{text}')"), "false"), (&format!("cidr('{text}')"), NO_NETWORK)]);
    }
    check(&[
        ("type(cidr('192.168.0.0/24')) == net.CIDR", "true"),
        ("isCIDR('10.0.0.0/8')", "true"),
        ("string(cidr('192.168.0.1/24'))", "'192.168.0.1/24'"),
        ("cidr('192.168.0.1/24') == cidr('192.168.0.0/24')", "false"),
        ("cidr('192.168.0.1/24').masked() == cidr('192.168.0.0/24')", "true"),
        ("cidr('192.168.0.1/24').ip() == ip('192.168.0.1')", "true"),
        ("cidr('2001:db8::/32').prefixLength()", "32"),
        ("cidr('192.168.0.0/24').containsIP(ip('192.168.0.255'))", "true"),
        ("cidr('192.168.0.0/24').containsIP('192.168.1.0')", "false"),
        (
            "cidr('192.168.0.0/24').containsIP('text')",
            "error: this text is not an address, as 192.0.2.1 and 2001:db8::1 are",
        ),
        ("cidr('0.0.0.0/0').containsIP('255.255.255.255')", "true"),
        ("cidr('0.0.0.0/0').containsIP('::1')", "false"),
        ("cidr('::/0').containsIP('10.0.0.1')", "false"),
        ("cidr('192.168.0.0/24').containsCIDR('192.168.0.7/25')", "true"),
        ("cidr('192.168.0.0/24').containsCIDR(cidr('192.168.0.0/24'))", "true"),
        ("cidr('192.168.0.0/24').containsCIDR('192.168.0.0/23')", "false"),
        ("cidr('0.0.0.0/0').containsCIDR('::/0')", "false"),
        ("cidr('10.0.0.0/8').containsCIDR('10')", NO_NETWORK),
    ]);
}

#[test]
fn the_greatest_and_the_least() {
    const EMPTY: &str = "error: an empty list has no greatest and no least number";
    check(&[
        ("math.greatest(5)", "5"),
        ("math.greatest([5])", "5"),
        ("math.greatest(-3, 3u)", "3u"),
        ("math.greatest(1, 1.0)", "1"),
        ("math.greatest(1.0, 1, 1u)", "1.0"),
        ("math.greatest(18446744073709551615u, 9223372036854775807, 1.5)", "18446744073709551615u"),
        ("math.greatest(-9223372036854775808, 0u)", "0u"),
        ("math.greatest(dyn(['a', 1].filter(x, x == 1)))", "1"),
        ("math.least(5u, -7, 2.5)", "-7"),
        ("math.least([5.4, 10, 3u, -5.0])", "-5.0"),
        // What is not a number is on neither side.
        ("math.greatest(1, 0.0 / 0.0)", "1"),
        ("math.least(0.0 / 0.0, 1)", "0.0 / 0.0"),
        ("math.greatest([])", EMPTY),
        ("math.least(dyn([]))", EMPTY),
        ("math.greatest('a')", "error: this is not defined for string"),
        ("math.greatest(1, 'a')", "error: this is not defined for string"),
        ("math.greatest([dyn('a')])", "error: this is not defined for string"),
        ("math.least([1, null])", "error: this is not defined for null"),
        ("math.least([[1]])", "error: this is not defined for list"),
    ]);
    types(&[
        ("math.greatest(1)", "int"),
        ("math.greatest(1u, 2u)", "uint"),
        ("math.least(1.0, 2.0, 3.0)", "double"),
        ("math.least([1, 2])", "int"),
        ("math.greatest(1, 2.0)", "dyn"),
        ("math.greatest(dyn(1))", "dyn"),
        ("math.greatest(1, 2.0) == 2", "bool"),
        ("math.greatest()", "refused"),
        ("math.greatest('a')", "refused"),
        ("math.greatest('a', 'b')", "refused"),
    ]);
}

#[test]
fn numbers_are_rounded_and_asked() {
    check(&[
        ("math.ceil(-1.2)", "-1.0"),
        ("math.floor(-1.2)", "-2.0"),
        ("math.round(2.5)", "3.0"),
        ("math.round(-1.5)", "-2.0"),
        ("math.round(0.49999999999999994)", "0.0"),
        ("math.trunc(-1.9)", "-1.0"),
        ("math.isNaN(math.round(0.0 / 0.0))", "true"),
        ("math.isInf(math.trunc(-1.0 / 0.0))", "true"),
        ("math.isFinite(1.5) && !math.isFinite(1.0 / 0.0) && !math.isFinite(0.0 / 0.0)", "true"),
        ("math.ceil(dyn(1))", "error: this is not defined for int"),
        ("math.isNaN(dyn('1'))", "error: this is not defined for string"),
        ("math.sqrt(9)", "3.0"),
        ("math.sqrt(9u)", "3.0"),
        ("math.sqrt(2.25)", "1.5"),
        ("math.isNaN(math.sqrt(-1))", "true"),
        ("math.abs(-11)", "11"),
        ("math.abs(11u)", "11u"),
        ("math.abs(-11.5)", "11.5"),
        ("math.abs(-9223372036854775808)", "error: the result does not fit an integer of 64 bits"),
        ("math.sign(-11)", "-1"),
        ("math.sign(11u)", "1u"),
        ("math.sign(-0.1)", "-1.0"),
        ("math.sign(-0.0)", "0.0"),
        ("math.isNaN(math.sign(0.0 / 0.0))", "true"),
        ("math.sign(dyn(true))", "error: this is not defined for bool"),
    ]);
}

#[test]
fn bits() {
    const NEGATIVE: &str = "error: bits cannot be shifted by a negative number";
    check(&[
        ("math.bitAnd(-1, 6)", "6"),
        ("math.bitAnd(3u, 6u)", "2u"),
        ("math.bitOr(4, -2)", "-2"),
        ("math.bitXor(4, -2)", "-6"),
        ("math.bitXor(1u, 3u)", "2u"),
        ("math.bitNot(0)", "-1"),
        ("math.bitNot(0u)", "18446744073709551615u"),
        ("math.bitAnd(2u, dyn(''))", "error: this is not defined for uint and string"),
        ("math.bitAnd(2u, dyn(2))", "error: this is not defined for uint and int"),
        ("math.bitShiftLeft(1, 63)", "-9223372036854775808"),
        ("math.bitShiftLeft(1, 64)", "0"),
        ("math.bitShiftLeft(-1, 200)", "0"),
        ("math.bitShiftLeft(1u, 9223372036854775807)", "0u"),
        ("math.bitShiftLeft(1u, -1)", NEGATIVE),
        ("math.bitShiftRight(-1024, 3)", "2305843009213693824"),
        ("math.bitShiftRight(-1, 0)", "-1"),
        ("math.bitShiftRight(-1024, 64)", "0"),
        ("math.bitShiftRight(1024u, 2)", "256u"),
        ("math.bitShiftRight(1, -9223372036854775808)", NEGATIVE),
    ]);
    types(&[("math.bitShiftLeft(1u, 1)", "uint"), ("math.bitShiftLeft(1, 1u)", "refused")]);
}

#[test]
fn lists() {
    const NO_PART: &str = "error: the list has no such part";
    check(&[
        ("[1, 2].first()", "optional.of(1)"),
        ("[1, 2].last()", "optional.of(2)"),
        ("[].first()", "optional.none()"),
        ("[].last()", "optional.none()"),
        ("[1, 2, 3, 4].slice(1, 3)", "[2, 3]"),
        ("[1, 2, 3, 4].slice(4, 4)", "[]"),
        ("[].slice(0, 0)", "[]"),
        ("[1, 2, 3, 4].slice(3, 2)", NO_PART),
        ("[1, 2, 3, 4].slice(-1, 2)", NO_PART),
        ("[1, 2, 3, 4].slice(1, 5)", NO_PART),
        ("[1, 2, 3, 4].slice(1, -1)", NO_PART),
        ("[5, 3, 1, 2].reverse()", "[2, 1, 3, 5]"),
        ("[].reverse()", "[]"),
        ("[1, [2, 3], [4]].flatten()", "[1, 2, 3, 4]"),
        ("[1, [2, [3, 4]]].flatten()", "[1, 2, [3, 4]]"),
        ("[1, 2, [], [], [3, 4]].flatten()", "[1, 2, 3, 4]"),
        ("[1, [2, [3, [4]]]].flatten(2)", "[1, 2, 3, [4]]"),
        ("[1, [2, [3, [4]]]].flatten(9)", "[1, 2, 3, 4]"),
        ("[[1]].flatten(0)", "[[1]]"),
        ("[1, 2].flatten(1)", "[1, 2]"),
        ("dyn([1, 2]).flatten()", "[1, 2]"),
        ("[[[]], [[], []]].flatten(2)", "[]"),
        ("[[1]].flatten(-1)", "error: the number of levels cannot be negative"),
        ("lists.range(3)", "[0, 1, 2]"),
        ("lists.range(0)", "[]"),
        ("lists.range(-1)", "error: a list cannot have a negative size"),
        ("lists.range(9223372036854775807)", "error: this text or list grows too large"),
    ]);
    types(&[
        ("[1].first()", "optional_type(int)"),
        ("['a'].slice(0, 1)", "list(string)"),
        ("[[1]].flatten()", "list(int)"),
        ("[[[1]]].flatten()", "list(list(int))"),
        ("[1, [2]].flatten()", "list(dyn)"),
        ("[[[1]]].flatten(2)", "list(dyn)"),
        ("[1].flatten()", "refused"),
        ("lists.range(2)", "list(int)"),
        ("[1].sort()", "list(int)"),
        ("['a'].distinct()", "list(string)"),
        ("dyn([1]).sort()", "dyn"),
        ("[[1]].sort()", "refused"),
    ]);
}

#[test]
fn sorted_lists() {
    check(&[
        ("[3, 2, 1].sort()", "[1, 2, 3]"),
        ("['b', 'c', 'a'].sort()", "['a', 'b', 'c']"),
        ("[b'b', b'a'].sort()", "[b'a', b'b']"),
        ("[true, false].sort()", "[false, true]"),
        ("[2u, 1u].sort()", "[1u, 2u]"),
        ("[duration('2s'), duration('1s')].sort()", "[duration('1s'), duration('2s')]"),
        ("[timestamp(2), timestamp(1)].sort()", "[timestamp(1), timestamp(2)]"),
        ("[].sort()", "[]"),
        ("[dyn('one')].sort()", "['one']"),
        ("[0.0 / 0.0, 2.0, 0.0 / 0.0, 1.0].sort()", "[1.0, 2.0, 0.0 / 0.0, 0.0 / 0.0]"),
        // Numbers in all orders around what is not a number: a sort without a total order would be found out.
        ("lists.range(200).map(i, i % 3 == 0 ? 0.0 / 0.0 : double(i * 37 % 101)).sort()[0]", "0.0"),
        ("[1, 'b'].sort()", "error: this is not defined for int and string"),
        ("[1, 1.0].sort()", "error: this is not defined for int and double"),
        ("dyn([[1, 2]]).sort()", "error: this is not defined for list and list"),
        ("['ccc', 'a', 'bb', 'd'].sortBy(x, x.size())", "['a', 'd', 'bb', 'ccc']"),
    ]);
}

#[test]
fn distinct_lists() {
    check(&[
        ("[1, 2, 2, 3, 3, 3].distinct()", "[1, 2, 3]"),
        ("['b', 'b', 'c', 'a', 'c'].distinct()", "['b', 'c', 'a']"),
        ("[1, 'b', 2, 'b'].distinct()", "[1, 'b', 2]"),
        ("[1, 1u, 1.0, true, '1', b'1', null, null].distinct()", "[1, true, '1', b'1', null]"),
        ("[0.0, -0.0, 0].distinct()", "[0.0]"),
        ("[0.0 / 0.0, 0.0 / 0.0].distinct().size()", "2"),
        ("[[1], [1.0], [1, 1]].distinct()", "[[1], [1, 1]]"),
        ("[{1: 2u}, {1u: 2.0}, {1: 3}].distinct()", "[{1: 2u}, {1: 3}]"),
        (
            "[optional.of(1), optional.of(1.0), optional.none(), optional.none()].distinct()",
            "[optional.of(1), optional.none()]",
        ),
        (
            "[ip('::1'), ip('0::1'), cidr('::/8'), cidr('::/8'), int, uint, int].distinct()",
            "[ip('::1'), cidr('::/8'), int, uint]",
        ),
        (
            "[timestamp(0), timestamp('1970-01-01T00:00:00Z'), duration('1s'), duration('1000ms')].distinct()",
            "[timestamp(0), duration('1s')]",
        ),
        ("[].distinct()", "[]"),
        ("lists.range(5000).distinct().size()", "5000"),
    ]);
}

#[test]
fn sets() {
    for (left, right, contains, equivalent, intersects) in [
        ("[]", "[]", true, true, false),
        ("[]", "[1]", false, false, false),
        ("[1]", "[]", true, false, false),
        ("[1]", "[1, 1]", true, true, true),
        ("[1, 2, 3, 4]", "[2, 3]", true, false, true),
        ("[1]", "[1u, 1.0]", true, true, true),
        ("[1, 2]", "[2u, 3]", false, false, true),
        ("['a']", "['b']", false, false, false),
        ("[[1], [2, 3]]", "[[2, 3.0]]", true, false, true),
        ("[0.0 / 0.0]", "[0.0 / 0.0]", false, false, false),
    ] {
        let (left, right) = (format!("dyn({left})"), format!("dyn({right})"));
        check(&[
            (&format!("sets.contains({left}, {right})"), &contains.to_string()),
            (&format!("sets.equivalent({left}, {right})"), &equivalent.to_string()),
            (&format!("sets.intersects({left}, {right})"), &intersects.to_string()),
        ]);
    }
    types(&[
        ("sets.contains([1], [2])", "bool"),
        ("sets.contains([1], [1, 'a'])", "bool"),
        ("sets.contains([1], ['a'])", "refused"),
        ("sets.contains([1], 1)", "refused"),
    ]);
}

/// `contains` of sets is not that of text.
#[test]
fn sets_of_the_request() {
    struct Request;

    impl Source for Request {
        fn attribute(&self, _: &Attribute) -> Option<Value<'_>> {
            Some(Value::list(vec!["eu".into(), "beta".into()]))
        }
    }

    let environment = Environment::new().declare("tags", Type::list(Type::String));
    for (source, expected) in [
        ("sets.contains(tags, ['eu'])", true),
        ("sets.contains(tags, ['eu', 'us'])", false),
        ("sets.intersects(tags, ['eu', 'us'])", true),
        ("tags.last().orValue('') == 'beta'", true),
    ] {
        let expression = Expression::compile(&environment, source).unwrap();
        assert_eq!(expression.evaluate(&Request), Ok(Value::Bool(expected)), "{source}");
    }
}

#[test]
fn optionals() {
    const ZERO: &str = "error: an integer cannot be divided by zero";
    check(&[
        ("optional.of(1).orValue(1 / 0)", "1"),
        ("optional.none().orValue(1 / 0)", ZERO),
        ("optional.of(1).or(optional.of(1 / 0))", "optional.of(1)"),
        ("optional.none().or(optional.of(1 / 0))", ZERO),
        ("optional.none().or(optional.of(2)).value()", "2"),
        ("dyn(1).orValue(2)", "error: this is not defined for int and int"),
        ("dyn(optional.none()).or(dyn(2))", "error: this is not defined for optional and int"),
        (
            "[timestamp(0), duration('0s'), 0.0, {}, null].exists(x, optional.ofNonZeroValue(x).hasValue())",
            "false",
        ),
        ("optional.ofNonZeroValue(optional.none()).hasValue()", "true"),
        ("optional.unwrap([optional.of(1), optional.none(), optional.of(2)])", "[1, 2]"),
    ]);
    types(&[("optional.of(1).or(2)", "refused"), ("optional.of(1).orValue('a')", "refused")]);
}

#[test]
fn base64() {
    const NO_BASE64: &str = "error: this text is not Base64";
    check(&[
        ("base64.encode(b'hello')", "'aGVsbG8='"),
        ("base64.encode(b'')", "''"),
        ("base64.encode(b'\\377\\357')", "'/+8='"),
        ("base64.decode('aGVsbG8=')", "b'hello'"),
        ("base64.decode('aGVsbG8')", "b'hello'"),
        ("base64.decode('aGVsbG9=')", "b'hello'"),
        ("base64.decode('aGVs\\r\\nbG8=')", "b'hello'"),
        ("base64.decode('')", "b''"),
        ("base64.decode('A')", NO_BASE64),
        ("base64.decode('aGVsbG8==')", NO_BASE64),
        ("base64.decode('aGVs=bG8')", NO_BASE64),
        ("base64.decode('wg=')", NO_BASE64),
        ("base64.decode('_-8=')", NO_BASE64),
        ("base64.decode('aGVsbGö=')", NO_BASE64),
        ("base64.encode(dyn('hello'))", "error: this is not defined for string"),
    ]);
    types(&[("base64.encode('hello')", "refused"), ("base64.decode('')", "bytes")]);
}

/// Work that grows with what lists and texts hold is counted.
#[test]
fn too_much_work_is_refused() {
    const WORK: &str = "error: this takes more work than an evaluation may";
    // Half a mebibyte of text, in the list `b`.
    let texts = |of: &str| {
        let grown = |name: &str, from: &str| format!("cel.bind({name}, {}, ", [from; 32].join(" + "));
        let text = format!("{}{}{}", grown("x", "'0123456789abcdef'"), grown("y", "x"), grown("a", "y"));
        format!("{text} cel.bind(b, [{}], {of}))))", ["a"; 40].join(", "))
    };
    check(&[
        (&texts("b.size()"), "40"),
        (&texts("b.sort().size()"), WORK),
        (&texts("lists.range(40).sortBy(i, b[i]).size()"), WORK),
        (&texts("b.distinct().size()"), WORK),
        (&texts("sets.contains(b, [])"), WORK),
        (&texts("sets.contains(b.slice(0, 8), b)"), WORK),
        (&texts("b.map(text, base64.encode(bytes(text)))"), WORK),
        ("lists.range(300000).distinct().size()", WORK),
        ("cel.bind(a, lists.range(300000), [[a, a], [a, a]].flatten(2))", WORK),
        // Neighbours from 2^53 on are one double, so they are told apart one by one.
        ("lists.range(2000).map(i, 9223372036854770000 - i).distinct().size()", "2000"),
    ]);
}
