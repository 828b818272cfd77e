//! A body has the key of what a complete parser makes of it, however that is written.
#![no_main]

use edgeroute_cache::Reading;
use edgeroute_wire::{Document, Operation};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    let Ok(document) = Document::scan(body) else { return };
    for operation in Operation::ALL {
        let Some(reading) = Reading::of(&document, operation, &[], &[]) else { continue };
        // What does not count need not even be JSON.
        let Ok(parsed) = serde_json::from_slice::<Value>(body) else { continue };
        if has_ordered(&parsed) {
            continue;
        }
        for written in [serde_json::to_vec(&parsed), serde_json::to_vec_pretty(&parsed)] {
            let written = written.expect("a tree");
            let document = Document::scan(&written).expect("JSON");
            // White space may take it beyond the limit.
            let Some(again) = Reading::of(&document, operation, &[], &[]) else { continue };
            assert_eq!((reading.key, reading.check), (again.key, again.check), "{operation:?}");
            assert_eq!(reading.partition(b""), again.partition(b""), "{operation:?}");
            assert_eq!((&reading.question, reading.turns), (&again.question, again.turns), "{operation:?}");
        }
        let another = Reading::of(&document, operation, &[], &[b""]).expect("it has a key");
        assert!(another.key != reading.key && another.check != reading.check);
    }
});

/// Whether there are fields whose order counts: a `Value` has lost it.
fn has_ordered(value: &Value) -> bool {
    match value {
        Value::Array(elements) => elements.iter().any(has_ordered),
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| name == "properties" && value.is_object() || has_ordered(value))
        }
        _ => false,
    }
}
