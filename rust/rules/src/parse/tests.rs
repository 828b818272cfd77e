//! How expressions are read, shown as s-expressions, and what is said about those that cannot be.

use super::*;
use crate::ast::Comprehension;

fn show(expression: &Expression) -> String {
    let all = |expressions: &[Expression]| {
        expressions.iter().map(|one| format!(" {}", show(one))).collect::<String>()
    };
    match &expression.kind {
        ExpressionKind::Literal(value) => show_literal(value),
        ExpressionKind::List(elements) => {
            let element = |one: &Element| format!(" {}{}", optional_sign(one.optional), show(&one.value));
            format!("(list{})", elements.iter().map(element).collect::<String>())
        }
        ExpressionKind::Map(entries) => {
            let entry = |one: &Entry| {
                format!(" {}{}:{}", optional_sign(one.optional), show(&one.key), show(&one.value))
            };
            format!("(map{})", entries.iter().map(entry).collect::<String>())
        }
        ExpressionKind::Variable { name, absolute } => format!("{}{name}", if *absolute { "." } else { "" }),
        ExpressionKind::Select { operand, field, optional } => {
            format!("(.{} {} {field})", optional_sign(*optional), show(operand))
        }
        ExpressionKind::Has { operand, field } => format!("(has {} {field})", show(operand)),
        ExpressionKind::Index { operand, key, optional } => {
            format!("([{}] {} {})", optional_sign(*optional), show(operand), show(key))
        }
        ExpressionKind::Call { function, target, arguments } => {
            let target = target.as_ref().map_or(String::new(), |target| format!(" {} .", show(target)));
            format!("({function}{target}{})", all(arguments))
        }
        ExpressionKind::Unary { operator, operand } => format!("({} {})", operator.symbol(), show(operand)),
        ExpressionKind::Binary { operator, left, right } => {
            format!("({} {} {})", operator.symbol(), show(left), show(right))
        }
        ExpressionKind::Logic { operator, terms } => format!("({}{})", operator.symbol(), all(terms)),
        ExpressionKind::Sum(terms) => format!("(+{})", all(terms)),
        ExpressionKind::Conditional { condition, yes, no } => {
            format!("(? {} {} {})", show(condition), show(yes), show(no))
        }
        ExpressionKind::Comprehension(comprehension) => {
            let Comprehension { fold, range, variables, filter, body } = &**comprehension;
            let filter = filter.as_ref().map_or(String::new(), |filter| format!(" if {}", show(filter)));
            format!("({fold:?} {} {}{filter} {})", show(range), variables.join(" "), show(body))
        }
        ExpressionKind::Bind { variable, value, body } => {
            format!("(bind {variable} {} {})", show(value), show(body))
        }
        ExpressionKind::OptionalMap { operand, variable, body, flat } => {
            let name = if *flat { "optFlatMap" } else { "optMap" };
            format!("({name} {} {variable} {})", show(operand), show(body))
        }
    }
}

fn optional_sign(optional: bool) -> &'static str {
    if optional { "?" } else { "" }
}

fn show_literal(value: &Value<'_>) -> String {
    match value {
        Value::Int(number) => number.to_string(),
        Value::Uint(number) => format!("{number}u"),
        Value::Double(number) => format!("{number:?}"),
        Value::String(text) => format!("{:?}", &**text),
        Value::Bytes(bytes) => format!("b{:?}", &**bytes),
        other => format!("{other:?}").to_lowercase(),
    }
}

