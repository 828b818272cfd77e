//! The kinds of findings, each under a name that does not change.

use std::fmt;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The rule cannot be used.
    Error,
    /// The rule can be used, and is probably not what is meant.
    Warning,
    /// Good to know.
    Note,
}

macro_rules! codes {
    ($($variant:ident $name:literal $severity:ident $meaning:literal)*) => {
        /// The kind of a finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)*
        }

        impl Code {
            /// Every kind, in the order of the reference.
            pub const ALL: &[Code] = &[$(Self::$variant),*];

            /// The name that stands in brackets after a message.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// How bad such a finding is.
            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity),* }
            }

            /// What it says, in a few words.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning),* }
            }
        }
    };
}

codes! {
    ForeignSyntax "foreign_syntax" Error "an operator or a construct of another language"
    UnexpectedCharacter "unexpected_character" Error "a character that means nothing in a condition"
    UnclosedText "unclosed_text" Error "a quote that is never closed"
    InvalidEscape "invalid_escape" Error "a backslash in a text, followed by something it cannot be followed by"
    InvalidNumber "invalid_number" Error "a number that is not one, or is too large"
    Incomplete "incomplete" Error "the condition is empty, or ends too early"
    UnexpectedToken "unexpected_token" Error "something stands where something else is expected"
    UnclosedBracket "unclosed_bracket" Error "a bracket that is never closed"
    StrayBracket "stray_bracket" Error "a bracket that closes nothing, or something else"
    ReservedWord "reserved_word" Error "a word that cannot be a name"
    InvalidMacro "invalid_macro" Error "`has`, `all`, `map` and their like, with arguments they cannot have"
    TooComplex "too_complex" Error "the condition is too long, too deep, or has too many parts"
    TooCostly "too_costly" Error "the condition could take more work than a request may"
    InvalidScope "invalid_scope" Error "a rule takes part by a variable that is not a text, or does not exist"
    UnknownVariable "unknown_variable" Error "there is no variable of this name"
    UnknownFunction "unknown_function" Error "there is no function of this name"
    UnknownField "unknown_field" Error "only maps have fields"
    NotACondition "not_a_condition" Error "true or false is wanted where something else stands"
    TypeMismatch "type_mismatch" Error "values that cannot be compared or computed with each other"
    WrongArgument "wrong_argument" Error "a function is given what it does not take"
    InvalidConstant "invalid_constant" Error "a written-out time, duration, address or number that is none"
    InvalidPattern "invalid_pattern" Error "a regular expression that is none, or that would not take linear time"
    EvaluationFailed "evaluation_failed" Error "the condition could not be evaluated for a request"
    AlwaysFalse "always_false" Warning "the condition, or a part of it, never holds"
    AlwaysTrue "always_true" Warning "the condition, or a part of it, always holds"
    ImpossibleValue "impossible_value" Warning "a comparison with a value that the variable never has"
    UnreachableRule "unreachable_rule" Warning "an earlier rule matches every request that this one would"
    DuplicateRule "duplicate_rule" Warning "an earlier rule has the same condition"
    NegatedMissingKey "negated_missing_key" Warning "`!=` and its like do not match requests that lack the header or parameter"
    TextOrder "text_order" Warning "numbers compared as text, where \"10\" comes before \"9\""
    UnlikelyKey "unlikely_key" Warning "a header or parameter whose name is almost another's"
    MissingKey "missing_key" Note "requests that lack the header or parameter do not match"
    NotIndexed "not_indexed" Note "the rule is tried for every request"
    UppercaseKey "uppercase_key" Note "the name of a header with capital letters"
}

impl Severity {
    /// Its name, in small letters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
