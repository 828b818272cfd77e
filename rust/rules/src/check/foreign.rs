//! Functions of other languages, and how the same is said here.

/// Names in small letters without underscores, and what to write: `{0}` is the first operand (the target of a
/// method), `{1}` the second.
const FUNCTIONS: [(&str, &str); 66] = [
    ("len", "size({0})"),
    ("length", "size({0})"),
    ("count", "size({0})"),
    ("lower", "{0}.lowerAscii()"),
    ("tolower", "{0}.lowerAscii()"),
    ("tolowercase", "{0}.lowerAscii()"),
    ("lowercase", "{0}.lowerAscii()"),
    ("downcase", "{0}.lowerAscii()"),
    ("casefold", "{0}.lowerAscii()"),
    ("upper", "{0}.upperAscii()"),
    ("toupper", "{0}.upperAscii()"),
    ("touppercase", "{0}.upperAscii()"),
    ("uppercase", "{0}.upperAscii()"),
    ("includes", "{0}.contains({1})"),
    ("include", "{0}.contains({1})"),
    ("strcontains", "{0}.contains({1})"),
    ("hasprefix", "{0}.startsWith({1})"),
    ("beginswith", "{0}.startsWith({1})"),
    ("hassuffix", "{0}.endsWith({1})"),
    ("match", "{0}.matches({1})"),
    ("ismatch", "{0}.matches({1})"),
    ("regex", "{0}.matches({1})"),
    ("regexmatch", "{0}.matches({1})"),
    ("rematch", "{0}.matches({1})"),
    ("search", "{0}.matches({1})"),
    ("test", "{0}.matches({1})"),
    ("strip", "{0}.trim()"),
    ("trimspace", "{0}.trim()"),
    ("equals", "{0} == {1}"),
    ("equal", "{0} == {1}"),
    ("eq", "{0} == {1}"),
    ("equalsignorecase", "{0}.lowerAscii() == {1}"),
    ("iequals", "{0}.lowerAscii() == {1}"),
    ("any", "{0}.exists(x, …)"),
    ("some", "{0}.exists(x, …)"),
    ("every", "{0}.all(x, …)"),
    ("none", "!{0}.exists(x, …)"),
    ("get", "{0}[?{1}].orValue(\"\")"),
    ("getordefault", "{0}[?{1}].orValue(\"\")"),
    ("haskey", "{1} in {0}"),
    ("containskey", "{1} in {0}"),
    ("isempty", "size({0}) == 0"),
    ("empty", "size({0}) == 0"),
    ("isblank", "size({0}) == 0"),
    ("concat", "{0} + {1}"),
    ("defined", IS_THERE),
    ("isdefined", IS_THERE),
    ("isset", IS_THERE),
    ("ispresent", IS_THERE),
    ("exists", IS_THERE),
    ("isnull", IS_THERE),
    ("str", "string({0})"),
    ("tostring", "string({0})"),
    ("text", "string({0})"),
    ("number", "double({0})"),
    ("float", "double({0})"),
    ("parsefloat", "double({0})"),
    ("tofloat", "double({0})"),
    ("integer", "int({0})"),
    ("parseint", "int({0})"),
    ("toint", "int({0})"),
    ("boolean", "bool({0})"),
    ("date", "timestamp({0})"),
    ("datetime", "timestamp({0})"),
    ("if", "condition ? value : other value"),
    ("coalesce", "headers[?\"x-tier\"].orValue(\"\")"),
];

const IS_THERE: &str = "\"x-tier\" in headers";

/// How to say here what `name` says elsewhere.
pub(super) fn equivalent(name: &str, operands: &[&str]) -> Option<String> {
    let plain = name.to_ascii_lowercase().replace('_', "");
    let (_, template) = FUNCTIONS.iter().find(|(foreign, _)| **foreign == *plain)?;
    let [first, second] = [0, 1].map(|at| operands.get(at).copied().unwrap_or("…"));
    Some(template.replace("{0}", first).replace("{1}", second))
}
