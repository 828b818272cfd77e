//! A splice changes the spans it is told to and no other byte.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used)]

use edgeroute_wire::{
    Change, Document, Edit, Piece, Span, SpliceError, change_fields, include_usage, quote, splice,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn spliced(body: &[u8], edits: &[Edit<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    splice(body.len(), edits, |piece| match piece {
        Piece::Kept(range) => out.extend_from_slice(&body[range]),
        Piece::New(bytes) => out.extend_from_slice(bytes),
    })
    .unwrap();
    out
}

fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    quote(text, &mut out);
    out
}

#[test]
fn makes_a_stream_report_its_usage() {
    let check = |body: &str, expected: Option<&str>| {
        let edit = include_usage(&Document::scan(body.as_bytes()).unwrap()).unwrap();
        let changed = edit.map(|edit| String::from_utf8(spliced(body.as_bytes(), &[edit])).unwrap());
        assert_eq!(changed.as_deref(), expected, "{body}");
    };
    check("{}", Some(r#"{"stream_options":{"include_usage":true}}"#));
    check(" { \n} ", Some(" {\"stream_options\":{\"include_usage\":true} \n} "));
    check(r#"{"a":1}"#, Some(r#"{"stream_options":{"include_usage":true},"a":1}"#));
    check(r#" { "a":1}"#, Some(r#" {"stream_options":{"include_usage":true}, "a":1}"#));
    check(r#"{"stream_options":null,"a":1}"#, Some(r#"{"stream_options":{"include_usage":true},"a":1}"#));
    check(r#"{"stream_options": { }}"#, Some(r#"{"stream_options": {"include_usage":true }}"#));
    check(r#"{"stream_options":{"x":1}}"#, Some(r#"{"stream_options":{"include_usage":true,"x":1}}"#));
    check(
        r#"{"stream_options":{"include_usage":false,"x":1}}"#,
        Some(r#"{"stream_options":{"include_usage":true,"x":1}}"#),
    );
    check(
        r#"{"stream_options":{"include_usage" : null}}"#,
        Some(r#"{"stream_options":{"include_usage" : true}}"#),
    );
    check(r#"{"stream_options":{"include_usage":true}}"#, None);
    check(r#"{"stream_\u006fptions":{"include_usage":true}}"#, None);
    check(
        r#"{"a":{"stream_options":{"include_usage":true}}}"#,
        Some(r#"{"stream_options":{"include_usage":true},"a":{"stream_options":{"include_usage":true}}}"#),
    );
}

fn changed(body: &str, changes: &[Change<'_>]) -> String {
    let edits = change_fields(&Document::scan(body.as_bytes()).unwrap(), changes);
    let edits: Vec<Edit<'_>> = edits.iter().map(|(span, with)| Edit { span: *span, with }).collect();
    String::from_utf8(spliced(body.as_bytes(), &edits)).unwrap()
}

#[test]
fn changes_top_level_fields_and_no_other_byte() {
    let check = |changes: &[Change<'_>], expected: &str| {
        assert_eq!(changed(r#" {"a" : 1, "b":[ 2 ] , "c":"\u0033"} "#, changes), expected);
    };
    check(&[], r#" {"a" : 1, "b":[ 2 ] , "c":"\u0033"} "#);
    check(&[("b", Some("0.20"))], r#" {"a" : 1, "b":0.20 , "c":"\u0033"} "#);
    check(&[("new\"", Some("{}"))], r#" {"new\"":{},"a" : 1, "b":[ 2 ] , "c":"\u0033"} "#);
    check(&[("x", Some("1")), ("y", Some("2"))], r#" {"x":1,"y":2,"a" : 1, "b":[ 2 ] , "c":"\u0033"} "#);
    check(&[("a", None)], r#" {"b":[ 2 ] , "c":"\u0033"} "#);
    check(&[("b", None)], r#" {"a" : 1 , "c":"\u0033"} "#);
    check(&[("c", None)], r#" {"a" : 1, "b":[ 2 ]} "#);
    check(&[("a", None), ("b", None)], r#" {"c":"\u0033"} "#);
    check(&[("c", None), ("b", None), ("z", None)], r#" {"a" : 1} "#);
    check(&[("a", None), ("c", None)], r#" {"b":[ 2 ]} "#);
    check(&[("a", None), ("n", Some("1"))], r#" {"n":1,"b":[ 2 ] , "c":"\u0033"} "#);
    assert_eq!(changed(r#"{"\u0061":1,"b":2}"#, &[("a", None)]), r#"{"b":2}"#);
}

#[test]
fn leaves_malformed_stream_options_to_the_client() {
    let check = |body: &str, expected: &str| {
        let error = include_usage(&Document::scan(body.as_bytes()).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), expected, "{body}");
    };
    check(
        r#"{"stream_options":1}"#,
        "field `stream_options` must be an object, found 1 at line 1, column 19",
    );
    check(
        r#"{"stream_options":{"include_usage":"yes"}}"#,
        "field `include_usage` must be true or false, found a string at line 1, column 36",
    );
}

#[test]
fn tells_the_pieces_that_are_not_empty() {
    let check = |edits: &[(u32, u32, &'static [u8])], expected: &[Piece<'_>]| {
        let edit = |&(start, end, with)| Edit { span: Span { start, end }, with };
        let edits: Vec<Edit<'_>> = edits.iter().map(edit).collect();
        let mut pieces = Vec::new();
        splice(10, &edits, |piece| pieces.push(piece)).unwrap();
        assert_eq!(pieces, expected, "{edits:?}");
    };
    use Piece::{Kept, New};
    check(&[], &[Kept(0..10)]);
    check(&[(0, 0, b"")], &[Kept(0..10)]);
    check(&[(0, 10, b"")], &[]);
    check(&[(0, 2, b"a"), (2, 2, b"b"), (8, 10, b"c")], &[New(b"a"), New(b"b"), Kept(2..8), New(b"c")]);
    check(&[(3, 5, b"")], &[Kept(0..3), Kept(5..10)]);
}

#[test]
fn refuses_edits_that_are_not_in_order_before_telling_anything() {
    let check = |spans: &[(u32, u32)], expected: Result<(), SpliceError>| {
        let edits: Vec<Edit<'_>> = spans
            .iter()
            .map(|(start, end)| Edit { span: Span { start: *start, end: *end }, with: b"-" })
            .collect();
        let mut told = 0;
        assert_eq!(splice(10, &edits, |_| told += 1), expected, "{spans:?}");
        assert_eq!(told == 0, expected.is_err());
    };
    check(&[], Ok(()));
    check(&[(0, 0), (0, 2), (2, 2), (2, 10), (10, 10)], Ok(()));
    check(&[(0, 3), (2, 4)], Err(SpliceError { index: 1 }));
    check(&[(4, 5), (2, 3)], Err(SpliceError { index: 1 }));
    check(&[(3, 2)], Err(SpliceError { index: 0 }));
    check(&[(0, 11)], Err(SpliceError { index: 0 }));
}

/// A body as a client would send it, with any of the fields that are changed and unknown ones between them.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let options = prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        Just(Some(json!({}))),
        Just(Some(json!({"other": [1, {"include_usage": true}]}))),
        any::<bool>().prop_map(|include| Some(json!({"include_usage": include, "z": 1}))),
    ];
    let other = prop::collection::btree_map("[a-z\"\\\\é]{0,8}", ".{0,30}", 0..12);
    (prop::option::of(".{0,20}"), options, other, any::<bool>()).prop_map(
        |(model, options, other, pretty)| {
            let mut object: Map<String, Value> = other
                .into_iter()
                .map(|(key, text)| (key, json!({"text": text, "list": [text, 1.5, null]})))
                .collect();
            model.map(|model| object.insert("model".into(), model.into()));
            options.map(|options| object.insert("stream_options".into(), options));
            if pretty { serde_json::to_vec_pretty(&object) } else { serde_json::to_vec(&object) }.unwrap()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_fields_are_what_a_parser_would_make(
        fields in prop::collection::btree_map("[a-f]", 0u32..100, 1..6),
        changes in prop::collection::btree_map("[a-h]", prop::option::of(0u32..100), 0..8),
    ) {
        let mut expected: Map<String, Value> =
            fields.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        expected.insert("model".into(), json!("m"));
        let body = Value::Object(expected.clone()).to_string().replace(',', " ,\n ");
        let texts: Vec<(&str, Option<String>)> =
            changes.iter().map(|(name, value)| (name.as_str(), value.map(|value| value.to_string()))).collect();
        let written: Vec<Change<'_>> = texts.iter().map(|(name, value)| (*name, value.as_deref())).collect();
        for (name, value) in changes.clone() {
            match value {
                Some(value) => expected.insert(name, json!(value)),
                None => expected.remove(&name),
            };
        }
        let found: Value = serde_json::from_str(&changed(&body, &written)).unwrap();
        prop_assert_eq!(found, Value::Object(expected));
    }

    #[test]
    fn changes_what_it_should_and_nothing_else(body in body(), model in any::<String>()) {
        let document = Document::scan(&body).unwrap();
        let model_value = quoted(&model);
        let mut edits: Vec<Edit<'_>> = include_usage(&document).unwrap().into_iter().collect();
        edits.extend(document.get("model").map(|field| Edit::value(field, &model_value)));
        edits.sort_by_key(|edit| edit.span.start);
        let changed = spliced(&body, &edits);

        let mut expected: Map<String, Value> = serde_json::from_slice(&body).unwrap();
        if let Some(value) = expected.get_mut("model") {
            *value = model.into();
        }
        let options = expected.entry("stream_options").or_insert(Value::Null);
        if options.is_null() {
            *options = json!({});
        }
        options["include_usage"] = true.into();
        prop_assert_eq!(serde_json::from_slice::<Map<String, Value>>(&changed).unwrap(), expected);

        // Walk both bodies side by side: outside of the spans every byte is the same.
        let (mut before, mut after) = (0, 0);
        for edit in &edits {
            let kept = edit.span.start as usize - before;
            prop_assert_eq!(&changed[after..after + kept], &body[before..before + kept]);
            before = edit.span.end as usize;
            after += kept + edit.with.len();
        }
        prop_assert_eq!(&changed[after..], &body[before..]);
    }

    #[test]
    fn quotes_as_a_serializer_does(text in any::<String>()) {
        prop_assert_eq!(serde_json::from_slice::<String>(&quoted(&text)).unwrap(), text);
    }
}

#[test]
fn quotes_every_control_character() {
    let text: String = ('\0'..='\u{7f}').collect();
    assert_eq!(serde_json::from_slice::<String>(&quoted(&text)).unwrap(), text);
}
