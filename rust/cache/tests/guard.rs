//! What the guards let pass and what they refuse, and why.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

use edgeroute_cache::guard::{Bypass, Question, Veto, bypass, confidence, features, least_cosines, veto};
use proptest::prelude::*;

fn check(cases: &[(&str, &str, Option<Veto>)]) {
    for (asked, stored, expected) in cases {
        let [a, b] = [asked, stored].map(|text| Question::new(text));
        assert_eq!(veto(&a, &b), *expected, "{asked} | {stored}\n{a:?}\n{b:?}");
        assert_eq!(veto(&b, &a), *expected, "{stored} | {asked}");
    }
}

#[test]
fn different_questions_are_told_apart_by_name() {
    check(&[
        ("How many days has May?", "How many days has April?", Some(Veto::Numbers)),
        ("a room for two nights", "a room for three nights", Some(Veto::Numbers)),
        ("a 5 kg parcel", "a 5 lb parcel", Some(Veto::Numbers)),
        ("take the 2nd exit", "take the 3rd exit", Some(Veto::Numbers)),
        ("pay $1,500 at once", "pay $15,000 at once", Some(Veto::Numbers)),
        ("a tank of 1,000 litres", "a tank of 1000 gallons", Some(Veto::Numbers)),
        ("Which plants are toxic?", "Which plants aren't toxic?", Some(Veto::Negation)),
        ("Which plants are toxic?", "Which plants are non-toxic?", Some(Veto::Negation)),
        ("Is it legal to park here?", "Is it illegal to park here?", Some(Veto::Negation)),
        ("flights with a stop", "flights without a stop", Some(Veto::Negation)),
        ("where did anna meet bob", "where did anna meet rob", Some(Veto::Words)),
        ("Where did Anna meet Bob?", "Where did Anna meet Rob?", Some(Veto::Names)),
        ("what does os.listdir return", "what does os.scandir return", Some(Veto::Literals)),
        ("How do I say \"I am hungry\"?", "How do I say \"you are hungry\"?", Some(Veto::Literals)),
        ("open https://a.example/x", "open https://a.example/y", Some(Veto::Literals)),
        ("trains from Ghent to Bruges", "trains from Bruges to Ghent", Some(Veto::Direction)),
        ("is rust faster than go", "is go faster than rust", Some(Veto::Direction)),
        ("what eats owls", "what do owls eat", Some(Veto::Direction)),
        ("meals before a race", "meals after a race", Some(Veto::Relation)),
        ("Who founded Lego?", "When was Lego founded?", Some(Veto::QuestionWord)),
        ("how many rooms has it", "how old rooms has it", Some(Veto::QuestionWord)),
        ("Do whales sleep?", "Why do whales sleep?", Some(Veto::QuestionWord)),
        ("Who is the coach?", "Who was the coach?", Some(Veto::Tense)),
        ("Does it snow there?", "Will it snow there?", Some(Veto::Tense)),
        ("Should I repaint a door?", "Can I repaint a door?", Some(Veto::Modality)),
        ("Do all snakes bite?", "Do some snakes bite?", Some(Veto::Quantity)),
        ("Why do I trust you?", "Why do they trust you?", Some(Veto::Person)),
        ("Where is the station?", "Где находится вокзал?", Some(Veto::Language)),
        ("What is love?", "What is love like among the birds of the far north?", Some(Veto::Length)),
        ("Warum ist der Himmel blau?", "Warum ist der Himmel nicht blau?", Some(Veto::Negation)),
        ("Wo ist der Bahnhof?", "Wann ist der Bahnhof?", Some(Veto::QuestionWord)),
        ("Is it 5 - 3?", "Is it 5 / 3?", Some(Veto::Literals)),
        ("draw x² for me", "draw x³ for me", Some(Veto::Literals)),
        ("all n with n ≥ 5", "all n with n ≤ 5", Some(Veto::Literals)),
        ("add ½ cup of oats", "add ¼ cup of oats", Some(Veto::Literals)),
        ("what does ls -a do", "what does ls -A do", Some(Veto::Literals)),
        ("What are IT jobs?", "What are jobs?", Some(Veto::Names)),
        ("meet me at 10 am", "meet me at 10", Some(Veto::Numbers)),
        ("Was kann man drucken?", "Was kann man drücken?", Some(Veto::Words)),
        ("He is rich and was poor", "He was rich and is poor", Some(Veto::Direction)),
        ("the films of Anna", "the films of Annas", Some(Veto::Names)),
        ("上海到北京怎么走", "北京到上海怎么走", Some(Veto::Direction)),
    ]);
}

