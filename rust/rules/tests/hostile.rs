//! Expressions that mean harm. Each is refused, fails or has a value within the bounds of one evaluation, which are
//! counted in steps and bytes; none makes the stack overflow, panics or takes memory without bound.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use edgeroute_rules::{
    Attribute, Environment, ErrorKind, Expression, RuleSet, Source, Type, Value, first_failure,
};

const MAXIMUM_STEPS: u32 = 10_000;
const MAXIMUM_BYTES: u64 = 16 * 1024 * 1024;
/// Nothing that is made is larger, in bytes of text and elements of lists.
const MAXIMUM_SIZE: usize = 1024 * 1024;
const MAXIMUM_SOURCE: usize = 16 * 1024;

/// A request with a long text, a long list and a map with many entries.
struct Request {
    text: String,
    list: Vec<Value<'static>>,
    map: Vec<(Value<'static>, Value<'static>)>,
}

impl Source for Request {
    fn attribute(&self, attribute: &Attribute) -> Option<Value<'_>> {
        match attribute.variable {
            0 => Some(Value::from(&*self.text)),
            1 => Some(Value::list(self.list.clone())),
            2 => Some(Value::map(self.map.clone())),
            _ => Some(Value::Int(1)),
        }
    }
}

fn request() -> Request {
    let name = |index: i64| Value::from(format!("key-{index}"));
    Request {
        text: "a".repeat(200_000),
        list: (0..20_000).map(name).collect(),
        map: (0..5_000).map(|index| (name(index), Value::Int(index))).collect(),
    }
}

fn environment() -> Environment {
    Environment::new()
        .declare("text", Type::String)
        .of_size(200_000)
        .declare("list", Type::list(Type::String))
        .of_size(20_000)
        .declare("map", Type::map(Type::String, Type::Int))
        .of_size(5_000)
        .declare("n", Type::Int)
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Refused(String),
    Failed(ErrorKind),
    Value(Value<'static>),
}

/// What becomes of it without the checker, which would refuse most of this for its cost; the checker must only survive.
fn outcome(source: &str, request: &Request) -> Outcome {
    let _ = Expression::compile(&environment(), source);
    let _ = RuleSet::compile(&environment(), [source]).map(|rules| rules.pass(request).evaluate(0));
    let _ = first_failure(&environment(), source);
    let expression = match Expression::compile_unchecked(&environment(), source) {
        Ok(expression) => expression,
        Err(error) => {
            assert!(source.get(error.span.clone()).is_some(), "{error:?}");
            return Outcome::Refused(error.message);
        }
    };
    let (result, work) = expression.measure(request);
    assert!(work.steps <= MAXIMUM_STEPS && work.bytes <= MAXIMUM_BYTES, "{work:?}");
    match result {
        Ok(value) => {
            assert!(size(&value) <= MAXIMUM_SIZE, "{}: {}", shown(source), size(&value));
            Outcome::Value(value)
        }
        Err(error) => {
            assert!(source.get(error.span()).is_some(), "{error:?}");
            Outcome::Failed(error.kind)
        }
    }
}

/// Bytes of all texts and number of all elements, with what is shared as often as it is there.
fn size(value: &Value<'_>) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(elements) => elements.len() + elements.iter().map(size).max().unwrap_or(0),
        Value::Map(entries) => {
            entries.len() + entries.iter().map(|(_, value)| size(value)).max().unwrap_or(0)
        }
        Value::Optional(Some(held)) => size(held),
        _ => 1,
    }
}

fn shown(source: &str) -> String {
    source.chars().take(100).collect()
}

fn refused(source: &str, reason: &str) {
    match outcome(source, &request()) {
        Outcome::Refused(message) => assert!(message.contains(reason), "{}: {message}", shown(source)),
        other => panic!("{}: {other:?}", shown(source)),
    }
}

