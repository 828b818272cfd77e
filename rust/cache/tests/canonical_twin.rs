//! Keys beside a naive twin: bodies parsed by serde_json, what does not count removed, and compared as values.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use edgeroute_cache::Reading;
use edgeroute_wire::{Document, Operation};
use proptest::prelude::*;
use serde_json::{Map, Value};

/// Names that count and names that do not, at the top and inside.
const NAMES: &[&str] =
    &["messages", "temperature", "user", "n", "stop", "role", "content", "x", "é\"", "store", ""];

/// What of a body must be the same for two requests to be the same.
fn naive(body: &str) -> Map<String, Value> {
    let Value::Object(mut body) = plain_numbers(serde_json::from_str(body).unwrap()) else { unreachable!() };
    body.retain(|name, value| match name.as_str() {
        "user" | "store" => false,
        "n" => !value.is_null() && value.as_f64() != Some(1.0),
        "temperature" | "stop" => !value.is_null(),
        _ => true,
    });
    body
}

fn plain_numbers(value: Value) -> Value {
    match value {
        // 0.0 and -0.0 are equal.
        Value::Number(number) => Value::from(number.as_f64().unwrap() + 0.0),
        Value::Array(elements) => elements.into_iter().map(plain_numbers).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, plain_numbers(value))).collect()
        }
        other => other,
    }
}

fn key(body: &str) -> (u128, u128, u128) {
    let document = Document::scan(body.as_bytes()).unwrap();
    let reading = Reading::of(&document, Operation::ChatCompletions, &[], &[b"tenant"]).unwrap();
    (reading.key.0, reading.check, reading.partition(b""))
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        // Fractions that are exact in binary, so that the twin's numbers are.
        (-40_i32..40).prop_map(|quarters| Value::from(f64::from(quarters) / 4.0)),
        prop::sample::select(vec![100.0, 1e6, 12e9]).prop_map(Value::from),
        prop::sample::select(vec!["", "a", "user", "1", "null", "*", "\u{0}", "é😀\n\"\\/", "ab"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            fields(inner).prop_map(Value::Object),
        ]
    })
}

fn fields(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    let name = prop::sample::select(NAMES).prop_map(String::from);
    prop::collection::vec((name, value), 0..5).prop_map(Map::from_iter)
}

fn chat() -> impl Strategy<Value = Map<String, Value>> {
    let message = (prop::sample::select(vec!["user", "assistant"]), value()).prop_map(|(role, content)| {
        Value::Object(Map::from_iter([("role".into(), Value::from(role)), ("content".into(), content)]))
    });
    let messages = prop::collection::vec(message, 0..4).prop_map(Value::from);
    (fields(value()), prop::option::of(messages)).prop_map(|(mut body, messages)| {
        body.extend(messages.map(|messages| ("messages".to_owned(), messages)));
        body
    })
}

/// Writes values in ways that JSON leaves open.
struct Writer(u64);

impl Writer {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn space(&mut self) -> &'static str {
        ["", "", " ", "\n\t", "\r\n  "][self.below(5)]
    }

    fn text(&mut self, text: &str) -> String {
        let mut written = String::from("\"");
        for character in text.chars() {
            let quoted = serde_json::to_string(&character).unwrap();
            match self.below(3) {
                0 => written
                    .extend(character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04X}"))),
                1 if character == '/' => written.push_str("\\/"),
                _ => written.push_str(&quoted[1..quoted.len() - 1]),
            }
        }
        written + "\""
    }

    fn number(&mut self, number: f64) -> String {
        match self.below(4) {
            0 => format!("{number}"),
            1 => format!("{number:.3}"),
            2 => format!("{number:e}"),
            _ => format!("{:.4}E+1", number / 10.0)
                .replace("E+1", if self.below(2) == 0 { "E+1" } else { "e01" }),
        }
    }

    fn write(&mut self, value: &Value) -> String {
        let written = match value {
            Value::Number(number) => self.number(number.as_f64().unwrap()),
            Value::String(text) => self.text(text),
            Value::Array(elements) => {
                let elements: Vec<_> = elements.iter().map(|element| self.write(element)).collect();
                format!("[{}{}]", self.space(), elements.join(","))
            }
            Value::Object(fields) => self.fields(fields),
            other => other.to_string(),
        };
        format!("{}{written}{}", self.space(), self.space())
    }

    fn fields(&mut self, fields: &Map<String, Value>) -> String {
        let mut written: Vec<_> = fields
            .iter()
            .map(|(name, value)| {
                format!("{}{}{}:{}", self.space(), self.text(name), self.space(), self.write(value))
            })
            .collect();
        for index in (1..written.len()).rev() {
            written.swap(index, self.below(index + 1));
        }
        format!("{{{}{}}}", written.join(","), self.space())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn equal_bodies_have_equal_keys_however_they_are_written(body in chat(), one: u64, other: u64) {
        let (one, other) = (Writer(one).fields(&body), Writer(other).fields(&body));
        prop_assert_eq!(naive(&one), naive(&other));
        prop_assert_eq!(key(&one), key(&other), "{}\n{}", one, other);
    }

    #[test]
    fn keys_are_equal_exactly_if_bodies_are(one in fields(value()), other in fields(value())) {
        let (one, other) = (Writer(1).fields(&one), Writer(2).fields(&other));
        prop_assert_eq!(key(&one).0 == key(&other).0, naive(&one) == naive(&other), "{}\n{}", one, other);
        prop_assert_eq!(key(&one).1 == key(&other).1, naive(&one) == naive(&other), "{}\n{}", one, other);
    }

    #[test]
    fn any_single_change_changes_the_key(body in chat(), with in value(), at: prop::sample::Index, seed: u64) {
        let mut changed = Value::Object(body.clone());
        let mut places = Vec::new();
        pointers(&changed, String::new(), &mut places);
        *changed.pointer_mut(&places[at.index(places.len())]).unwrap() = with;
        let Value::Object(changed) = changed else { return Ok(()) };
        let (one, other) = (Writer(seed).fields(&body), Writer(!seed).fields(&changed));
        prop_assert_eq!(key(&one).0 == key(&other).0, naive(&one) == naive(&other), "{}\n{}", one, other);
    }
}

/// Where in a value there are values.
fn pointers(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Array(elements) => {
            elements
                .iter()
                .enumerate()
                .for_each(|(index, inner)| pointers(inner, format!("{at}/{index}"), places));
        }
        Value::Object(fields) => {
            for (name, inner) in fields {
                pointers(inner, format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), places);
            }
        }
        _ => {}
    }
    places.push(at);
}
