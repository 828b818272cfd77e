//! What vectors of texts promise: what makes no difference, what is near what, and that any text is survived.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

use edgeroute_cache::{Embedding, LONGEST_TEXT, embed};
use proptest::prelude::*;

fn cosine(one: &str, other: &str) -> f32 {
    embed(one).unwrap().cosine(&embed(other).unwrap())
}

/// A file of the folder beside the repository, or of the checkout that this is a worktree of.
fn shared(path: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.ancestors().skip(2).take(3).map(|folder| folder.join("shared").join(path)).find(|path| path.exists())
}

/// Rank of each value, equal ones sharing the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let before = order.partition_point(|&at| values[at] < values[equal[0]]);
        for &at in equal {
            ranks[at] = before as f64 + (equal.len() - 1) as f64 / 2.0;
        }
    }
    ranks
}

fn correlation(xs: &[f64], ys: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (x, y) = (mean(xs), mean(ys));
    let products = |a: &[f64], am: f64, b: &[f64], bm: f64| -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - am) * (b - bm)).sum()
    };
    products(xs, x, ys, y) / (products(xs, x, xs, x) * products(ys, y, ys, y)).sqrt()
}

/// `text,text,score` a line, a text in double quotes if it has a comma.
fn pairs(csv: &str) -> Vec<(String, String, f64)> {
    let row = |line: &str| {
        let mut fields = vec![String::new()];
        let mut quoted = false;
        for letter in line.chars() {
            match letter {
                '"' => quoted = !quoted,
                ',' if !quoted => fields.push(String::new()),
                _ => fields.last_mut().unwrap().push(letter),
            }
        }
        (fields[0].clone(), fields[1].clone(), fields[2].parse().unwrap())
    };
    csv.lines().map(row).collect()
}

fn signs_in_common(one: &Embedding, other: &Embedding) -> f64 {
    one.values.iter().zip(&other.values).filter(|(a, b)| (**a > 0) == (**b > 0)).count() as f64
}

#[test]
fn pairs_are_ranked_as_people_rank_them() {
    let Some(path) = shared("pairs/stsb-en-dev.csv") else {
        eprintln!("skipped: there is no folder shared/pairs beside the repository");
        return;
    };
    let pairs = pairs(&fs::read_to_string(path).unwrap());
    assert_eq!(pairs.len(), 1500);
    let vectors: Vec<_> = pairs.iter().map(|(a, b, _)| (embed(a).unwrap(), embed(b).unwrap())).collect();
    let scores = ranks(&pairs.iter().map(|pair| pair.2).collect::<Vec<_>>());
    let by_cosine: Vec<f64> = vectors.iter().map(|(a, b)| a.cosine(b).into()).collect();
    let by_signs: Vec<f64> = vectors.iter().map(|(a, b)| signs_in_common(a, b)).collect();
    let [cosines, signs] = [by_cosine, by_signs].map(|values| correlation(&ranks(&values), &scores));
    eprintln!("Spearman's rank correlation: {cosines:.4} by cosine, {signs:.4} by signs");
    assert!(cosines >= 0.80, "{cosines}");
    assert!(signs >= 0.77, "{signs}");
}

#[test]
fn how_near_texts_are() {
    let check = |one: &str, other: &str, expected: f32| {
        let cosine = cosine(one, other);
        assert!((cosine - expected).abs() < 0.01, "{one:?}, {other:?}: {cosine}");
    };
    check("What is the capital of France?", "what is the capital of france", 1.0);
    check("What is the capital of France?", "Tell me France's capital", 0.968);
    check("A man is playing a guitar.", "Someone plays the guitar", 0.865);
    check("how do i change my password", "how can i reset my password", 0.728);
    check("how do i change my password", "what is a good recipe for lasagna", 0.014);
    // What no average of words can see, and the vetoes are for.
    check("turn the lights on", "turn the lights off", 0.936);
    // Unknown words are told apart, and those in other scripts are near if they are the same.
    check("weather in Zxqvbn", "weather in Kwjrdl", 0.897);
    check("今天北京的天气怎么样", "北京今天天气怎么样？", 0.807);
    check("как изменить пароль", "как изменить мой пароль", 0.880);
    check("как изменить пароль", "как изменить Пароль!", 1.0);
}

#[test]
fn spelling_that_makes_no_difference() {
    let check = |one: &str, other: &str| assert_eq!(embed(one), embed(other), "{one:?}, {other:?}");
    check("café Ørsted naïve", "CAFE\u{301} ørsted NAIVE");
    check("Straße nach Zürich", "straße NACH zurich");
    check("  a word\tor\n two ", "A word, or... two!");
    check("Tiếng Việt", "tieng viet");
    check("Antonín Dvořák, Őrség, Žižkov, Świąt, źle", "antonin dvorak orseg zizkov swiat zle");
    check("Ngữ kỳ thuật, ǎ ȧ", "ngu ky thuat a a");
    check("\u{130}stanbul", "istanbul");
}

#[test]
fn texts_with_nothing_to_go_by() {
    for text in ["", " ", "?!…", "🙂🙃", "\u{301}", "\0", "_"] {
        assert_eq!(embed(text), None, "{text:?}");
    }
}

#[test]
fn texts_that_are_too_long() {
    assert!(embed(&"word ".repeat(LONGEST_TEXT / 5)).is_some());
    assert!(embed(&"x".repeat(LONGEST_TEXT)).is_some());
    assert_eq!(embed(&"x".repeat(LONGEST_TEXT + 1)), None);
    assert_eq!(embed(&"word ".repeat(2_000_000)), None);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_survived_and_is_near_itself(text in any::<String>()) {
        if let Some(vector) = embed(&text) {
            prop_assert!((vector.cosine(&vector) - 1.0).abs() < 1e-4);
            prop_assert!(vector.values.iter().all(|&value| value != i8::MIN));
            prop_assert!(vector.scale.is_finite());
        } else {
            prop_assert!(!text.chars().any(|letter| letter.is_ascii_alphanumeric()));
        }
    }

    #[test]
    fn case_and_space_make_no_difference(words in prop::collection::vec("[a-z0-9áöçñ\u{4e00}-\u{4e20}]{1,30}", 1..20)) {
        let plain = words.join(" ");
        let loud = format!("\n{}! ", words.join(",  \t").to_uppercase());
        prop_assert_eq!(embed(&plain), embed(&loud));
    }

    #[test]
    fn the_order_of_words_makes_no_difference(words in prop::collection::vec("[a-z]{1,9}", 1..40)) {
        let turned: Vec<_> = words.iter().rev().map(String::as_str).collect();
        prop_assert_eq!(embed(&words.join(" ")), embed(&turned.join(" ")));
    }
}
