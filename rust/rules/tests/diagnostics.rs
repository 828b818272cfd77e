//! What people are told about rules, as a whole. The files in `golden/` have cases: lines that begin with `>` are the
//! rules of one, `.` goes on with a rule in a further line, and below them is what is said.
//! `UPDATE_GOLDEN=1 cargo test -p edgeroute-rules --test diagnostics` writes it anew.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::fs;
use std::path::Path;

use edgeroute_rules::{Code, Environment, Known, NamedRule, Rule, RuleSet, Severity, Type, lint};

const FILES: [&str; 6] = ["habits", "syntax", "names", "types", "constants", "lints"];
const NAMES: [&str; 3] = ["first", "second", "third"];

fn environment() -> Environment {
    Environment::new()
        .declare_map_lowercase("headers", Type::String)
        .declare_map_lowercase("params", Type::String)
        .declare("model", Type::String)
        .declare("request_type", Type::String)
        .declare("path", Type::String)
        .declare("tokens_used", Type::Double)
        .declare("prompt_tokens", Type::Int)
        .declare("max_tokens", Type::Int)
        .declare("stream", Type::Bool)
        .declare("tags", Type::list(Type::String))
        .declare("client_ip", Type::String)
        .declare("now", Type::Timestamp)
        .declare("team.name", Type::String)
        .declare("key", Type::map(Type::String, Type::String))
        .declare_keyed("bucket", Type::Int)
        .describe("headers", Known::Keys(&["authorization", "user-agent", "content-type"]))
        .describe("request_type", Known::OneOf(&["chat_completion", "embedding", "responses"]))
        .describe("key", Known::Fields(&["name"]))
        .describe("path", Known::BeginsWith("/"))
        .describe("prompt_tokens", Known::AtLeast(0.0))
}

/// Everything that is said about rules.
fn said(rules: &[String]) -> String {
    let name = |index: usize| if rules.len() == 1 { "rule" } else { NAMES[index] };
    let named = rules.iter().enumerate().map(|(index, rule)| NamedRule {
        name: name(index),
        rule: Rule::from(rule),
        is_last: true,
    });
    let found = match RuleSet::compile(&environment(), rules) {
        Err(errors) => errors,
        Ok(_) => lint(&environment(), named),
    };
    found.iter().map(|(index, found)| found.render(name(*index), &rules[*index])).collect()
}

/// The rules of the cases of a file, and the comment before each.
fn cases(text: &str) -> Vec<(String, Vec<String>)> {
    let mut cases: Vec<(String, Vec<String>)> = Vec::new();
    let mut comment = String::new();
    let mut in_rules = false;
    for line in text.lines() {
        if let Some(rule) = line.strip_prefix('>') {
            if !in_rules {
                cases.push((std::mem::take(&mut comment), Vec::new()));
            }
            cases.last_mut().unwrap().1.push(rule.strip_prefix(' ').unwrap_or(rule).to_owned());
        } else if let Some(more) = line.strip_prefix(". ") {
            let rule = cases.last_mut().unwrap().1.last_mut().unwrap();
            *rule = format!("{rule}\n{more}");
        } else if line.starts_with('#') {
            comment += &format!("{line}\n");
        }
        in_rules = line.starts_with('>') || (in_rules && line.starts_with(". "));
    }
    cases
}

fn written(cases: &[(String, Vec<String>)]) -> String {
    let case = |(comment, rules): &(String, Vec<String>)| {
        let rule = |rule: &String| format!("> {}\n", rule.replace('\n', "\n. "));
        format!("{comment}{}{}", rules.iter().map(rule).collect::<String>(), said(rules))
    };
    let written = cases.iter().map(case).collect::<Vec<_>>().join("\n");
    // No line ends in a space, as editors have it.
    written.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[test]
fn what_people_are_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut count = 0;
    for file in FILES {
        let path = folder.join(file).with_extension("txt");
        let expected = fs::read_to_string(&path).unwrap();
        let cases = cases(&expected);
        count += cases.len();
        let found = written(&cases);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, found).unwrap();
        } else if found != expected {
            let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
            panic!("{}: {differs:?}; see the head of this file", path.display());
        }
    }
    assert!(count >= 60, "{count} cases");
}

#[test]
fn every_kind_of_finding_is_shown() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let shown: String = FILES
        .iter()
        .map(|file| fs::read_to_string(folder.join(file).with_extension("txt")).unwrap())
        .collect();
    for code in Code::ALL {
        // These take a text too long to read, a set of many rules, a request, and a scope.
        if matches!(code, Code::TooComplex | Code::NotIndexed | Code::EvaluationFailed | Code::InvalidScope) {
            continue;
        }
        assert!(shown.contains(&format!("[{code}]")), "{code}");
    }
}

#[test]
fn every_error_says_what_to_do() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for file in FILES {
        for (_, rules) in cases(&fs::read_to_string(folder.join(file).with_extension("txt")).unwrap()) {
            for (_, error) in RuleSet::compile(&environment(), &rules).err().into_iter().flatten() {
                assert_eq!(error.severity(), Severity::Error, "{rules:?}");
                assert!(error.help.is_some() || !error.labels.is_empty(), "{rules:?}");
            }
        }
    }
}