#[test]
fn long_chains() {
    for operator in
        ["+", "-", "*", "/", "%", "&&", "||", "==", "<", "in", "?", ".a", ".a()", "[0]", ".?a", "[?0]"]
    {
        let link =
            if operator.starts_with(['.', '[']) { operator.to_owned() } else { format!(" {operator} 1") };
        let link = if operator == "?" { " ? 1 : 1".to_owned() } else { link };
        refused(&format!("1{}", link.repeat(100_000)), "at most 16384 bytes");
        // The longest that is read.
        let most = (MAXIMUM_SOURCE - 1) / link.len();
        match outcome(&format!("1{}", link.repeat(most)), &request()) {
            Outcome::Refused(message) => assert!(
                ["nests", "parts", "expected"].iter().any(|reason| message.contains(reason)),
                "{operator}: {message}"
            ),
            Outcome::Failed(kind) => {
                assert!(matches!(kind, ErrorKind::NoOverloadFor(_)), "{operator}: {kind:?}")
            }
            Outcome::Value(value) => panic!("{operator}: {value:?}"),
        }
    }
    for (chain, expected) in [
        (vec!["1"; 2_000].join("+"), Value::Int(2_000)),
        (vec!["true"; 2_000].join("&&"), Value::Bool(true)),
        (vec!["false"; 2_000].join("||"), Value::Bool(false)),
        (format!("size([{}])", vec!["n"; 2_000].join(",")), Value::Int(2_000)),
        (format!("size('{}')", "é".repeat(8_000)), Value::Int(8_000)),
    ] {
        assert_eq!(outcome(&chain, &request()), Outcome::Value(expected), "{}", shown(&chain));
    }
}

#[test]
fn deep_nesting() {
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{1: ", "}"),
        ("{", ": 1}"),
        ("a[", "]"),
        ("f(", ")"),
        ("size(", ")"),
        ("has(", ")"),
        ("!", ""),
        ("-", ""),
        ("- ", ""),
        ("1 + (", ")"),
        ("true ? ", " : 1"),
        ("true ? 1 : ", ""),
        ("[?", "]"),
        ("optional.of(", ")"),
        ("[1].map(x, ", ")"),
        ("[1].all(x, y, ", ")"),
        ("cel.bind(x, 1, ", ")"),
        ("cel.bind(x, ", ", x)"),
        ("optional.of(1).optMap(x, ", ")"),
    ] {
        for closed in [true, false] {
            let source = |depth: usize| {
                open.repeat(depth) + "1" + &if closed { close.repeat(depth) } else { String::new() }
            };
            for depth in [65, 500, 10_000] {
                let found = outcome(&source(depth), &request());
                assert!(matches!(found, Outcome::Refused(_)), "{open} {depth}: {found:?}");
            }
            // As deep as it may be: whatever becomes of it, the stack is enough.
            for depth in [50, 61, 62, 63, 64] {
                outcome(&source(depth), &request());
            }
        }
    }
}

#[test]
fn killers_of_generated_parsers() {
    // cel-rust#306: each repetition took 40 times the memory, 1.1 GB at four.
    for repeated in 1..200 {
        refused(&("!!(!!!!!!(!!!!(((((!!(!!(!!!!((".repeat(repeated) + "1"), "");
    }
    // cel-rust#305: the counter of nesting went below zero while the parser recovered.
    let recovery = format!(">{}?[{}{}l\0?(-", "{".repeat(63), "(".repeat(11), "{".repeat(26));
    refused(&recovery, "");
    // cel-rust#191, #194, #212, and endings of all kinds.
    for source in [
        "",
        ".",
        "/",
        "1 +",
        "(",
        ")",
        "[",
        "{",
        "}",
        "a.",
        "a.(",
        "a..b",
        "1 ? 2",
        "1 ? : 2",
        "'",
        "\"",
        "'''",
        "b'",
        "r'",
        "'\\",
        "'\\u",
        "'\\x4",
        "b'\\u00e9'",
        "0x",
        "1e",
        "1.",
        "..",
        "`",
        "`a",
        "a.`",
        "\u{0}",
        "\u{feff}1",
        "@",
        "#",
        "1u1",
        "[[[[[[[[1]]]]]]]]a",
        "a b",
        ",",
        ":",
        "?",
        "//",
        "{1}",
        "{1:}",
        "[,]",
        "f(,)",
        "has(",
        "has()",
        "has(1)",
        "cel.bind(",
        "cel.bind(a)",
        "[].map()",
        "[].map(1, 2)",
        "[].all(a.b, true)",
        "&",
        "|",
        "=",
        "a = 1",
        "9223372036854775808",
        "18446744073709551616u",
        "1e999",
        "'\u{d7ff}'",
        "\"\\ud800\"",
        "true.a",
        "in",
        "null()",
    ] {
        outcome(source, &request());
    }
}

