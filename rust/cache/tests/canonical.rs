//! Which requests have the same key, and what else is read of them.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use edgeroute_cache::{Key, Reading};
use edgeroute_wire::{Change, Document, Operation};

use Operation::{ChatCompletions, Completions, CountTokens, Embeddings, Messages, Responses};

fn read<'b>(
    operation: Operation,
    body: &'b str,
    changes: &[Change<'b>],
    parts: &[&[u8]],
) -> Option<Reading<'b>> {
    Reading::of(&Document::scan(body.as_bytes()).unwrap(), operation, changes, parts)
}

fn key(operation: Operation, body: &str) -> Option<(Key, u128)> {
    read(operation, body, &[], &[]).map(|reading| (reading.key, reading.check))
}

/// Bodies of one line mean the same, those of two lines do not.
fn check(operation: Operation, lines: &[&[&str]]) {
    let keys =
        lines.iter().map(|same| same.iter().map(|body| (body, key(operation, body).expect(body))).collect());
    let keys: Vec<Vec<_>> = keys.collect();
    for (line, same) in keys.iter().enumerate() {
        for (other_line, others) in keys.iter().enumerate() {
            for ((one, one_key), (other, other_key)) in
                same.iter().flat_map(|one| others.iter().map(move |it| (one, it)))
            {
                assert_eq!(one_key.0 == other_key.0, line == other_line, "{one}\n{other}");
                assert_eq!(one_key.1 == other_key.1, line == other_line, "{one}\n{other}");
            }
        }
    }
}

