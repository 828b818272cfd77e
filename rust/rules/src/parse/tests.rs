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
        ("f(a)(b)", "what stands before this `(` cannot be called"),
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
    use crate::diagnostic::Code::*;
    let long = "a".repeat(20_000);
    // What is said is in tests/golden; here is where it is said, and under which code.
    for (source, span, code) in [
        ("", 0..0, Incomplete),
        ("a ||", 2..4, Incomplete),
        ("|| a", 0..2, Incomplete),
        ("a && && b", 5..7, UnexpectedToken),
        ("a b", 2..3, UnexpectedToken),
        ("a and b", 2..5, ForeignSyntax),
        ("a OR b", 2..4, ForeignSyntax),
        ("not a", 0..3, ForeignSyntax),
        ("a ! b", 2..3, ForeignSyntax),
        ("a = b", 2..3, ForeignSyntax),
        ("a == = b", 5..6, ForeignSyntax),
        ("a => b", 2..4, ForeignSyntax),
        ("a & b", 2..3, ForeignSyntax),
        ("a == “b”", 5..12, UnexpectedCharacter),
        ("a == “b", 5..8, UnexpectedCharacter),
        ("a == \u{7}", 5..6, UnexpectedCharacter),
        ("$", 0..1, ForeignSyntax),
        ("${a", 0..3, ForeignSyntax),
        ("{{a}}", 0..2, ForeignSyntax),
        ("a.b(/c/)", 4..7, ForeignSyntax),
        ("/ a", 0..1, Incomplete),
        ("(a || (b && c)", 0..1, UnclosedBracket),
        ("a[1", 1..2, UnclosedBracket),
        ("f(", 1..2, UnclosedBracket),
        ("()", 0..2, Incomplete),
        ("a)", 1..2, StrayBracket),
        ("(a]", 2..3, StrayBracket),
        ("a[1, 2]", 3..4, UnexpectedToken),
        ("[1 2]", 3..4, UnexpectedToken),
        ("f(a,)", 3..4, Incomplete),
        ("{a}", 2..3, UnexpectedToken),
        ("a ? b", 2..3, Incomplete),
        ("a ? b c", 6..7, UnexpectedToken),
        ("a?.b", 1..2, ForeignSyntax),
        ("a : b", 2..3, UnexpectedToken),
        ("a.1", 1..3, ForeignSyntax),
        ("a == 1.2.3.4", 5..12, InvalidNumber),
        ("a.in", 2..4, ReservedWord),
        ("a.", 1..2, Incomplete),
        ("namespace", 0..9, ReservedWord),
        ("while", 0..5, ForeignSyntax),
        ("in a", 0..2, Incomplete),
        ("'abc", 0..4, UnclosedText),
        ("'a\nb'", 0..2, UnclosedText),
        (r"'a\db'", 2..4, InvalidEscape),
        (r"'\u12'", 1..3, InvalidEscape),
        (r"'\uD800'", 1..7, InvalidEscape),
        ("12abc", 0..5, InvalidNumber),
        ("0x", 0..2, InvalidNumber),
        ("99999999999999999999", 0..20, InvalidNumber),
        ("9223372036854775808", 0..19, InvalidNumber),
        ("1e999", 0..5, InvalidNumber),
        ("has(a)", 4..5, InvalidMacro),
        ("has(a['b'])", 4..10, InvalidMacro),
        ("has()", 0..5, InvalidMacro),
        ("a.all(1, true)", 6..7, InvalidMacro),
        ("a.all(x, x, true)", 9..10, InvalidMacro),
        (&long, 0..0, TooComplex),
    ] {
        let error = parse(source).unwrap_err();
        assert_eq!((error.span.clone(), error.code), (span, code), "{source}: {error:?}");
        assert!(error.help.is_some() || !error.labels.is_empty(), "{source}");
    }
}

#[test]
fn the_number_of_parts_is_bounded() {
    for source in ["a".to_owned() + &"+a".repeat(4_100), format!("[{}]", "a,".repeat(4_100))] {
        assert_eq!(parse(&source).unwrap_err().message, "a condition has at most 4096 parts");
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
        assert_eq!(error.message, "the condition nests more than 64 levels deep", "{}", &source[..8]);
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
