//! Reads pairs of texts from stdin, one JSON list a line, and writes what the cache sees of each: the cosine, the veto,
//! the features of the logistic and its confidence, why either would not be looked up.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::{BufRead, Write};

use edgeroute_cache::embed;
use edgeroute_cache::guard::{Question, bypass, confidence, features, veto};

fn main() {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let pair: [String; 2] = serde_json::from_str(&line.unwrap()).unwrap();
        let [a, b] = pair.each_ref().map(|text| Question::new(text));
        let cosine = match pair.each_ref().map(|text| embed(text)) {
            [Some(a), Some(b)] => a.cosine(&b),
            _ => 0.0,
        };
        let line = serde_json::json!({
            "cosine": cosine,
            "veto": veto(&a, &b).map(|veto| veto.name()),
            "features": features(&a, &b),
            "confidence": confidence(&a, &b, cosine),
            "bypass": pair.each_ref().map(|text| bypass(text).map(|bypass| bypass.name())),
        });
        writeln!(out, "{line}").unwrap();
    }
}