/// Numbers that look random, from a seed (xorshift).
struct Noise(u64);

impl Noise {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }
}

#[test]
fn random_bytes_and_tokens() {
    const TOKENS: [&str; 60] = [
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ".",
        ",",
        ":",
        "?",
        "!",
        "-",
        "+",
        "*",
        "/",
        "%",
        "&&",
        "||",
        "==",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        " in ",
        "true",
        "null",
        "1",
        "2u",
        "1.5",
        "'a'",
        "b'b'",
        "\"",
        "\\",
        "r'",
        "'''",
        "0x",
        "1e",
        "`a`",
        "text",
        "list",
        "map",
        "n",
        "x",
        "size(",
        "has(",
        ".map(x,",
        ".all(x,",
        "cel.bind(x,",
        "optional.of(",
        "[?",
        ".?",
        ".orValue(",
        ".matches(",
        "timestamp(",
        "duration(",
        "//",
        "\n",
        "ä",
        "😀",
    ];
    let request = request();
    let mut noise = Noise(0x5eed);
    for round in 0..150 {
        let length = if round % 3 == 0 { MAXIMUM_SOURCE } else { 1 + noise.next(200) };
        let bytes: Vec<u8> = (0..length).map(|_| noise.next(256) as u8).collect();
        outcome(&String::from_utf8_lossy(&bytes), &request);
        let printable: String = (0..length).map(|_| char::from(32 + noise.next(95) as u8)).collect();
        outcome(&printable, &request);
        let mut tokens = String::new();
        while tokens.len() < length {
            tokens.push_str(TOKENS[noise.next(TOKENS.len())]);
        }
        outcome(&tokens, &request);
    }
}

#[test]
fn patterns() {
    let groups = |count: usize| format!("{}a{}", "(".repeat(count), ")".repeat(count));
    let patterns = [
        "(a+)+$".to_owned(),
        "(a|a)*$".to_owned(),
        "(a|aa)+$".to_owned(),
        "(.*)*b".to_owned(),
        ".*.*.*.*.*=.*".to_owned(),
        "([a-zA-Z]+)*b".to_owned(),
        "(a?){50}a{50}b".to_owned(),
        "a{1000}{1000}".to_owned(),
        "((a{100}){100}){100}".to_owned(),
        "(((a*)*)*)*b".to_owned(),
        "\\\\pL{500}".to_owned(),
        "(?i)[\\\\w\\\\W]{900}".to_owned(),
        "[[:^alpha:]]|".repeat(200),
        "(?:".repeat(1_000),
        "x*".repeat(4_000),
        "a|".repeat(4_000),
        groups(60),
        groups(5_000),
        ".{0,999}x".to_owned(),
    ];
    for pattern in patterns {
        for call in [
            "text.matches(P)",
            "regex.replace(text, P, 'b')",
            "regex.extractAll(text, P)",
            "list.map(x, x.matches(P))",
        ] {
            outcome(&call.replace('P', &format!("'{pattern}'")), &request());
        }
        // Patterns that only the request makes known are compiled within the bounds too.
        for call in
            ["text.matches(P + (n == 1 ? '' : 'x'))", "list.slice(0, 5).all(y, text.matches(P + y) != 1)"]
        {
            outcome(&call.replace('P', &format!("'{pattern}'")), &request());
        }
    }
}