#[test]
fn operators_bind_as_the_language_says() {
    for (source, expected) in [
        ("a || b && c", "(|| a (&& b c))"),
        ("a && b || c && d", "(|| (&& a b) (&& c d))"),
        ("a && b && c && d", "(&& a b c d)"),
        ("a || b || c ? d : e", "(? (|| a b c) d e)"),
        ("a && (b && c) && d", "(&& a (&& b c) d)"),
        ("a ? b : c ? d : e", "(? a b (? c d e))"),
        ("(a ? b : c) ? d : e", "(? (? a b c) d e)"),
        ("a == b && c != d", "(&& (== a b) (!= c d))"),
        ("a < b == c", "(== (< a b) c)"),
        ("a + b * c - d", "(- (+ a (* b c)) d)"),
        ("a - b - c", "(- (- a b) c)"),
        ("a / b % c * d", "(* (% (/ a b) c) d)"),
        ("a + b > c * d", "(> (+ a b) (* c d))"),
        ("a in b || c", "(|| (in a b) c)"),
        ("!a && -b > c", "(&& (! a) (> (- b) c))"),
        ("!!a.b", "(! (! (. a b)))"),
        ("-a.b[c]", "(- ([] (. a b) c))"),
        ("a -1", "(- a 1)"),
        ("-1 - -1", "(- -1 -1)"),
        ("-1.5.c", "(. -1.5 c)"),
        ("a.b.c(d, e)[f].g", "(. ([] (c (. a b) . d e) f) g)"),
        ("f(a)(b)", "expected an operator, found `(`"),
        (".a.b", "(. .a b)"),
        ("a + b + c - d + e", "(+ (- (+ a b c) d) e)"),
        ("a.?b.c", "(. (.? a b) c)"),
        ("a.?`x-tier`", "(.? a x-tier)"),
        ("a[?b]", "([?] a b)"),
        ("[?a, b]", "(list ?a b)"),
        ("{?a: b, c: d}", "(map ?a:b c:d)"),
        ("a.all(x, x > b)", "(All a x (> x b))"),
        ("a.exists(k, v, v)", "(Exists a k v v)"),
        ("a.exists_one(x, x) || a.existsOne(x, x)", "(|| (ExistsOne a x x) (ExistsOne a x x))"),
        ("a.map(x, b)", "(List a x b)"),
        ("a.map(x, b, c)", "(List a x if b c)"),
        ("a.filter(x, x)", "(Filter a x x)"),
        ("a.transformList(i, x, b, c)", "(List a i x if b c)"),
        ("a.transformMap(k, v, b)", "(Values a k v b)"),
        ("a.transformMapEntry(k, v, {v: k})", "(Entries a k v (map v:k))"),
        ("a.sortBy(x, x.b)", "(SortBy a x (. x b))"),
        ("a.map(b)", "(map a . b)"),
        ("cel.bind(x, a, x + x)", "(bind x a (+ x x))"),
        ("a.optMap(x, b)", "(optMap a x b)"),
        ("a.optFlatMap(x, b)", "(optFlatMap a x b)"),
        ("math.greatest(a, b)", "(greatest math . (list a b))"),
        ("math.greatest(a)", "(greatest math . a)"),
        ("a.`x-tier`", "(. a x-tier)"),
        ("has(a.b.c)", "(has (. a b) c)"),
        ("size(a) + a.size()", "(+ (size a) (size a .))"),
        ("[a, b,]", "(list a b)"),
        ("[] == [1]", "(== (list) (list 1))"),
        ("{a: b, 'c': d,}", "(map a:b \"c\":d)"),
        ("{}.while", "(. (map) while)"),
        ("a // && b\n|| c", "(|| a c)"),
    ] {
        let found = parse(source).map_or_else(|error| error.message, |parsed| show(&parsed.root));
        assert_eq!(found, expected, "{source}");
    }
}

