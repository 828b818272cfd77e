//! What a judge is asked, and what counts of what it says.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;
#[allow(dead_code, unreachable_pub)]
mod recalled;

use common::{AT, openai, provider, spliced};
use edgeroute_cache::Verdict;
use edgeroute_router::{Judge, Ticket, forward};
use proptest::prelude::*;
use recalled::{Cached, chat, leave};
use serde_json::{Value, json};

fn cached(dialect: &str) -> Cached {
    let mut config = recalled::config(json!({"mode": "semantic"}));
    config["providers"] = json!([openai("one"), provider("two", dialect, &["http://two"])]);
    config["models"][0]["judge"] = json!({"provider": "two", "model": "wise"});
    Cached::new(&config)
}

#[test]
fn it_is_asked_in_the_dialect_of_its_provider() {
    for (dialect, path, task, version) in [
        ("openai-chat", "/chat/completions", "/messages/0/content", None),
        ("anthropic-messages", "/messages", "/system", Some("anthropic-version")),
    ] {
        let cached = cached(dialect);
        let ticket = cached.ask(&chat(json!({})));
        let judge = ticket.judge().unwrap();
        assert_eq!(&*judge.name, "two/wise");
        let body = judge.ask("It is far.", "Not near.", 7);
        let host = &cached.host;
        let asked = Ticket::inquire(&host.snapshot, &host.row, judge.target, judge.operation, &body, AT);
        let asked = asked.unwrap();
        assert_eq!(asked.attempt(AT).unwrap().path, path);
        let sent: Value = serde_json::from_slice(&spliced(&asked, &body)).unwrap();
        assert_eq!(
            (&sent["model"], &sent["temperature"], &sent["max_tokens"]),
            (&json!("wise"), &json!(0), &json!(8))
        );
        assert!(sent.pointer(task).unwrap().as_str().unwrap().contains("yes or no"), "{sent}");
        let last = sent["messages"].as_array().unwrap().last().unwrap();
        let mark = format!("{:032x}", 7);
        assert_eq!(last["content"], format!("{mark}\nIt is far.\n{mark}\nNot near.\n{mark}\n"));
        let headers = forward::own_headers(asked.dialect());
        assert_eq!(headers.first().map(|(name, _)| *name), version);
        leave(asked);
        leave(ticket);
    }
    let without = Cached::with(json!({"mode": "semantic"}));
    let ticket = without.ask(&chat(json!({})));
    assert!(ticket.judge().is_none());
    leave(ticket);
}

fn reply(text: &str) -> Vec<u8> {
    json!({"choices": [{"message": {"role": "assistant", "content": text}}]}).to_string().into_bytes()
}

#[test]
fn one_word_counts() {
    for (text, expected) in [
        ("yes", Verdict::Correct),
        ("Yes.", Verdict::Correct),
        (" **YES** \n", Verdict::Correct),
        ("no", Verdict::Wrong),
        ("\"No!\"", Verdict::Wrong),
        ("yes, they do", Verdict::Unknown),
        ("yes no", Verdict::Unknown),
        ("not", Verdict::Unknown),
        ("ja", Verdict::Unknown),
        ("", Verdict::Unknown),
    ] {
        assert_eq!(Judge::verdict(&reply(text)), expected, "{text}");
    }
    let anthropic = json!({"content": [{"type": "text", "text": "No"}]}).to_string();
    assert_eq!(Judge::verdict(anthropic.as_bytes()), Verdict::Wrong);
    assert_eq!(Judge::verdict(b"yes"), Verdict::Unknown);
}

proptest! {
    #[test]
    fn whatever_answers_say_stays_between_the_marks(stored in ".*", fresh in ".*", mark in any::<u128>()) {
        let cached = cached("openai-chat");
        let ticket = cached.ask(&chat(json!({})));
        let body: Value = serde_json::from_slice(&ticket.judge().unwrap().ask(&stored, &fresh, mark)).unwrap();
        leave(ticket);
        prop_assert_eq!(body["messages"].as_array().unwrap().len(), 2);
        let text = body["messages"][1]["content"].as_str().unwrap();
        let mark = format!("{mark:032x}");
        prop_assume!(!stored.contains(&mark) && !fresh.contains(&mark));
        let parts: Vec<&str> = text.split(&format!("{mark}\n")).collect();
        let expected = [String::new(), format!("{stored}\n"), format!("{fresh}\n"), String::new()];
        prop_assert_eq!(parts, expected);
    }
}