/// What an outcome must be.
enum Expected {
    /// The work or the size is too much.
    TooMuch,
    /// A value, of which this is the size as above at most.
    AtMost(usize),
}

#[test]
fn growth() {
    use Expected::{AtMost, TooMuch};
    let doubled = |seed: &str, times: usize| {
        let names: Vec<String> = (0..=times).map(|level| format!("v{level}")).collect();
        let mut source = format!("cel.bind({}, {seed}, ", names[0]);
        for level in 1..=times {
            source += &format!("cel.bind({}, {1} + {1}, ", names[level], names[level - 1]);
        }
        source + &names[times] + &")".repeat(times + 1)
    };
    // Values that share their parts: small to make, and larger than any memory when they are written out.
    let shared = |times: usize, end: &str| {
        let mut source = String::from("cel.bind(v0, [n], ");
        for level in 1..=times {
            source += &format!("cel.bind(v{level}, [v{0}, v{0}], ", level - 1);
        }
        source + &end.replace('V', &format!("v{times}")) + &")".repeat(times + 1)
    };
    let same = format!("cel.bind(v29, v28, {})", "V == [v27, v27]");
    let cases = [
        // Text and lists that grow by themselves.
        (doubled("'aaaaaaaaaaaaaaaa'", 15), AtMost(MAXIMUM_SIZE)),
        (doubled("'aaaaaaaaaaaaaaaa'", 20), TooMuch),
        (doubled("b'aaaaaaaaaaaaaaaa'", 20), TooMuch),
        (doubled("[n]", 22), TooMuch),
        (format!("size({})", vec!["text"; 2_000].join("+")), TooMuch),
        ("list.map(x, text + text)".into(), TooMuch),
        ("list.map(x, list + list)".into(), TooMuch),
        ("text.replace('a', text)".into(), TooMuch),
        ("text.replace('', text)".into(), TooMuch),
        ("regex.replace(text, 'a', text)".into(), TooMuch),
        ("regex.replace(text, '(a)', '\\\\1\\\\1\\\\1\\\\1\\\\1\\\\1\\\\1\\\\1')".into(), TooMuch),
        ("list.map(x, text).join(text)".into(), TooMuch),
        ("text.split('').map(x, text.split(''))".into(), TooMuch),
        ("text.split('').map(x, text).join()".into(), TooMuch),
        (format!("'{}'.format([{}])", "%s".repeat(500), vec!["text"; 500].join(",")), TooMuch),
        ("'%s'.format([list.map(x, list)])".into(), TooMuch),
        ("strings.quote(text)".into(), AtMost(200_002)),
        ("base64.encode(bytes(text)).size()".into(), AtMost(1)),
        ("'%.999999999f'.format([1.0]) == ''".into(), TooMuch),
        (format!("'{}'.format([{}])", "%.1000f".repeat(1_100), vec!["1e308"; 1_100].join(",")), TooMuch),
        ("lists.range(1000000000)".into(), TooMuch),
        ("lists.range(9223372036854775807)".into(), TooMuch),
        ("lists.range(400000).map(x, x)".into(), TooMuch),
        ("[lists.range(400000), lists.range(400000)]".into(), TooMuch),
        ("lists.range(300).map(x, lists.range(1000))".into(), AtMost(1_301)),
        ("lists.range(300).map(x, lists.range(10000))".into(), TooMuch),
        ("lists.range(5000).map(x, lists.range(100)).flatten().flatten(9)".into(), TooMuch),
        ("list.map(x, list).map(x, x).flatten().flatten()".into(), TooMuch),
        ("list.filter(x, true)".into(), TooMuch),
        ("list.slice(0, 9000).map(x, list).distinct()".into(), TooMuch),
        ("list.slice(0, 9000).transformMap(i, x, list.slice(0, 9000))".into(), TooMuch),
        // Loops within loops.
        ("list.all(a, list.all(b, true))".into(), TooMuch),
        ("list.map(a, list.map(b, list.map(c, a + b + c)))".into(), TooMuch),
        ("map.all(a, map.exists(b, map.exists(c, false)))".into(), TooMuch),
        ("list.exists(a, list.exists_one(b, false)) || list.exists(a, false)".into(), TooMuch),
        (vec!["list.exists(a, false)"; 600].join("||"), TooMuch),
        (format!("size([{}])", vec!["lists.range(99).map(a, n)"; 200].join(",")), TooMuch),
        // Each element against each other.
        ("list.slice(0, 9000).all(x, x in list)".into(), TooMuch),
        ("list.slice(0, 9000).map(x, x + '!').distinct().size()".into(), AtMost(1)),
        ("list.slice(0, 9000).filter(x, list == list.map(y, y))".into(), TooMuch),
        ("sets.equivalent(list, list.reverse()) && sets.contains(list, list)".into(), AtMost(1)),
        ("sets.intersects(list, lists.range(20000))".into(), AtMost(1)),
        ("list.sort().size() + list.distinct().size() + list.reverse().size()".into(), AtMost(1)),
        ("lists.range(9000).sortBy(x, -x).size()".into(), AtMost(1)),
        ("lists.range(9000).sortBy(x, text).size()".into(), TooMuch),
        ("lists.range(9000).map(x, text).sort().size()".into(), TooMuch),
        ("lists.range(9000).map(x, text).distinct().size()".into(), TooMuch),
        ("lists.range(9000).all(x, text == text)".into(), TooMuch),
        ("lists.range(9000).all(x, text < text + 'b')".into(), TooMuch),
        ("lists.range(9000).all(x, !text.contains('b'))".into(), TooMuch),
        ("lists.range(9000).all(x, text.startsWith(text))".into(), TooMuch),
        ("lists.range(9000).all(x, size(text) > x)".into(), TooMuch),
        ("lists.range(9000).all(x, text.indexOf('b') < x)".into(), TooMuch),
        ("lists.range(9000).all(x, text.lastIndexOf('b') < x)".into(), TooMuch),
        ("lists.range(9000).all(x, text.charAt(199999) == 'a')".into(), TooMuch),
        ("lists.range(9000).all(x, text.substring(x) != '')".into(), TooMuch),
        ("lists.range(9000).all(x, text.trim() != '')".into(), TooMuch),
        ("lists.range(9000).all(x, text.lowerAscii() != '')".into(), TooMuch),
        ("lists.range(9000).all(x, text.reverse() != '')".into(), TooMuch),
        ("lists.range(9000).all(x, text.matches('b') == false)".into(), TooMuch),
        ("lists.range(9000).all(x, bytes(text) != b'')".into(), TooMuch),
        ("lists.range(9000).all(x, text in map == false)".into(), TooMuch),
        ("lists.range(9000).all(x, map[?text] == optional.none())".into(), TooMuch),
        ("lists.range(9000).all(x, math.greatest(lists.range(9000 * n)) > 0)".into(), TooMuch),
        ("lists.range(9000).all(x, optional.of(text) == optional.of(text))".into(), TooMuch),
        ("lists.range(9000).exists(x, int(text) == x) || true".into(), AtMost(1)),
        ("lists.range(9000).exists(x, double(text) == 1.0)".into(), TooMuch),
        ("lists.range(9000).exists(x, timestamp(text) == timestamp(0))".into(), TooMuch),
        ("lists.range(9000).exists(x, duration(text) == duration('1s'))".into(), TooMuch),
        // Values that share their parts.
        (shared(28, "V"), TooMuch),
        (shared(28, &same), TooMuch),
        (shared(28, "V in [[v27, v27]]"), TooMuch),
        (shared(28, "[V, V].distinct().size()"), TooMuch),
        (shared(28, "sets.contains([V], [V])"), TooMuch),
        (shared(28, "'%s'.format([V])"), TooMuch),
        (shared(28, "V.flatten(100).size()"), TooMuch),
        (shared(28, "optional.of(V) == optional.of([v27, v27])"), TooMuch),
        (shared(28, "{'a': V} == {'a': [v27, v27]}"), TooMuch),
        (shared(10, "V.flatten(100).size()"), AtMost(1)),
        // Numbers at their ends.
        ("math.bitShiftLeft(1, 9223372036854775807)".into(), AtMost(1)),
        ("math.bitShiftRight(18446744073709551615u, 64)".into(), AtMost(1)),
        ("duration('9223372036.854775807s') == duration('1ns')".into(), AtMost(1)),
        ("timestamp(253402300799) - timestamp(-62135596800) == duration('1s') || true".into(), AtMost(1)),
        (format!("timestamp('{}') == timestamp(0) || true", "9".repeat(10_000)), AtMost(1)),
        (format!("duration('{}s') == duration('1s') || true", "9".repeat(10_000)), AtMost(1)),
        (format!("duration('{}') == duration('1s') || true", "1s".repeat(5_000)), AtMost(1)),
        (format!("double('1e{}') > 0.0 || true", "9".repeat(10_000)), AtMost(1)),
        (format!("double('0.{}1') > 0.0", "0".repeat(10_000)), AtMost(1)),
        ("list.slice(-9223372036854775807, 9223372036854775807).size() > 0 || true".into(), AtMost(1)),
        ("text.substring(9223372036854775807) == '' || true".into(), AtMost(1)),
        ("text.split('a', 9223372036854775807).size() > 0".into(), AtMost(1)),
    ];
    for (source, expected) in &cases {
        let found = outcome(source, &request());
        match (expected, &found) {
            (TooMuch, Outcome::Refused(_)) => {}
            (TooMuch, Outcome::Failed(kind)) => assert!(
                matches!(kind, ErrorKind::TooMuchWork | ErrorKind::TooLarge | ErrorKind::Invalid(_)),
                "{}: {kind:?}",
                shown(source)
            ),
            (AtMost(most), Outcome::Value(value)) => assert!(size(value) <= *most, "{}", shown(source)),
            _ => panic!("{}: {}", shown(source), &format!("{found:?}").chars().take(200).collect::<String>()),
        }
    }
}

