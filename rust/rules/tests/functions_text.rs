//! Functions on text: the extension `strings`, `format`, and regular expressions.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

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

#[test]
fn patterns_have_the_semantics_of_re2() {
    // Patterns and the texts that they match, and do not match. The raw literals of CEL take backslashes as they are.
    let cases: &[(&str, &[&str], &[&str])] = &[
        // Classes mean ASCII, and `.` any character.
        (r"^\d$", &["7"], &["٣", "a"]),
        (r"^\D$", &["٣", "a"], &["7"]),
        (r"^\w$", &["_", "a", "7"], &["é", "\u{212a}"]),
        (r"^[\w-]+$", &["a-b"], &["a é"]),
        (r"^[^\w]$", &["é", " "], &["a"]),
        (r"^[\W]$", &["é"], &["a"]),
        (r"^\s$", &[" ", "\u{c}"], &["\u{b}", "\u{a0}"]),
        (r"^\S$", &["\u{b}", "\u{a0}"], &[" "]),
        (r"^[[:space:]]$", &["\u{b}"], &["\u{a0}"]),
        (r"^[[:^alpha:]]$", &["é", "1"], &["a"]),
        (r"\bna\b", &["na", "a na!", "éna"], &["nab"]),
        (r"a\Bb", &["ab"], &["a b"]),
        ("^.$", &["☺", "é"], &["\n", "ab"]),
        ("(?s)^.$", &["\n"], &[]),
        (r"^\p{Lu}\pN\P{Greek}\p{^L}$", &["Ä1a1"], &["é1a1", "Ä1α1"]),
        // Case is that of Unicode, also of what `\w` means, as in RE2.
        ("(?i)straße", &["STRAßE"], &["STRASSE"]),
        (r"(?i)^\w$", &["\u{212a}", "\u{17f}"], &["é"]),
        (r"(?i)^\W$", &["é"], &["\u{212a}"]),
        // Flags and groups.
        ("a(?i)b|c", &["aB", "C"], &["Ab"]),
        ("(a(?i))b", &["ab"], &["aB"]),
        ("(?i:a)b", &["Ab"], &["AB"]),
        ("(?i)a(?-i)b", &["Ab"], &["AB"]),
        ("(?m)^b$", &["a\nb\nc"], &["ab"]),
        ("^b$", &["b"], &["a\nb", "b\n"]),
        (r"(?m)\Ab\z", &["b"], &["a\nb"]),
        ("(?P<one>a)(?<two>b)(?:c)(?)", &["abc"], &["ab"]),
        ("a(?i)*b", &["aaB", "b"], &["a"]),
        // Literals.
        (r"\Qa.b\E*", &["a.", "a.bb"], &["ab"]),
        (r"\Qa.b", &["a.b"], &["axb"]),
        (r"a{,2}", &["a{,2}"], &["aa"]),
        (r"^a{2}$", &["aa"], &["a"]),
        ("{", &["{"], &["a"]),
        (r"\x41\x{1F600}\101\a", &["A😀A\u{7}"], &["A"]),
        (r"\<b\>\_\&", &["<b>_&"], &["b"]),
        ("^[a&&b]$", &["a", "&"], &["ab"]),
        ("^[[a]$", &["[", "a"], &["]"]),
        ("^[]a]$", &["]", "a"], &["["]),
        ("^[a-c-e]$", &["b", "-", "e"], &["d"]),
        // Plain text, which needs no engine.
        ("gpt", &["a gpt b", "gpt"], &["gp"]),
        ("^gpt", &["gpt-5"], &["a gpt"]),
        ("gpt$", &["my-gpt"], &["gpt-5"]),
        ("^gpt$", &["gpt"], &["gpt-5", "my-gpt", "gpt\n"]),
        (r"^gpt-4\.1$", &["gpt-4.1"], &["gpt-4x1"]),
        ("^^gpt$$", &["gpt"], &["gpt-5"]),
        ("a^b", &[], &["ab", "a^b"]),
        ("a$b", &[], &["ab", "a$b"]),
        ("", &["", "a"], &[]),
        ("^", &["", "a"], &[]),
        ("^$", &[""], &["a"]),
    ];
    for (pattern, matching, others) in cases {
        for (texts, expected) in [(matching, true), (others, false)] {
            for text in *texts {
                let literal = |text: &str| {
                    format!("b'{}'", text.bytes().map(|byte| format!("\\x{byte:02x}")).collect::<String>())
                };
                let (text, pattern) = (literal(text), literal(pattern));
                check(&[
                    (&format!("string({text}).matches(string({pattern}))"), bool(expected)),
                    (&format!("matches(string({text}), string({pattern}))"), bool(expected)),
                ]);
            }
        }
    }
}

#[test]
fn what_re2_lacks_fails() {
    for pattern in [
        "(?=a)",
        "(?!a)",
        "(?<=a)",
        "(?<!a)",
        r"(a)\1",
        r"(?P<n>a)(?P=n)",
        "(?>a)",
        "a**",
        "a*+",
        "*",
        "(",
        ")",
        "[",
        "a{1001}",
        "(a{100}){11}",
        r"\C",
        r"\Z",
        r"\é",
        r"\p{greek}",
        "[b-a]",
        "(?x)a",
        r"\",
    ] {
        for call in [
            "text.matches(r'P')",
            "regex.extract(text, r'P')",
            "regex.extractAll(text, r'P')",
            "regex.replace(text, r'P', '')",
        ] {
            let source = call.replace("r'P'", &format!("'{}'", pattern.replace('\\', r"\\")));
            check(&[(&source, Err("not a regular expression"))]);
        }
    }
    check(&[("text.matches(1)", Err("not defined")), ("1.matches('a')", Err("not defined"))]);
}

