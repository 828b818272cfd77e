//! What a scan accepts, where it finds the fields, and how it says what is wrong.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used)]

use std::collections::HashSet;

use edgeroute_wire::{Document, Kind, MAX_DEPTH, MAX_FIELDS, ScanErrorKind};
use proptest::prelude::*;
use serde_json::Value;

fn nested_arrays(levels: usize) -> String {
    format!(r#"{{"a":{}{}}}"#, "[".repeat(levels), "]".repeat(levels))
}

fn many_fields(count: usize) -> String {
    let fields: Vec<String> = (0..count).map(|index| format!("\"k{index}\":{index}")).collect();
    format!("{{{}}}", fields.join(","))
}

#[test]
fn refuses_malformed_bodies_with_a_sentence_for_people() {
    let check = |body: &[u8], expected: &str| {
        let error = Document::scan(body).expect_err(&String::from_utf8_lossy(body));
        assert_eq!(error.to_string(), expected, "{}", String::from_utf8_lossy(body));
    };
    check(b"", "the body is empty, expected a JSON object at line 1, column 1");
    check(b" \n ", "the body is empty, expected a JSON object at line 2, column 2");
    check(b"[1]", "expected a JSON object, found an array at line 1, column 1");
    check(b"\"x\"", "expected a JSON object, found a string at line 1, column 1");
    check(b"null", "expected a JSON object, found null at line 1, column 1");
    check(b" 12", "expected a JSON object, found a number at line 1, column 2");
    check(b"true", "expected a JSON object, found a boolean at line 1, column 1");
    check(b"model=x", "expected a JSON object, found `m` at line 1, column 1");
    check("\u{feff}{}".as_bytes(), "expected a JSON object, found `\\u{feff}` at line 1, column 1");
    check(b"{\"a\":1}\n{\"b\":2}", "unexpected bytes after the JSON object at line 2, column 1");
    check(b"{\"a\":1}\0", "unexpected bytes after the JSON object at line 1, column 8");

    check(b"{\n  \"model\": \"a\",\n  \"model\": \"b\"\n}", "duplicate field `model` at line 3, column 3");
    check(br#"{"model":1,"mod\u0065l":2}"#, "duplicate field `model` at line 1, column 12");
    check(br#"{"a\u0000b":1,"a\u0000b":2}"#, r"duplicate field `a\0b` at line 1, column 15");
    check(br#"{"\ud800":1}"#, "escaped surrogate without its partner in a string at line 1, column 3");

    check(b"{", "the JSON is truncated, it ends at line 1, column 2");
    check(b"{\"a", "the JSON is truncated, it ends at line 1, column 4");
    check(b"{\"a\"", "the JSON is truncated, it ends at line 1, column 5");
    check(b"{\"a\":", "the JSON is truncated, it ends at line 1, column 6");
    check(b"{\"a\":\"\\", "the JSON is truncated, it ends at line 1, column 8");
    check(b"{\"a\":\"\\u12", "the JSON is truncated, it ends at line 1, column 11");
    check(b"{\"a\":[\"\\", "the JSON is truncated, it ends at line 1, column 9");
    check(b"{\"a\":[1,{", "the JSON is truncated, it ends at line 1, column 10");
    check(b"{\"a\":1", "the JSON is truncated, it ends at line 1, column 7");
    check(b"{\"a\":-", "the JSON is truncated, it ends at line 1, column 7");
    check(b"{\"a\":1,", "the JSON is truncated, it ends at line 1, column 8");

    check(b"{\"a\":[1}", "`}` closes a bracket of the other kind at line 1, column 8");
    check(b"{\"a\":{\"b\":[]]", "`]` closes a bracket of the other kind at line 1, column 13");
    check(br#"{"a":[\"]}"#, "expected a JSON value, found `\\` at line 1, column 7");
    check(br#"{"a":{"b":1\},"c":2}"#, "expected a JSON value, found `\\` at line 1, column 12");
    check(b"{a:1}", "expected a field name in double quotes, found `a` at line 1, column 2");
    check(b"{'a':1}", "expected a field name in double quotes, found `'` at line 1, column 2");
    check(b"{\"a\":1,}", "expected a field name in double quotes, found `}` at line 1, column 8");
    check(b"{\"a\" 1}", "expected `:`, found `1` at line 1, column 6");
    check(b"{\"a\":1 \"b\":2}", "expected `,` or `}`, found `\"` at line 1, column 8");
    check(b"{\"a\":True}", "expected a JSON value, found `T` at line 1, column 6");
    check(b"{\"a\":tru}", "expected a JSON value, found `t` at line 1, column 6");
    check(b"{\"a\":NaN}", "expected a JSON value, found `N` at line 1, column 6");
    check("{\"é\":ü}".as_bytes(), "expected a JSON value, found `ü` at line 1, column 6");
    check(b"{\"a\":nullx}", "expected `,` or `}`, found `x` at line 1, column 10");
    check(b"{\"a\":01}", "malformed number at line 1, column 6");
    check(b"{\"a\":1.}", "malformed number at line 1, column 6");
    check(b"{\"a\":-}", "malformed number at line 1, column 6");
    check(b"{\"a\":1e+}", "malformed number at line 1, column 6");
    check(b"{\"a\":+1}", "expected a JSON value, found `+` at line 1, column 6");
    check(b"{\"a\":.5}", "expected a JSON value, found `.` at line 1, column 6");
    check(b"{\"a\":\"x\ny\"}", "control character 0x0a in a string must be escaped at line 1, column 8");
    check(b"{\"a\0\":1}", "control character 0x00 in a string must be escaped at line 1, column 4");
    check(br#"{"a":"\x41"}"#, "malformed escape sequence in a string at line 1, column 7");
    check(br#"{"a":"\u12g4"}"#, "malformed escape sequence in a string at line 1, column 7");
    check(br#"{"a":"\u+123"}"#, "malformed escape sequence in a string at line 1, column 7");

    check(b"{\"a\":\"\xff\"}", "invalid UTF-8 at line 1, column 7");
    check(b"{\"a\":[{\"b\":\"\xed\xa0\x80\"}]}", "invalid UTF-8 at line 1, column 13");
    check(b"{\"a\":\"\xc3", "invalid UTF-8 at line 1, column 7");
    check(nested_arrays(128).as_bytes(), "nested deeper than 128 levels at line 1, column 133");
    check(nested_arrays(100_000).as_bytes(), "nested deeper than 128 levels at line 1, column 133");
    let one_too_many = many_fields(MAX_FIELDS + 1);
    let error = Document::scan(one_too_many.as_bytes()).unwrap_err().to_string();
    assert!(error.starts_with("more than 1024 fields in one object at line 1, "), "{error}");
}

#[test]
fn accepts_what_is_just_within_bounds() {
    let check = |body: &str, fields: usize| {
        assert_eq!(Document::scan(body.as_bytes()).expect(body).fields().len(), fields, "{body}");
    };
    check("{}", 0);
    check(" \r\n\t{ } \n", 0);
    check(&nested_arrays(MAX_DEPTH as usize - 1), 1);
    check(&many_fields(24), 24);
    check(&many_fields(25), 25);
    check(&many_fields(MAX_FIELDS), MAX_FIELDS);
    check(r#"{"a":-0,"b":1.5e-7,"c":0.0,"d":1E+2}"#, 4);
    check(r#"{"":1," ":2,"A":3,"a":4}"#, 4);
    check(r#"{"a":"lone \ud800 in a value that nobody reads","b":"\u007f\/"}"#, 2);
    check(r#"{"a":[1],"b":"\\","c":{},"d":"\\\""}"#, 4);
    check("{\"a\" \n:\t[ 1 , {\"b\":\"]}\\\"\"} ] ,\r\"c\":null}", 2);
}

#[test]
fn duplicates_are_found_among_many_fields() {
    for count in [2, 23, 24, 25, 300, 1_022] {
        let body = many_fields(count).replace('}', r#","k0":0}"#);
        let error = Document::scan(body.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("duplicate field `k0` at line 1, "), "{error}");
    }
}

#[test]
fn reads_scalars_and_names_what_is_wrong_with_them() {
    let body = r#"{
        "model": "gp\u0074-\ud83d\ude00\n\"\\\/", "plain": "é", "lone": "x\ud800y", "backwards": "\ude00\ud83d", "lows": "\ude00\ude00",
        "stream": true, "off": false, "none": null, "max_tokens": 1024, "zero": 0,
        "negative": -5, "float": 12.0, "huge": 18446744073709551616, "largest": 18446744073709551615,
        "list": [1], "n": "7", "long": 1.00000000000000000000000000000000000000000000000000000000000000001
    }"#;
    let document = Document::scan(body.as_bytes()).unwrap();
    assert_eq!(document.string("model").unwrap().unwrap(), "gpt-😀\n\"\\/");
    assert_eq!(document.string("plain").unwrap().unwrap(), "é");
    assert_eq!(document.string("absent").unwrap(), None);
    assert_eq!(document.boolean("stream"), Ok(Some(true)));
    assert_eq!(document.boolean("off"), Ok(Some(false)));
    assert_eq!(document.boolean("none"), Ok(None));
    assert_eq!(document.boolean("absent"), Ok(None));
    assert_eq!(document.unsigned("max_tokens"), Ok(Some(1_024)));
    assert_eq!(document.unsigned("zero"), Ok(Some(0)));
    assert_eq!(document.unsigned("none"), Ok(None));
    assert_eq!(document.unsigned("absent"), Ok(None));
    assert_eq!(document.unsigned("largest"), Ok(Some(u64::MAX)));

    let check = |error: edgeroute_wire::ScanError, expected: &str| assert_eq!(error.to_string(), expected);
    let count = "must be a whole number, 0 or more, found";
    check(
        document.string("lone").unwrap_err(),
        "escaped surrogate without its partner in a string at line 2, column 75",
    );
    assert!(document.string("backwards").unwrap_err().to_string().contains("surrogate"));
    assert!(document.string("lows").unwrap_err().to_string().contains("surrogate"));
    check(
        document.string("none").unwrap_err(),
        "field `none` must be a string, found null at line 3, column 47",
    );
    check(
        document.string("list").unwrap_err(),
        "field `list` must be a string, found an array at line 5, column 17",
    );
    check(
        document.boolean("n").unwrap_err(),
        "field `n` must be true or false, found a string at line 5, column 27",
    );
    check(
        document.unsigned("negative").unwrap_err(),
        &format!("field `negative` {count} -5 at line 4, column 21"),
    );
    check(
        document.unsigned("float").unwrap_err(),
        &format!("field `float` {count} 12.0 at line 4, column 34"),
    );
    check(
        document.unsigned("huge").unwrap_err(),
        &format!("field `huge` {count} 18446744073709551616 at line 4, column 48"),
    );
    check(document.unsigned("n").unwrap_err(), &format!("field `n` {count} a string at line 5, column 27"));
    assert!(document.unsigned("long").unwrap_err().to_string().contains("000… at line"));
    assert!(document.nested(document.get("list").unwrap()).unwrap_err().to_string().contains("an object"));
}

#[test]
fn nested_objects_have_spans_of_the_same_body() {
    let body = br#"{"a":{"x":{"deep":[1]},"y":2},"b":{"x":1,"x":2},"c":{"x":tru}}"#;
    let document = Document::scan(body).unwrap();
    let inner = document.nested(document.get("a").unwrap()).unwrap();
    assert_eq!(inner.get("y").unwrap().value.of(body), b"2");
    let innermost = inner.nested(inner.get("x").unwrap()).unwrap();
    assert_eq!(innermost.get("deep").unwrap().value.of(body), b"[1]");
    let error = document.nested(document.get("b").unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "duplicate field `x` at line 1, column 42");
    let error = document.nested(document.get("c").unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "expected a JSON value, found `t` at line 1, column 58");
}

/// Any JSON value, at most three levels deep.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|halves| Value::from(f64::from(halves) / 2.0)),
        ".{0,40}".prop_map(Value::from),
        r#"["\\\\/\n\t\x00-\x20{}\[\],:a-zé]{0,150}"#.prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(r#"[a-z"\\é\n]{0,6}"#, inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = serde_json::Map<String, Value>> {
    prop::collection::btree_map(r#"[a-z"\\é\n]{0,6}"#, json(), 0..10)
        .prop_map(|map| map.into_iter().collect())
}

fn kind_of(value: &Value) -> Kind {
    match value {
        Value::Null => Kind::Null,
        Value::Bool(_) => Kind::Boolean,
        Value::Number(_) => Kind::Number,
        Value::String(_) => Kind::String,
        Value::Array(_) => Kind::Array,
        Value::Object(_) => Kind::Object,
    }
}

/// The fields of a body as a complete parser sees them, `None` where it refuses the body or a key comes twice.
fn naive(body: &[u8]) -> Option<serde_json::Map<String, Value>> {
    struct Pairs(Vec<(String, Value)>);
    impl<'de> serde::Deserialize<'de> for Pairs {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = Pairs;
                fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    out.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                    let mut pairs = Vec::new();
                    while let Some(pair) = map.next_entry()? {
                        pairs.push(pair);
                    }
                    Ok(Pairs(pairs))
                }
            }
            deserializer.deserialize_map(Visitor)
        }
    }
    let Pairs(pairs) = serde_json::from_slice(body).ok()?;
    let keys: HashSet<&String> = pairs.iter().map(|(key, _)| key).collect();
    (keys.len() == pairs.len()).then(|| pairs.into_iter().collect())
}

fn assert_same(document: &Document<'_>, expected: &serde_json::Map<String, Value>) {
    assert_eq!(document.fields().len(), expected.len());
    for (key, value) in expected {
        let field = document.get(key).expect(key);
        assert_eq!(document.key(field), key.as_str());
        assert_eq!(field.kind, kind_of(value));
        assert_eq!(&serde_json::from_slice::<Value>(field.value.of(document.bytes())).unwrap(), value);
        if let Value::String(text) = value {
            assert_eq!(document.string(key).unwrap().unwrap(), text.as_str());
        }
        if value.is_object() {
            let inner = naive(field.value.of(document.bytes()));
            match document.nested(field) {
                Ok(nested) => assert_same(&nested, &inner.unwrap()),
                Err(error) => {
                    assert!(matches!(error.kind, ScanErrorKind::DuplicateField(_)), "{error}");
                    assert_eq!(inner, None);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn finds_what_a_parser_finds(object in object(), pretty: bool) {
        let body = if pretty { serde_json::to_vec_pretty(&object) } else { serde_json::to_vec(&object) }.unwrap();
        assert_same(&Document::scan(&body).unwrap(), &object);
    }

    /// Never stricter than a parser, and at the top level never more lenient.
    #[test]
    fn agrees_with_a_parser_about_damaged_bodies(
        object in object(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut body = serde_json::to_vec(&object).unwrap();
        for (index, byte) in cuts {
            let at = index.index(body.len());
            match byte {
                0..64 => drop(body.remove(at)),
                64..128 => body.insert(at, b"\"\\{}[],:0 \n"[usize::from(byte) % 11]),
                _ => body[at] = byte,
            }
            if body.is_empty() {
                body.push(b'{');
            }
        }
        match (Document::scan(&body), naive(&body)) {
            (Ok(document), Some(expected)) => assert_same(&document, &expected),
            (Err(error), Some(_)) => {
                // What a parser accepts but nothing can use: a lone surrogate is not one of these.
                panic!("refused a valid body: {error}: {}", String::from_utf8_lossy(&body));
            }
            (Ok(document), None) => {
                let flat = document.fields().iter().all(|field| {
                    !matches!(field.kind, Kind::Object | Kind::Array)
                        && (field.kind != Kind::String || document.string(&document.key(field)).is_ok())
                });
                // Magnitudes beyond a float are numbers of the grammar.
                let overflow = String::from_utf8_lossy(&body).contains(['e', 'E']);
                prop_assert!(!flat || overflow, "accepted {}", String::from_utf8_lossy(&body));
            }
            (Err(_), None) => {}
        }
    }

    #[test]
    fn any_bytes_are_refused_or_scanned(body in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = Document::scan(&body);
    }

    #[test]
    fn any_json_like_bytes_are_refused_or_scanned(body in r#"\{"[a-b\\"{}\[\],:0-9.eE+\-tfn \n]{0,60}"#) {
        let scanned = Document::scan(body.as_bytes());
        prop_assert!(scanned.is_ok() || naive(body.as_bytes()).is_none(), "{}", body);
    }

    #[test]
    fn every_prefix_is_refused(object in object()) {
        let body = serde_json::to_vec(&object).unwrap();
        for end in 0..body.len() {
            prop_assert!(Document::scan(&body[..end]).is_err());
        }
    }
}