#[test]
fn literals_are_decoded() {
    for (source, expected) in [
        ("1", "1"),
        ("0x1F", "31"),
        ("-0x10", "-16"),
        ("7u", "7u"),
        ("0xFFu", "255u"),
        ("9223372036854775807", "9223372036854775807"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("18446744073709551615u", "18446744073709551615u"),
        ("1.5", "1.5"),
        (".5e1", "5.0"),
        ("2e-2", "0.02"),
        ("true", "bool(true)"),
        ("null", "null"),
        (r#""a'b""#, r#""a'b""#),
        (r#"'a"b'"#, r#""a\"b""#),
        ("'''a'b\n'''", r#""a'b\n""#),
        (r#""""a"b""""#, r#""a\"b""#),
        (r"r'\d'", r#""\\d""#),
        (r#"R"""\""""#, r#""\\""#),
        (r"'\x41\u00e4\U0001F600\101\n'", "\"A\u{e4}\u{1f600}A\\n\""),
        (r"b'a\xff\377'", "b[97, 255, 255]"),
        ("b'\u{e4}'", "b[195, 164]"),
        (r"bR'\x'", "b[92, 120]"),
    ] {
        let found = parse(source).map_or_else(|error| error.message, |parsed| show(&parsed.root));
        assert_eq!(found, expected, "{source}");
    }
}

#[test]
fn what_cannot_be_read_is_said_where_it_stands() {
    let long = "a".repeat(20_000);
    for (source, span, message, help) in [
        ("", 0..0, "the expression ends where an expression is expected", None),
        ("a ||", 4..4, "the expression ends where an expression is expected", None),
        ("a b", 2..3, "expected an operator, found `b`", None),
        ("a and b", 2..5, "expected an operator, found `and`", Some("write `&&` for and")),
        ("a OR b", 2..4, "expected an operator, found `OR`", Some("write `||` for or")),
        ("a = b", 2..3, "`=` has no meaning here", Some("write `==` to compare")),
        ("a & b", 2..3, "`&` has no meaning here", Some("write `&&` for and")),
        ("a == “b”", 5..8, "`“` has no meaning here", Some("use plain quotes, `\"` or `'`")),
        ("(a || (b && c)", 0..1, "this is never closed with `)`", None),
        ("a[1", 1..2, "this is never closed with `]`", None),
        ("[1 2]", 3..4, "expected `]`, found a literal", None),
        ("f(a,)", 4..5, "expected an expression, found `)`", None),
        ("{a}", 2..3, "expected `:` and the value of this key, found `}`", None),
        ("a ? b", 5..5, "the expression ends where `:` is expected", None),
        ("a.1", 1..3, "expected an operator, found a literal", None),
        ("a.in", 2..4, "expected the name of a field, found `in`", None),
        ("while", 0..5, "`while` is a reserved word", None),
        ("'abc", 0..4, "this quote is never closed", Some("end it with '")),
        ("'a\nb'", 0..2, "this quote is never closed", Some("end it with '")),
        (
            r"'a\db'",
            2..4,
            r"`\d` is not an escape",
            Some("write `\\\\` for a backslash, or put `r` before the quote"),
        ),
        (r"'\u12'", 1..3, "this escape needs 4 digits", None),
        (r"'\uD800'", 1..7, "this escape is not a Unicode character", None),
        ("12abc", 0..5, "this is neither a number nor a name", Some("quote it if it is text")),
        ("99999999999999999999", 0..20, "this number does not fit 64 bits", None),
        (
            "9223372036854775808",
            0..19,
            "this number does not fit an int of 64 bits",
            Some("write it as a double or a uint"),
        ),
        ("1e999", 0..5, "this number does not fit a double", None),
        (
            "has(a)",
            0..6,
            "has() takes one field, as in has(headers.tier)",
            Some("ask for any other key with `in`, as in \"x-tier\" in headers"),
        ),
        (&long, 0..0, "an expression is at most 16384 bytes; this has 20000", None),
    ] {
        let error = parse(source).unwrap_err();
        assert_eq!((error.span, &*error.message, error.help.as_deref()), (span, message, help), "{source}");
    }
}

#[test]
fn the_number_of_parts_is_bounded() {
    for source in ["a".to_owned() + &"+a".repeat(4_100), format!("[{}]", "a,".repeat(4_100))] {
        assert_eq!(parse(&source).unwrap_err().message, "an expression is made of at most 4096 parts");
    }
}

#[test]
fn depth_is_bounded_and_length_is_not() {
    let deep = 16_000;
    for source in [
        "(".repeat(deep),
        "[".repeat(deep),
        "!".repeat(deep),
        "-".repeat(deep),
        "{1:".repeat(deep / 3),
        "f(".repeat(deep / 2),
        "a?a:".repeat(deep / 4),
        "a.".repeat(deep / 2) + "a",
        "a".to_owned() + &"[0]".repeat(deep / 3),
        "a".to_owned() + &"-a".repeat(deep / 2),
    ] {
        let error = parse(&source).unwrap_err();
        assert_eq!(error.message, "the expression nests more than 64 levels deep", "{}", &source[..8]);
    }
    for source in [
        "a".to_owned() + &"&&a".repeat(4_000),
        "a".to_owned() + &"||a".repeat(4_000),
        "a".to_owned() + &"+a".repeat(4_000),
        format!("[{}]", "a,".repeat(4_000)),
        "(".repeat(60) + "a" + &")".repeat(60),
        "a".to_owned() + &"+a".repeat(60),
    ] {
        assert!(parse(&source).is_ok(), "{}", &source[..8]);
    }
}