#[test]
fn a_request_has_one_key_however_it_is_written() {
    check(
        ChatCompletions,
        &[
            &[
                r#"{"model":"m","messages":[{"role":"user","content":"Grüße, \"Welt\" 😀"}]}"#,
                r#" { "messages" : [ { "content" : "Grüße, \"Welt\" 😀" , "role" : "user" } ] , "model" : "m" } "#,
                r#"{"\u006dodel":"\u006d","messages":[{"role":"us\u0065r","content":"Gr\u00fc\u00DFe, \u0022Welt\" \ud83d\ude00"}]}"#,
                r#"{"model":"m","messages":[{"role":"user","content":"Grüße, \"Welt\" 😀"}],"user":"u","metadata":{"a":[1]},
                    "store":true,"service_tier":"flex","safety_identifier":"s","prompt_cache_key":"k"}"#,
                r#"{"model":"m","messages":[{"role":"user","content":"Grüße, \"Welt\" 😀"}],"temperature":null,"n":1e0,
                    "stream":false,"stop":null,"tools":null,"response_format":{"type":"text"},"presence_penalty":-0.0}"#,
            ],
            &[r#"{"model":"m","messages":[{"role":"user","content":"Grüße, \"Welt\" 😁"}]}"#],
            &[r#"{"model":"n","messages":[{"role":"user","content":"Grüße, \"Welt\" 😀"}]}"#],
            &[r#"{"model":"m","messages":[{"role":"system","content":"Grüße, \"Welt\" 😀"}]}"#],
            &[r#"{"model":"m","messages":[{"role":"user","content":["Grüße, \"Welt\" 😀"]}]}"#],
            &[r#"{"model":"m","messages":[{"role":"user","content":"Grüße, \"Welt\" 😀"}],"stream":true}"#],
            &[r#"{"model":"m","messages":[{"role":"user","content":"Grüße, \"Welt\" 😀"}],"x":null}"#],
            &[r#"{"model":"m","messages":[{"role":"user","content":"Grüße, \"Welt\" 😀"}],"x":{"user":1}}"#],
            &[r#"{"model":"m","messages":[{"role":"user","content":"Grüße, \"Welt\" 😀"}],"temperature":0}"#],
            // Which temperature is meant by none, only the provider knows.
            &[r#"{"model":"m","messages":[{"role":"user","content":"Grüße, \"Welt\" 😀"}],"temperature":1}"#],
            &[r#"{"model":"m","messages":[{"role":"user","content":"Grüße, \"Welt\" 😀"}],"top_p":1}"#],
            &[
                r#"{"model":"m","messages":[{"role":"user","content":"Grüße, \"Welt\" 😀"}],"temperature":"1"}"#,
            ],
            &[
                r#"{"model":"m","messages":[{"role":"user","content":"Grüße, \"Welt\" 😀"}],"response_format":{"type":"text","x":1}}"#,
            ],
        ],
    );
}

#[test]
fn what_stands_for_nothing_depends_on_the_operation() {
    check(
        Completions,
        &[
            &[r#"{"prompt":"a"}"#, r#"{"prompt":"a","best_of":1,"echo":false,"suffix":null}"#],
            &[r#"{"prompt":"a","store":true}"#],
            &[r#"{"prompt":"a","best_of":2}"#],
        ],
    );
    check(
        Embeddings,
        &[
            &[r#"{"input":"a"}"#, r#"{"input":"a","encoding_format":"float","user":"u"}"#],
            &[r#"{"input":"a","encoding_format":"base64"}"#],
            &[r#"{"input":["a"]}"#],
            &[r#"{"input":"a","temperature":1}"#],
        ],
    );
    check(
        Responses,
        &[
            &[r#"{"input":"a"}"#, r#"{"input":"a","store":true,"background":false,"truncation":"disabled"}"#],
            &[r#"{"input":"a","store":false}"#],
            // A response repeats what these say.
            &[r#"{"input":"a","metadata":{"customer":"bob"}}"#],
            &[r#"{"input":"a","metadata":{"customer":"eve"}}"#],
            &[r#"{"input":"a","user":"bob"}"#],
            &[r#"{"input":"a","service_tier":"flex"}"#],
            &[r#"{"input":"a","safety_identifier":"s"}"#],
            &[r#"{"input":"a","prompt_cache_key":"k"}"#],
            &[r#"{"input":[{"role":"user","content":"a"}]}"#],
        ],
    );
    let messages = r#"{"messages":[{"role":"user","content":"a"}]}"#;
    for operation in [Messages, CountTokens] {
        check(
            operation,
            &[
                &[
                    messages,
                    r#"{"metadata":{"user_id":"u"},"temperature":null,"messages":[{"role":"user","content":"a"}]}"#,
                ],
                &[r#"{"messages":[{"role":"user","content":"a"}],"n":1}"#],
            ],
        );
    }
    assert_ne!(key(Messages, messages), key(CountTokens, messages));
}

#[test]
fn models_fill_the_properties_of_a_schema_in_their_order() {
    let body = |schema: &str| {
        format!(
            r#"{{"messages":[],"response_format":{{"type":"json_schema","json_schema":{{"name":"n","schema":{schema}}}}}}}"#
        )
    };
    let reason_first =
        r#"{"type":"object","properties":{"reason":{"type":"string"},"answer":{"type":"string"}}}"#;
    let written_otherwise =
        r#"{"properties" : {"reason":{"type":"string"}, "\u0061nswer":{"type":"string"}}, "type":"object"}"#;
    let answer_first =
        r#"{"type":"object","properties":{"answer":{"type":"string"},"reason":{"type":"string"}}}"#;
    let inside = |schema: &str| format!(r#"{{"type":"object","properties":{{"properties":{schema}}}}}"#);
    check(
        ChatCompletions,
        &[
            &[&body(reason_first), &body(written_otherwise)],
            &[&body(answer_first)],
            &[&body(&inside(reason_first))],
            &[&body(&inside(answer_first))],
        ],
    );
    let tools =
        |schema: &str| format!(r#"{{"messages":[],"tools":[{{"name":"n","input_schema":{schema}}}]}}"#);
    check(Messages, &[&[&tools(reason_first), &tools(written_otherwise)], &[&tools(answer_first)]]);
}

#[test]
fn what_rules_change_and_the_partition_belong_to_the_key() {
    let body = r#"{"model":"m","temperature":0,"messages":[]}"#;
    let with = |changes: &[Change<'static>]| read(ChatCompletions, body, changes, &[]).unwrap().key;
    let written = |body: &str| key(ChatCompletions, body).unwrap().0;
    assert_eq!(with(&[]), written(body));
    assert_eq!(with(&[("temperature", None)]), written(r#"{"model":"m","messages":[]}"#));
    assert_eq!(with(&[("temperature", Some("null"))]), written(r#"{"model":"m","messages":[]}"#));
    assert_eq!(
        with(&[("seed", Some("7")), ("model", Some("\"n\""))]),
        written(r#"{"model":"n","seed":7,"temperature":0,"messages":[]}"#)
    );
    assert_eq!(with(&[("user", Some("7"))]), with(&[]));
    let mut seen = std::collections::HashSet::new();
    let parts: &[&[&[u8]]] = &[
        &[],
        &[b""],
        &[b"", b""],
        &[b"a"],
        &[b"a", b""],
        &[b"", b"a"],
        &[b"ab"],
        &[b"a", b"b"],
        &[b"b", b"a"],
    ];
    for parts in parts {
        let reading = read(ChatCompletions, body, &[], parts).unwrap();
        assert!(seen.insert(reading.key.0) && seen.insert(reading.check), "{parts:?}");
        assert!(seen.insert(reading.partition(b"")) && seen.insert(reading.partition(b"2")), "{parts:?}");
    }
}

#[test]
fn what_cannot_be_told_apart_has_no_key() {
    for wrong in [
        r#"{"a":{"b":1,"b":1}}"#,
        r#"{"a":[{"b":1,"\u0062":2}]}"#,
        r#"{"a":"\ud800"}"#,
        r#"{"a":{"\udc00":1}}"#,
        r#"{"a":"\ud800\ud800"}"#,
        r#"{"a":[1,]}"#,
        r#"{"a":[01]}"#,
        r#"{"a":{"b" 1}}"#,
        r#"{"a":{"b":1,}}"#,
        r#"{"a":[1 2]}"#,
        r#"{"a":["\x"]}"#,
        "{\"a\":[\"\n\"]}",
        r#"{"a":[nul]}"#,
        r#"{"a":1e99999999999}"#,
    ] {
        // What is wrong at the top is refused before.
        if Document::scan(wrong.as_bytes()).is_ok() {
            assert!(key(ChatCompletions, wrong).is_none(), "{wrong}");
        }
    }
    let deep = |levels: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    assert!(key(ChatCompletions, &deep(120)).is_some());
    let sized = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));
    assert!(key(ChatCompletions, &sized(65_536)).is_some());
    assert_eq!(key(ChatCompletions, &sized(65_537)), None);
}

#[test]
fn reads_the_question_and_what_decides_about_keeping_an_answer() {
    let body = r#"{"model":"m","n":2,"temperature":0.2,"tools":[{"type":"function"}],"messages":[
        {"role":"system","content":"s"},{"role":"user","content":"a"},{"role":"assistant","content":"b"},
        {"role":"user","content":[{"type":"text","text":"c\n"},{"type":"text","text":"d"}]}]}"#;
    let reading = read(ChatCompletions, body, &[], &[]).unwrap();
    assert_eq!(reading.question.as_deref(), Some("c\n\nd"));
    assert_eq!((reading.turns, reading.answers), (2, 2));
    assert!(reading.tools && !reading.media && !reading.stateful);

    let question =
        |operation, body| read(operation, body, &[], &[]).unwrap().question.map(|text| text.into_owned());
    for (operation, body, expected) in [
        (ChatCompletions, r#"{"messages":[{"role":"user","content":"a\u00e9"}]}"#, Some("aé")),
        (ChatCompletions, r#"{"messages":[{"role":"user","content":""}]}"#, Some("")),
        (
            ChatCompletions,
            r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#,
            None,
        ),
        (
            ChatCompletions,
            r#"{"messages":[{"role":"user","content":"a"},{"role":"tool","content":"b"}]}"#,
            None,
        ),
        (
            ChatCompletions,
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{}}]}]}"#,
            None,
        ),
        (ChatCompletions, r#"{"messages":[{"role":"user","content":[]}]}"#, None),
        (ChatCompletions, r#"{"messages":[{"role":"user","content":null}]}"#, None),
        (ChatCompletions, r#"{"messages":[{"role":"user"}]}"#, None),
        (ChatCompletions, r#"{"messages":[1,"a"]}"#, None),
        (ChatCompletions, r#"{"messages":"a"}"#, None),
        (ChatCompletions, r#"{"input":"a"}"#, None),
        (
            Messages,
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]}]}"#,
            Some("a"),
        ),
        (
            Messages,
            r#"{"messages":[{"role":"user","content":[{"type":"tool_result","content":"a"}]}]}"#,
            None,
        ),
        (
            Messages,
            r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#,
            None,
        ),
        (Responses, r#"{"input":"a"}"#, Some("a")),
        (Responses, r#"{"input":[{"role":"user","content":[{"type":"input_text","text":"a"}]}]}"#, Some("a")),
        (Responses, r#"{"input":[{"type":"function_call_output","output":"a"}]}"#, None),
        (Completions, r#"{"prompt":"a"}"#, None),
        (Embeddings, r#"{"input":"a"}"#, None),
    ] {
        assert_eq!(question(operation, body).as_deref(), expected, "{body}");
    }
    let media = |body| read(ChatCompletions, body, &[], &[]).unwrap().media;
    assert!(media(
        r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]},{"role":"user","content":"a"}]}"#
    ));
    assert!(media(r#"{"messages":[],"audio":{}}"#));
    assert!(!media(r#"{"messages":[{"role":"user","content":"image_url"}],"audio":null}"#));
    let stateful = |body| read(Responses, body, &[], &[]).unwrap().stateful;
    assert!(
        stateful(r#"{"input":"a","previous_response_id":"r"}"#)
            && stateful(r#"{"input":"a","background":true}"#)
    );
    assert!(!stateful(r#"{"input":"a","previous_response_id":null,"background":false}"#));
    let tools = |body| read(Messages, body, &[], &[]).unwrap().tools;
    assert!(tools(r#"{"tools":[{}]}"#) && tools(r#"{"mcp_servers":[{}]}"#) && !tools(r#"{"tools":[]}"#));
}

#[test]
fn a_partition_is_everything_but_the_question() {
    let partition = |operation, body| read(operation, body, &[], &[]).unwrap().partition(b"1");
    let base = partition(ChatCompletions, r#"{"model":"m","messages":[{"role":"user","content":"a"}]}"#);
    for same in [
        r#"{"model":"m","messages":[{"role":"user","content":"another question"}]}"#,
        r#"{"model":"m","messages":[{"content":[{"type":"text","text":"a"}],"role":"user"}],"user":"x"}"#,
    ] {
        assert_eq!(partition(ChatCompletions, same), base, "{same}");
    }
    for other in [
        r#"{"model":"n","messages":[{"role":"user","content":"a"}]}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"a","name":"x"}]}"#,
        r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"a"}]}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","content":"*"}]}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"a"}],"stop":["x"]}"#,
    ] {
        assert_ne!(partition(ChatCompletions, other), base, "{other}");
    }
    assert_ne!(
        key(ChatCompletions, r#"{"messages":[{"role":"user","content":"a\nb"}]}"#),
        key(
            ChatCompletions,
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]}"#
        )
    );
}
