//! The conformance tests of the CEL specification, where they lie beside the workspace (see `cases`).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::path::PathBuf;

use edgeroute_rules::{Attribute, Environment, Expression, Source, Type, Value};
use serde_json::Value as Json;

/// The files whose subject this version has, and how many of their cases pass. The others are not run: an
/// unknown function fails, so they would seem to pass where an error is expected.
const PASSING: [(&str, usize); 12] = [
    ("basic", 31),
    ("comparisons", 239),
    ("fields", 44),
    ("fp_math", 21),
    ("integer_math", 52),
    ("lists", 33),
    ("logic", 26),
    ("namespace", 0),
    ("parse", 148),
    ("plumbing", 4),
    ("string", 34),
    ("type_deduction", 10),
];

struct Bindings(Vec<Option<Value<'static>>>);

impl Source for Bindings {
    fn attribute(&self, attribute: &Attribute) -> Option<Value<'_>> {
        let value = self.0[attribute.variable].as_ref()?;
        match (&attribute.key, value) {
            (None, value) => Some(value.borrowed()),
            (Some(key), Value::Map(entries)) => {
                let wanted = Value::from(&**key);
                entries.iter().find(|(key, _)| *key == wanted).map(|(_, value)| value.borrowed())
            }
            (Some(_), _) => None,
        }
    }
}

fn cases() -> Option<Vec<Json>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cel-conformance");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let text: String = files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn type_of(json: &Json) -> Option<Type> {
    if let Some(name) = json.as_str() {
        return Some(match name {
            "dyn" => Type::Dyn,
            "null_type" => Type::Null,
            "bool" => Type::Bool,
            "int" => Type::Int,
            "uint" => Type::Uint,
            "double" => Type::Double,
            "string" => Type::String,
            "bytes" => Type::Bytes,
            _ => return None,
        });
    }
    if let Some(element) = json.get("list") {
        return Some(Type::list(type_of(element)?));
    }
    let entry = json.get("map")?;
    Some(Type::map(type_of(&entry[0])?, type_of(&entry[1])?))
}

fn value(json: &Json) -> Option<Value<'static>> {
    let (tag, content) = json.as_object()?.iter().next()?;
    let text = || content.as_str().unwrap();
    Some(match tag.as_str() {
        "null" => Value::Null,
        "bool" => Value::Bool(content.as_bool()?),
        "int" => Value::Int(text().parse().unwrap()),
        "uint" => Value::Uint(text().parse().unwrap()),
        "double" => Value::Double(content.as_f64().unwrap_or_else(|| text().parse().unwrap())),
        "string" => Value::from(text()).into_owned(),
        "bytes" => Value::from(&*base64(text())).into_owned(),
        "list" => Value::list(content.as_array()?.iter().map(value).collect::<Option<Vec<_>>>()?),
        "map" => Value::map(
            content
                .as_array()?
                .iter()
                .map(|entry| Some((value(&entry[0])?, value(&entry[1])?)))
                .collect::<Option<Vec<_>>>()?,
        ),
        _ => return None,
    })
}

fn base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let bits: Vec<u8> = text
        .bytes()
        .filter(|byte| *byte != b'=')
        .flat_map(|byte| (0..6).rev().map(move |bit| digit(byte) >> bit & 1))
        .collect();
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | bit)).collect()
}

/// The same value in the sense of the suite: of the same type, maps in any order, not-a-number like itself.
fn same(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Double(left), Value::Double(right)) => left == right || (left.is_nan() && right.is_nan()),
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len() && left.iter().zip(right.iter()).all(|(left, right)| same(left, right))
        }
        (Value::Map(left), Value::Map(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| {
                    right.iter().any(|(other, found)| same(key, other) && same(value, found))
                })
        }
        _ => left == right,
    }
}

/// Whether the case comes out as it must, or why not.
fn run(case: &Json) -> Result<(), String> {
    if case.get("container").is_some() {
        return Err("containers".into());
    }
    let mut environment = Environment::new();
    let mut values = Vec::new();
    for declaration in case.get("type_env").and_then(Json::as_array).into_iter().flatten() {
        let name = declaration["name"].as_str().unwrap();
        let Some(of_type) = declaration.get("type").and_then(type_of) else {
            return Err("declaration".into());
        };
        environment = environment.declare(name, of_type);
        let binding = case.get("bindings").and_then(|bindings| bindings.get(name));
        values.push(binding.map(|binding| value(binding).unwrap()));
    }
    let source = case["expr"].as_str().unwrap();
    let checked = case.get("disable_check").is_none();
    let expression = match checked {
        true => Expression::compile(&environment, source),
        false => Expression::compile_unchecked(&environment, source).map_err(|error| vec![error]),
    };
    // An error that is expected is one of evaluation: to refuse the expression would prove nothing.
    let expression = expression.map_err(|errors| errors[0].render(source))?;
    let expect = &case["expect"];
    if let Some(wanted) = expect.get("type")
        && type_of(wanted).as_ref() != Some(expression.result_type())
    {
        return Err(format!("type {}", expression.result_type()));
    }
    if case.get("check_only").is_some() {
        return Ok(());
    }
    let wanted = expect.get("value").map(|json| value(json).ok_or("unsupported value")).transpose()?;
    match (expression.evaluate(&Bindings(values)), wanted) {
        (Ok(found), Some(wanted)) if same(&found, &wanted) => Ok(()),
        (Ok(found), wanted) => Err(format!("{found:?}, expected {wanted:?}")),
        (Err(_), None) => Ok(()),
        (Err(error), Some(_)) => Err(error.to_string()),
    }
}

#[test]
fn the_cases_that_pass_are_those_that_are_known_to_pass() {
    let Some(cases) = cases() else {
        println!("skipped: there is no folder shared/cel-conformance beside the workspace");
        return;
    };
    let mut report = Vec::new();
    for (file, _) in PASSING {
        let cases: Vec<&Json> = cases.iter().filter(|case| case["file"] == file).collect();
        let mut passing = 0;
        for case in &cases {
            match run(case) {
                Ok(()) => passing += 1,
                Err(reason) => println!("{file}/{}: {}: {reason}", case["name"], case["expr"]),
            }
        }
        println!("{file}: {passing} of {}", cases.len());
        report.push((file, passing));
    }
    println!("{} cases pass", report.iter().map(|(_, passing)| passing).sum::<usize>());
    assert_eq!(report, PASSING);
}