#[test]
fn the_same_question_in_other_words_passes() {
    check(&[
        ("Who was Ada Lovelace?", "who was ada lovelace", None),
        ("Why doesn't glue stick to the bottle?", "why does not glue stick to a bottle?", None),
        ("Can you please tell me how to fold a shirt?", "How do I fold a shirt?", None),
        ("Hello, what's an ohm?", "What is an ohm", None),
        ("explain gravity", "What is gravity?", None),
        ("In Rust, how do I sort a vector?", "How do I sort a vector in Rust?", None),
        (
            "What's the difference between a bee and a wasp?",
            "what is the difference between a wasp and a bee",
            None,
        ),
        ("Which colours suit grey walls?", "Which colors suit gray walls?", None),
        ("name three Baltic ports", "Name 3 Baltic ports", None),
        ("How much is $20 in yen?", "How much is 20 dollars in yen?", None),
        ("Is it not safe?", "Is it unsafe?", None),
        ("A cat is chasing a ball", "The cat chases a ball", None),
        ("La capitale de l\u{2019}Italie", "la capitale de l'italie", None),
    ]);
}

#[test]
fn some_texts_are_not_answered_by_meaning() {
    let cases = [
        ("What is the capital of France?", None),
        ("How do I reset my password?", None),
        ("What is my balance?", Some(Bypass::Personal)),
        ("What's the weather in Rome?", Some(Bypass::TimeBound)),
        ("Which films are out this week?", Some(Bypass::TimeBound)),
        ("Explain ```fn main() {}```", Some(Bypass::Code)),
        ("Solve $$x^2 = 2$$", Some(Bypass::Math)),
        ("", Some(Bypass::Empty)),
        ("🙂🙂", Some(Bypass::Empty)),
        ("?!…", Some(Bypass::Empty)),
    ];
    for (text, expected) in cases {
        assert_eq!(bypass(text), expected, "{text}");
    }
    assert_eq!(bypass(&"word ".repeat(1_000)), Some(Bypass::TooLong));
}

#[test]
fn names_are_words_for_labels() {
    let names: Vec<_> = Veto::ALL
        .iter()
        .map(|veto| veto.name())
        .chain(Bypass::ALL.iter().map(|bypass| bypass.name()))
        .collect();
    for (at, name) in names.iter().enumerate() {
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{name}");
        assert!(!names[at + 1..].contains(name), "{name} twice");
    }
}

fn words() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "[a-zA-Z]{1,9}",
        Just("not".to_owned()),
        Just("from".to_owned()),
        Just("the".to_owned()),
        Just("what".to_owned()),
        Just("is".to_owned()),
        "[0-9]{1,4}",
        "\\PC{1,4}",
    ];
    proptest::collection::vec(word, 0..14).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn any_text_is_read_and_is_itself(text in "\\PC{0,200}") {
        let question = Question::new(&text);
        let found = veto(&question, &question);
        prop_assert!(found.is_none(), "{found:?} {question:?}");
        bypass(&text);
    }

    #[test]
    fn vetoes_do_not_depend_on_who_asked_first(a in words(), b in words()) {
        let [a, b] = [a, b].map(|text| Question::new(&text));
        prop_assert_eq!(veto(&a, &b).is_some(), veto(&b, &a).is_some());
        prop_assert!((confidence(&a, &b, 0.9) - confidence(&b, &a, 0.9)).abs() < 1e-6);
    }

    #[test]
    fn more_likeness_is_never_less_confidence(a in words(), b in words(), cosine in -1.0_f32..1.0, more in 0.0_f32..1.0) {
        let [a, b] = [a, b].map(|text| Question::new(&text));
        let [less, more] = [cosine, (cosine + more).min(1.0)].map(|cosine| confidence(&a, &b, cosine));
        prop_assert!((0.0..=1.0).contains(&less) && less <= more);
    }

    #[test]
    fn a_changed_number_is_always_seen(a in words(), b in words(), one in 0_u32..100_000, other in 0_u32..100_000) {
        prop_assume!(one != other);
        let [x, y] = [one, other].map(|number| Question::new(&format!("{a} {number} {b}")));
        prop_assert!(veto(&x, &y).is_some());
    }

    #[test]
    fn no_candidate_below_the_least_cosine(a in words(), b in words(), threshold in 0.01_f32..0.999) {
        let [a, b] = [a, b].map(|text| Question::new(&text));
        let differ = usize::from(features(&a, &b).is_none_or(|features| features != [0.0; 2]));
        let least = least_cosines(threshold)[differ];
        prop_assert!(confidence(&a, &b, least - 1e-3) < threshold);
    }
}

#[test]
fn long_texts_are_bounded() {
    let long = "word and again ".repeat(700_000);
    let question = Question::new(&long);
    assert_eq!(veto(&question, &question), Some(Veto::Length), "what was not read is not the same");
}
