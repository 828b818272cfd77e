//! Why patterns are refused and where, and which need no engine.

use super::*;

#[test]
fn a_refusal_names_the_reason_and_the_place() {
    for (pattern, marked, part) in [
        ("a(?=b)", "(?=", "no look-ahead"),
        ("a(?!b)", "(?!", "no look-ahead"),
        ("(?<=a)b", "(?<=", "no look-behind"),
        ("(?<!a)b", "(?<!", "no look-behind"),
        (r"a\Kb", r"\K", "no look-behind"),
        (r"(a)\1b", r"\1", "no back-references"),
        (r"(a)\9", r"\9", "no back-references"),
        (r"(?P<n>a)\k<n>", r"\k", "no back-references"),
        ("(?P<n>a)(?P=n)", "(?P=", "no back-references"),
        ("a(?>b)", "(?>", "no atomic groups"),
        ("a(?R)", "(?R", "no recursion"),
        ("(a)?(?(1)b)", "(?(", "no conditions"),
        ("a(?#b)", "(?#", "no comments"),
        ("(?x) a", "(?x", "no flag x"),
        ("(?i-)a", "(?i-)", "flags i, m, s and U"),
        ("(?P<a-b>c)", "(?P<a", "name of a group"),
        (r"é\C", r"\C", "single bytes"),
        (r"é\Z", r"\Z", r"\z is the end"),
        (r"\u0041", r"\u", r"\x{1F600}"),
        (r"a\h", r"\h", r"no \h"),
        (r"a\é", r"\é", "not needed"),
        (r"a\E", r"\E", r"no \Q"),
        (r"[\Qa\E]", r"\Q", "place of a class"),
        (r"[a-\d]", r"\d", "place of a class"),
        (r"a\", r"\", "cannot end"),
        (r"[a\", r"\", "cannot end"),
        (r"\x4g", r"\x4", "hexadecimal"),
        (r"\x{4", r"\x{4", "hexadecimal"),
        (r"\x{110000}", r"\x{110000}", "no such character"),
        (r"a\p{greek}", r"\p{greek}", "category of Unicode"),
        (r"a\p{Klingon}b\pL", r"\p{Klingon}", "no such category"),
        ("é(a", "(", "never closed"),
        ("é[a", "[", "never closed"),
        ("a)b", ")", "closes no group"),
        ("a|*", "*", "nothing before"),
        ("a{2}*?b", "{2}*?", "cannot be repeated"),
        ("a*+b", "*+", "possessive"),
        ("a{3,2}", "{3,2}", "ends before it starts"),
        ("a{1001}", "{1001}", "at most 1000"),
        ("a{99999999999999999999}", "{99999999999999999999}", "at most 1000"),
        ("(a{50}){50}", "{50}", "nested repetitions"),
        ("[b-a]", "b-a", "ends before it starts"),
        ("[a[:letter:]]", "[:letter:]", "alnum, alpha"),
        (r"\pL{200}", r"\pL{200}", "too large"),
    ] {
        let error = Pattern::compile(pattern).unwrap_err();
        assert_eq!(&pattern[error.span.clone()], marked, "{pattern}: {}", error.message);
        assert!(error.message.contains(part), "{pattern}: {}", error.message);
    }
}

#[test]
fn deep_and_long_patterns_are_refused_early() {
    let deep = |depth: usize| format!("{}{}", "(".repeat(depth), ")".repeat(depth));
    Pattern::compile(&deep(64)).unwrap();
    for pattern in [deep(65), "a".repeat(100_000), r"\pL".repeat(1000), "(a{9}){9}".repeat(1000)] {
        let error = Pattern::compile(&pattern).unwrap_err();
        assert!(error.span.end <= pattern.len(), "{}", error.message);
    }
    for part in ["(", "()", "[", "[[:", "{", "{1", "a|", "a{1", "(?i)", "(?i:", r"\Q", r"[\w", "☺"] {
        let pattern = part.repeat(16 * 1024 / part.len());
        if let Err(error) = Pattern::compile(&pattern) {
            assert!(pattern.get(error.span).is_some(), "{part}: {}", error.message);
        }
    }
}

#[test]
fn plain_text_needs_no_engine() {
    for (pattern, expected) in [
        ("", "contains "),
        ("a.b", "regex"),
        (r"a\.b", "contains a.b"),
        (r"\Qa.b\E", "contains a.b"),
        ("^a-b", "prefix a-b"),
        ("a/b$", "suffix a/b"),
        (r"\Aab\z", "equal ab"),
        ("a^b", "regex"),
        ("a$b", "regex"),
        ("(a)", "regex"),
        ("(?i)a", "regex"),
        ("a|b", "regex"),
        ("ab?", "regex"),
        ("[a]", "regex"),
    ] {
        let found = match &Pattern::compile(pattern).unwrap().matcher {
            Matcher::Equal(text) => format!("equal {text}"),
            Matcher::Prefix(text) => format!("prefix {text}"),
            Matcher::Suffix(text) => format!("suffix {text}"),
            Matcher::Contains(finder) => format!("contains {}", String::from_utf8_lossy(finder.needle())),
            Matcher::Regex => "regex".to_owned(),
        };
        assert_eq!(found, expected, "{pattern}");
    }
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        /// Whatever passes the translation is a pattern for crate `regex`, unless it is too large or names a class.
        #[test]
        fn what_is_translated_compiles(pattern in r"([ab\[\]().*+?|^$\\{}:PQEpdDwWsbxi<>=!&,~1-3-]|\[:|\\Q|\\E|\(\?){0,16}") {
            if let Ok(translation) = translate(&pattern) {
                match build(&translation.text) {
                    Ok(regex) => prop_assert_eq!(regex.captures_len(), translation.groups.min(9) + 1),
                    Err(regex::Error::CompiledTooBig(_)) => {}
                    Err(error) => prop_assert!(!translation.properties.is_empty(), "{}: {}", pattern, error),
                }
            }
        }

        /// The short ways give the answers of the engine.
        #[test]
        fn plain_text_matches_alike(text in "[ab.]{0,6}", pattern in r"\^?(a|b|\\\.){0,3}\$?") {
            let quick = Pattern::compile(&pattern).unwrap();
            prop_assert!(!matches!(quick.matcher, Matcher::Regex));
            prop_assert_eq!(quick.is_match(&text), build(&quick.translated).unwrap().is_match(&text));
        }
    }
}
