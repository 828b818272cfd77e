//! A body is scanned or refused as a complete parser reads or refuses it.
#![no_main]

use edgeroute_wire::{
    Document, Edit, Kind, MAX_DEPTH, Operation, Piece, ScanErrorKind, change_fields, include_usage, prompt,
    splice,
};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

fuzz_target!(|body: &[u8]| {
    let parsed = serde_json::from_slice::<Map<String, Value>>(body).ok();
    match (Document::scan(body), parsed) {
        (Ok(document), Some(parsed)) => assert_same(&document, &parsed),
        (Ok(document), None) => assert!(has_what_a_parser_refuses(&document), "accepted"),
        (Err(error), Some(_)) => assert!(
            // The parser takes the last of two fields, and as many as there are.
            matches!(error.kind, ScanErrorKind::DuplicateField(_) | ScanErrorKind::TooManyFields),
            "refused: {error}"
        ),
        (Err(_), None) => {}
    }
});

fn assert_same(document: &Document<'_>, parsed: &Map<String, Value>) {
    assert_eq!(document.fields().len(), parsed.len());
    for (name, value) in parsed {
        let field = document.get(name).expect(name);
        assert_eq!(&serde_json::from_slice::<Value>(field.value.of(document.bytes())).expect(name), value);
        match field.kind {
            Kind::Object => drop(document.nested(field)),
            Kind::String => assert_eq!(document.string(name).expect(name).as_deref(), value.as_str()),
            _ => {}
        }
    }
    for operation in Operation::ALL {
        prompt::measure(document, operation).last_user.text();
        let _ = prompt::max_tokens(document, operation.dialect());
    }
    if let Ok(Some(edit)) = include_usage(document) {
        let changed: Value = serde_json::from_slice(&spliced(document, &[edit])).expect("still JSON");
        assert_eq!(changed["stream_options"]["include_usage"], true);
    }
    let edits = change_fields(document, &[("model", Some("7"))]);
    let edits: Vec<_> = edits.iter().map(|(span, with)| Edit { span: *span, with }).collect();
    let changed = spliced(document, &edits);
    if !parsed.is_empty() {
        assert_eq!(serde_json::from_slice::<Value>(&changed).expect("still JSON")["model"], 7);
    }
}

fn spliced(document: &Document<'_>, edits: &[Edit<'_>]) -> Vec<u8> {
    let body = document.bytes();
    let mut out = Vec::new();
    let spliced = splice(body.len(), edits, |piece| match piece {
        Piece::Kept(range) => out.extend_from_slice(&body[range]),
        Piece::New(bytes) => out.extend_from_slice(bytes),
    });
    spliced.expect("edits in order");
    out
}

/// Of nested values only strings and brackets are checked; numbers may be of any size, and surrogates alone in strings.
fn has_what_a_parser_refuses(document: &Document<'_>) -> bool {
    document.fields().iter().any(|field| {
        let value = field.value.of(document.bytes());
        serde_json::from_slice::<Value>(value).is_err()
    }) || depth(document.bytes()) >= MAX_DEPTH - 1
}

/// How deep brackets lie at most, those in text too.
fn depth(body: &[u8]) -> u32 {
    let (mut now, mut most) = (0_u32, 0);
    for byte in body {
        match byte {
            b'[' | b'{' => now += 1,
            b']' | b'}' => now = now.saturating_sub(1),
            _ => {}
        }
        most = most.max(now);
    }
    most
}
