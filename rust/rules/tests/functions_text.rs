//! Functions on text: the extension `strings`, `format`, and regular expressions.
#![allow(clippy::unwrap_used, reason = "tests")]

use edgeroute_rules::{Environment, Expression, Type, Value};

/// A text that only the request has, so that nothing is computed before it is evaluated.
const TEXT: &str = "naïve ☺ text";

struct Request;

impl edgeroute_rules::Source for Request {
    fn attribute(&self, _: &edgeroute_rules::Attribute) -> Option<Value<'_>> {
        Some(Value::from(TEXT))
    }
}

/// What an expression comes to: `Err` holds a part of the sentence that says why it has no value.
type Expected<'e> = Result<Value<'e>, &'e str>;

fn check(cases: &[(&str, Expected<'_>)]) {
    let environment = Environment::new().declare("text", Type::String);
    for (source, expected) in cases {
        let expression = Expression::compile_unchecked(&environment, source).unwrap();
        match (expression.evaluate(&Request), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(&found, expected, "{source}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{source}: {error}"),
            (found, expected) => panic!("{source}: {found:?}, expected {expected:?}"),
        }
    }
}

fn text(text: &str) -> Expected<'_> {
    Ok(text.into())
}

fn int<'e>(number: i64) -> Expected<'e> {
    Ok(number.into())
}

fn bool<'e>(truth: bool) -> Expected<'e> {
    Ok(truth.into())
}

fn texts<'e>(parts: &[&'e str]) -> Expected<'e> {
    Ok(Value::list(parts.iter().map(|part| Value::from(*part)).collect::<Vec<_>>()))
}

#[test]
fn positions_count_code_points() {
    check(&[
        ("text.charAt(0)", text("n")),
        ("text.charAt(2)", text("ï")),
        ("text.charAt(11)", text("t")),
        ("text.charAt(12)", text("")),
        ("text.charAt(13)", Err("no such position")),
        ("text.charAt(-1)", Err("no such position")),
        ("text.charAt(9223372036854775807)", Err("no such position")),
        ("text.indexOf('☺')", int(6)),
        ("text.indexOf('e')", int(4)),
        ("text.indexOf('e', 5)", int(9)),
        ("text.indexOf('e', 12)", int(-1)),
        ("text.indexOf('', 12)", int(12)),
        ("text.indexOf('', 13)", Err("no such position")),
        ("text.indexOf('e', -1)", Err("no such position")),
        ("text.indexOf('none')", int(-1)),
        ("''.indexOf('')", int(0)),
        ("''.indexOf('a', 1)", Err("no such position")),
        ("text.lastIndexOf('t')", int(11)),
        ("text.lastIndexOf('t', 10)", int(8)),
        ("text.lastIndexOf('ïve', 3)", int(2)),
        ("text.lastIndexOf('ïve', 2)", int(2)),
        ("text.lastIndexOf('ïve', 1)", int(-1)),
        ("text.lastIndexOf('')", int(12)),
        ("text.lastIndexOf('', 3)", int(3)),
        ("text.lastIndexOf('t', 12)", int(11)),
        ("text.lastIndexOf('t', 13)", Err("no such position")),
        ("text.lastIndexOf('t', -1)", Err("no such position")),
        ("''.lastIndexOf('@')", int(-1)),
        ("'tacocat'.lastIndexOf('tacocats', 0)", int(-1)),
        ("text.substring(6)", text("☺ text")),
        ("text.substring(12)", text("")),
        ("text.substring(13)", Err("no such position")),
        ("text.substring(-1)", Err("no such position")),
        ("text.substring(2, 7)", text("ïve ☺")),
        ("text.substring(3, 3)", text("")),
        ("text.substring(0, 13)", Err("no such position")),
        ("text.substring(4, 3)", Err("end before it starts")),
        ("text.reverse()", text("txet ☺ evïan")),
    ]);
}