#[test]
fn parts_are_extracted_and_replaced() {
    let some = |text: &'static str| Ok(Value::Optional(Some(Value::from(text).into())));
    let none = || Ok(Value::Optional(None));
    check(&[
        ("regex.extract('hello world', 'hello(.*)')", some(" world")),
        (r"regex.extract('item-A, item-B', r'item-(\w+)')", some("A")),
        ("regex.extract(text, 'ï.e')", some("ïve")),
        ("regex.extract('HELLO', 'hello')", none()),
        ("regex.extract('b', '(a)?b')", none()),
        ("regex.extract('b', '(a*)b')", none()),
        ("regex.extract('abc', '')", some("")),
        ("regex.extract('gpt-5', '^gpt')", some("gpt")),
        ("regex.extract('a@b', '(.*)@(.*)')", Err("more than one group")),
        ("regex.extract('a@b', '(?:.*)@(.*)')", some("b")),
        (r"regex.extractAll('id:123, id:456', r'id:\d+')", texts(&["id:123", "id:456"])),
        (r"regex.extractAll('id:123, id:456', r'id:(\d+)')", texts(&["123", "456"])),
        ("regex.extractAll(text, ' ')", texts(&[" ", " "])),
        ("regex.extractAll('id', 'no')", texts(&[])),
        ("regex.extractAll('baac', 'a*')", texts(&["", "aa", ""])),
        ("regex.extractAll('abcb', '(a)?b')", texts(&["a"])),
        ("regex.extractAll('a@b', '(.*)@(.*)')", Err("more than one group")),
        ("regex.replace('hello world hello', 'hello', 'hi')", text("hi world hi")),
        ("regex.replace('banana', 'a', 'x', 0)", text("banana")),
        ("regex.replace('banana', '(', 'x', 0)", text("banana")),
        ("regex.replace('banana', 'a', 'x', 1)", text("bxnana")),
        ("regex.replace('banana', 'a', 'x', 2)", text("bxnxna")),
        ("regex.replace('banana', 'a', 'x', 99)", text("bxnxnx")),
        ("regex.replace('banana', 'a', 'x', -12)", text("bxnxnx")),
        ("regex.replace('añ', '', '_')", text("_a_ñ_")),
        (r"regex.replace('foo bar', '(fo)o (ba)r', r'\2 \1')", text("ba fo")),
        (r"regex.replace('abcdefghij', '(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)', r'\9\1\10')", text("iaa0")),
        (r"regex.replace('foo', 'o+', r'<\0\\>')", text(r"f<oo\>")),
        (r"regex.replace('b', '(a)?b', r'[\1]')", text("[]")),
        ("regex.replace('foo', 'o', '$0')", text("f$0$0")),
        (r"regex.replace('test', '(.)', r'\2')", Err("the pattern lacks")),
        (r"regex.replace('test', '(.)', r'\value')", Err("digit of a group")),
        (r"regex.replace('test', '(.)', '\\')", Err("digit of a group")),
        (r"regex.replace('test', '(x)', r'\2')", text("test")),
        ("regex.replace('test', 1, '')", Err("not defined")),
    ]);
}

#[test]
fn what_patterns_cost_is_bounded() {
    let long = "text".to_owned() + &".replace('', text)".repeat(4);
    // A pattern that is computed, since constant ones are compiled with the rule.
    let test = |pattern: &str| format!("{long}.matches(text == '' ? '' : '{pattern}')");
    let cases = [
        (test("text"), bool(true)),
        (test("[xyz]"), bool(true)),
        (test("(?:a?b){200}c"), bool(false)),
        (test("(?:(?:a?b)(?:a?b)(?:a?b)){900}c"), Err("more work")),
        (format!("text.matches({long})"), Err("not a regular expression")),
        (format!("text.matches('{}')", "(".repeat(100)), Err("not a regular expression")),
        (r"text.matches('\\pL{300}')".to_owned(), Err("not a regular expression")),
        (format!("regex.replace({long}, '[tx]', text).size() > 0"), Err("more work")),
        (format!("regex.replace({long}, 'ï.*', {long}).size() > 0"), bool(true)),
        (format!("regex.replace({long}, 'ï', {long})"), Err("too large")),
        (format!("regex.extractAll({long}, '.').size()"), Err("more work")),
        ("[1, 2, 3].all(one, text.matches(text + string(one)) || true)".to_owned(), bool(true)),
    ];
    for (source, expected) in cases {
        check(&[(&source, expected)]);
    }
}

#[test]
fn results_have_types() {
    let environment = Environment::new().declare("text", Type::String);
    for (source, expected) in [
        ("matches(text, 'a') && text.matches('b')", "bool"),
        ("regex.extract(text, 'a')", "optional_type(string)"),
        ("regex.extract(text, 'a').orValue('none')", "string"),
        ("regex.extractAll(text, 'a')", "list(string)"),
        ("regex.replace(text, 'a', 'b', 1)", "string"),
        ("text.split(',').map(part, part.trim()).join(';')", "string"),
        ("'%s %d'.format([text, 1])", "string"),
        ("text.indexOf('a') + text.lastIndexOf('b', 3)", "int"),
        ("strings.quote(text)", "string"),
    ] {
        let expression = Expression::compile(&environment, source).unwrap();
        assert_eq!(expression.result_type().to_string(), expected, "{source}");
    }
    for source in
        ["text.charAt('1')", "[1].join()", "regex.extract(1, 'a')", "'%s'.format('a')", "text.trim(1)"]
    {
        assert!(Expression::compile(&environment, source).is_err(), "{source}");
    }
}
