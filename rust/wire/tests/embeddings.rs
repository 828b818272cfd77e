//! Several texts in one request: each by itself, and together again.
#![allow(clippy::unwrap_used, missing_docs)]

use edgeroute_wire::embeddings::{Embeddings, input, read, texts};
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn texts_of_an_input() {
    let check = |written: &str, expected: Option<&[&str]>| {
        let found = texts(written.as_bytes());
        let found = found
            .map(|texts| texts.into_iter().map(|text| str::from_utf8(text).unwrap()).collect::<Vec<_>>());
        assert_eq!(found.as_deref(), expected, "{written}");
    };
    check(r#"["a", "b\"],[" ,"é"]"#, Some(&[r#""a""#, r#""b\"],[""#, r#""é""#]));
    check(r#"["a"]"#, Some(&[r#""a""#]));
    check("[[1, 2],[3]]", Some(&["[1, 2]", "[3]"]));
    for one in [r#""a""#, "[1, 2]", "[]", "null", "{}", r#"["a", 1]"#, r#"["a", null]"#, r#"["a""#, "", "["] {
        check(one, None);
    }
}

#[test]
fn replies_have_one_vector_for_each_text() {
    let check = |reply: &Value, count, expected: Option<(&[&str], u64)>| {
        let written = reply.to_string();
        let found = read(written.as_bytes(), count);
        let vectors = found.map(|found| {
            let vectors = found.vectors.iter().map(|vector| String::from_utf8(vector.to_vec()).unwrap());
            (vectors.collect::<Vec<_>>(), found.tokens)
        });
        let expected =
            expected.map(|(vectors, tokens)| (vectors.iter().map(|v| (*v).to_owned()).collect(), tokens));
        assert_eq!(vectors, expected, "{reply}");
    };
    let vector =
        |index: Value, value: Value| json!({"object": "embedding", "index": index, "embedding": value});
    let reply = |data: Vec<Value>| json!({"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 7}});
    let (a, b) = (vector(json!(0), json!([0.5, -1])), vector(json!(1), json!("AAAA")));
    check(&reply(vec![a.clone(), b.clone()]), 2, Some((&["[0.5,-1]", "\"AAAA\""], 7)));
    check(&reply(vec![b.clone(), a.clone()]), 2, Some((&["[0.5,-1]", "\"AAAA\""], 7)));
    check(&json!({"data": [{"embedding": [1]}, {"embedding": [2]}]}), 2, Some((&["[1]", "[2]"], 0)));
    check(&reply(vec![a.clone()]), 2, None);
    check(&reply(vec![a.clone(), b.clone()]), 1, None);
    check(&reply(vec![a.clone(), a.clone()]), 2, None);
    check(&reply(vec![a.clone(), vector(json!(5), json!([1]))]), 2, None);
    check(&reply(vec![vector(json!(-1), json!([1]))]), 1, None);
    check(&reply(vec![vector(json!(0), json!(null))]), 1, None);
    check(&json!({"data": "none"}), 1, None);
    check(&json!({"data": [7]}), 1, None);
    check(&json!([]), 0, None);
    assert_eq!(read(b"not json", 1), None);
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        vectors in prop::collection::vec(prop::collection::vec(-1.0..1.0_f64, 0..5), 1..6),
        tokens in 0..1_000_u64,
        named in any::<bool>(),
    ) {
        let vectors: Vec<String> = vectors.iter().map(|vector| json!(vector).to_string()).collect();
        let model: &[u8] = if named { br#""m\"odel""# } else { b"" };
        let embeddings = Embeddings { model, vectors: vectors.iter().map(|vector| vector.as_bytes()).collect(), tokens };
        let written = embeddings.write();
        let value: Value = serde_json::from_slice(&written).unwrap();
        prop_assert_eq!(value["data"].as_array().unwrap().len(), vectors.len());
        prop_assert_eq!(read(&written, vectors.len()), Some(embeddings));
    }

    #[test]
    fn texts_put_together_are_the_input(items in prop::collection::vec("[a\"\\\\,\\[\\]\u{e9}]{0,4}", 1..6)) {
        let quoted: Vec<String> = items.iter().map(|item| json!(item).to_string()).collect();
        let whole = input(quoted.iter().map(|item| item.as_bytes()));
        prop_assert_eq!(&serde_json::from_slice::<Value>(&whole).unwrap(), &json!(items));
        prop_assert_eq!(texts(&whole).unwrap(), quoted.iter().map(|item| item.as_bytes()).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_makes_it_fail(bytes in "[\\[\\]{}\",:0-9a-z\\\\]{0,60}", count in 0_usize..4) {
        _ = texts(bytes.as_bytes());
        _ = read(bytes.as_bytes(), count);
        _ = read(format!("{{\"data\":[{bytes}]}}").as_bytes(), count);
    }
}