#[test]
fn work_grows_with_the_size_and_no_faster() {
    let work = |source: &str| {
        let expression = Expression::compile_unchecked(&environment(), source).unwrap();
        let (result, work) = expression.measure(&request());
        assert!(result.is_ok(), "{source}: {result:?}");
        u64::from(work.steps) + work.bytes
    };
    for template in [
        "lists.range(n + SIZE).map(x, x).size()",
        "lists.range(n + SIZE).filter(x, x > 1).size()",
        "lists.range(n + SIZE).transformMap(i, x, x).size()",
        "lists.range(n + SIZE).transformMapEntry(i, x, {x: i}).size()",
        "lists.range(n + SIZE).distinct().size()",
        "lists.range(n + SIZE).sort().size()",
        "lists.range(n + SIZE).sortBy(x, -x).size()",
        "lists.range(n + SIZE).reverse().size()",
        "lists.range(n + SIZE).map(x, [x]).flatten().size()",
        "lists.range(n + SIZE).map(x, 'ab').join(',').size()",
        "sets.contains(lists.range(n + SIZE), lists.range(n + SIZE))",
        "lists.range(n + SIZE) == lists.range(n + SIZE)",
        "text.substring(0, SIZE).replace('a', 'bc').size()",
        "text.substring(0, SIZE).split('').size()",
        "text.substring(0, SIZE).matches('(a+)+b')",
        "regex.replace(text.substring(0, SIZE), 'a', 'b').size()",
        "regex.extractAll(text.substring(0, SIZE), 'aa').size()",
        "strings.quote(text.substring(0, SIZE)).size()",
    ] {
        let (small, large) =
            (work(&template.replace("SIZE", "1000")), work(&template.replace("SIZE", "4000")));
        // Four times as much, and a little more for what sorts.
        assert!(small > 0 && large <= 5 * small + 1_000, "{template}: {small} for 1000, {large} for 4000");
    }
}