#[test]
fn texts_are_changed_split_and_joined() {
    check(&[
        ("'TacoCÆt'.lowerAscii()", text("tacocÆt")),
        ("'tacocæt'.upperAscii()", text("TACOCæT")),
        ("'hello hello'.replace('he', 'we')", text("wello wello")),
        ("'hello hello'.replace('he', 'we', -1)", text("wello wello")),
        ("'hello hello'.replace('he', 'we', 1)", text("wello hello")),
        ("'hello hello'.replace('he', 'we', 0)", text("hello hello")),
        ("'añb'.replace('', '_')", text("_a_ñ_b_")),
        ("'añb'.replace('', '_', 2)", text("_a_ñb")),
        ("''.replace('', '_')", text("_")),
        ("'hello'.replace('l', '')", text("heo")),
        ("'a,b,c'.split(',')", texts(&["a", "b", "c"])),
        ("'a,b,c'.split(',', 0)", texts(&[])),
        ("'a,b,c'.split(',', 1)", texts(&["a,b,c"])),
        ("'a,b,c'.split(',', 2)", texts(&["a", "b,c"])),
        ("'a,b,c'.split(',', 9)", texts(&["a", "b", "c"])),
        ("'a,b,c'.split(',', -1)", texts(&["a", "b", "c"])),
        ("',a,'.split(',')", texts(&["", "a", ""])),
        ("'añb'.split('')", texts(&["a", "ñ", "b"])),
        ("'añb'.split('', 2)", texts(&["a", "ñb"])),
        ("'añb'.split('', 1)", texts(&["añb"])),
        ("''.split('')", texts(&[])),
        ("''.split(',')", texts(&[""])),
        ("text.split(' ')", texts(&["naïve", "☺", "text"])),
        ("['a', 'b'].join()", text("ab")),
        ("['a', 'b'].join(', ')", text("a, b")),
        ("[].join('-')", text("")),
        ("['a', 1].join('-')", Err("int")),
        ("['a'].join(1)", Err("not defined")),
        ("' \\t\\u00a0a b\\u200b\\n'.trim()", text("a b\u{200b}")),
        ("' \\u3000 '.trim()", text("")),
        (r#"strings.quote('a "b" \\ \n\a\v ☺')"#, text(r#""a \"b\" \\ \n\a\v ☺""#)),
        ("strings.quote('')", text(r#""""#)),
        ("1.charAt(0)", Err("not defined")),
        ("'a'.charAt('b')", Err("not defined")),
    ]);
}

#[test]
fn templates_are_filled() {
    check(&[
        ("'%s %%'.format([text])", text("naïve ☺ text %")),
        ("'%%%s%%'.format(['a'])", text("%a%")),
        ("'one'.format([1, 2])", text("one")),
        ("'%s'.format([1e300]).size()", int(301)),
        ("'%s %s %s'.format([1e21, 1e-7, -0.0])", text("1000000000000000000000 0.0000001 -0")),
        ("'%s %s %s'.format([100.0, 0.1, 3.14])", text("100 0.1 3.14")),
        ("'%d %d %d %d'.format([1, 2u, 3.5, -9223372036854775808])", text("1 2 3.5 -9223372036854775808")),
        ("'%d %d'.format([1.0 / 0.0, -1.0 / 0.0])", text("Infinity -Infinity")),
        ("'%f %.2f %.0f %f'.format([2.71828, 0.125, 2.5, 2u])", text("2.718280 0.12 2 2.000000")),
        ("'%.20f'.format([0.1])", text("0.10000000000000000555")),
        ("'%.1000f'.format([0.1]).size()", int(1002)),
        ("'%.1001f'.format([0.1])", Err("precision")),
        ("'%.99999999999999999999f'.format([0.1])", Err("precision")),
        ("'%.f'.format([0.1])", Err("precision")),
        ("'%.2'.format([0.1])", Err("ends after")),
        ("'%.3s %.3d'.format(['abcdef', 5])", text("abcdef 5")),
        (
            "'%e %.0e %.1e %e'.format([1052.032911275, 25, -3.14e-100, 0])",
            text("1.052033e+03 2e+01 -3.1e-100 0.000000e+00"),
        ),
        ("'%e %f'.format([0.0 / 0.0, -1.0 / 0.0])", text("NaN -Infinity")),
        ("'%b %b %b %b'.format([5, -5, 5u, true])", text("101 -101 101 1")),
        ("'%o %o %o'.format([8, -8, 8u])", text("10 -10 10")),
        ("'%x %X %x %X'.format([255, -255, 'é', b'\\x0f'])", text("ff -FF c3a9 0F")),
        ("'%x'.format([-9223372036854775808])", text("-8000000000000000")),
        ("'%s %s'.format([null, true])", text("null true")),
        (
            "'%s %s %s'.format([type(1), type(null), type(timestamp(0))])",
            text("int null_type google.protobuf.Timestamp"),
        ),
        ("'%s %s'.format([duration('1h45m47s'), duration('-1.5s')])", text("6347s -1.5s")),
        ("'%s'.format([timestamp('2023-02-03T23:31:20.120+01:00')])", text("2023-02-03T22:31:20.12Z")),
        ("'%s'.format([b'a\\xff\\xfeb\\xc3'])", text("a\u{fffd}b\u{fffd}")),
        ("'%s'.format([[1, 'a', [null, []], {}]])", text("[1, a, [null, []], {}]")),
        (
            "'%s'.format([{10: 1, 9: 2, true: 3, 'a b': {'x': b'y'}}])",
            text("{10: 1, 9: 2, a b: {x: y}, true: 3}"),
        ),
        ("'%'.format([1])", Err("ends after")),
        ("'%é'.format([1])", Err("clause other than")),
        ("'%E'.format([1])", Err("clause other than")),
        ("'%5d'.format([1])", Err("clause other than")),
        ("'%s %s'.format([1])", Err("more values")),
        ("'%s'.format([])", Err("more values")),
        ("'%s'.format([optional.of(1)])", Err("%s takes no")),
        ("'%d'.format([true])", Err("%d takes numbers only")),
        ("'%d'.format(['1'])", Err("%d takes numbers only")),
        ("'%f'.format(['1'])", Err("%f takes numbers only")),
        ("'%e'.format([null])", Err("%e takes numbers only")),
        ("'%b'.format([1.0])", Err("%b takes")),
        ("'%o'.format([true])", Err("%o takes")),
        ("'%x'.format([0.5])", Err("%x takes")),
    ]);
}

#[test]
fn what_grows_is_bounded() {
    let grown = |times: usize, last: &str| format!("text{}{last}", ".replace('', text)".repeat(times));
    let cases = [
        (grown(4, ".size() > 300000"), bool(true)),
        (grown(5, ""), Err("too large")),
        (grown(4, ".split('').size() > 300000"), bool(true)),
        (grown(4, ".split('').join(text)"), Err("too large")),
        (format!("[{0}.size(), {0}.size()]", grown(4, ".split('')")), Err("more work")),
        (format!("'%s%s%s'.format([{0}, {0}, {0}])", grown(4, "")), Err("too large")),
        (format!("'%x%x'.format([{0}, {0}])", grown(4, "")), Err("too large")),
        (grown(3, ".split(' ').all(part, [text].all(one, 'text %x'.format([part]).size() > 0))"), bool(true)),
    ];
    for (source, expected) in cases {
        check(&[(&source, expected)]);
    }
}
