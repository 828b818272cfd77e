//! What people write who come from other languages, and what is said about it. Each error here is made at the token
//! where the parser stands.

use super::Parser;
use crate::ast::Span;
use crate::diagnostic::{Code, Diagnostic};
use crate::lex::{Token, TokenKind};

/// Words that other languages have between two values, in small letters, and what to write instead.
const WORDS: [(&str, &str); 34] = [
    ("and", "write `&&`"),
    ("or", "write `||`"),
    ("xor", "write `!=` between two conditions"),
    ("not", "write `!` before the whole comparison, as in !(model in [\"a\", \"b\"])"),
    ("is", "write `==`; whether a header is there is asked so: \"x-tier\" in headers"),
    ("equals", "write `==`"),
    ("eq", "write `==`"),
    ("ne", "write `!=`"),
    ("neq", "write `!=`"),
    ("gt", "write `>`"),
    ("gte", "write `>=`"),
    ("ge", "write `>=`"),
    ("lt", "write `<`"),
    ("lte", "write `<=`"),
    ("le", "write `<=`"),
    ("mod", "write `%`"),
    ("in", "write `in` in small letters, and the list in square brackets: model in [\"a\", \"b\"]"),
    ("like", "write model.contains(\"part\"), model.startsWith(\"start\") or model.endsWith(\"end\")"),
    ("ilike", "write model.lowerAscii().contains(\"part\")"),
    ("rlike", "write model.matches(\"pattern\")"),
    ("regexp", "write model.matches(\"pattern\")"),
    ("between", "write both bounds: tokens_used >= 50 && tokens_used <= 75"),
    ("contains", "functions follow a dot: model.contains(\"part\")"),
    ("includes", "write model.contains(\"part\")"),
    ("startswith", "functions follow a dot: model.startsWith(\"start\")"),
    ("starts_with", "write model.startsWith(\"start\")"),
    ("endswith", "functions follow a dot: model.endsWith(\"end\")"),
    ("ends_with", "write model.endsWith(\"end\")"),
    ("matches", "functions follow a dot: model.matches(\"pattern\")"),
    ("then", CHOICE),
    ("else", CHOICE),
    ("if", CHOICE),
    ("unless", "write `&& !(…)`"),
    ("where", "write `&&`"),
];

const CHOICE: &str = "a choice is written: condition ? value : other value";

/// What to write instead of a word that other languages have.
fn instead_of_reserved(word: &str) -> Option<&'static str> {
    Some(match word {
        "if" | "else" => CHOICE,
        "for" | "while" | "loop" => "write tags.all(tag, …) or tags.exists(tag, …) to look at each element",
        "return" => "a condition is its own result: leave the word out",
        "let" | "var" | "const" => "give a part a name with cel.bind(name, value, expression)",
        _ => return None,
    })
}

/// What closes a bracket.
fn is_closing(symbol: &str) -> bool {
    matches!(symbol, ")" | "]" | "}")
}

impl Parser<'_> {
    fn before(&self) -> Option<&Token> {
        self.tokens.get(self.position.checked_sub(1)?)
    }

    fn text(&self, span: Span) -> &str {
        self.source.get(span.range()).unwrap_or("")
    }

    /// Another value, or a stray symbol, where an operator or the end is expected.
    #[cold]
    pub(super) fn missing_operator(&self) -> Diagnostic {
        let token = self.peek();
        let span = token.span;
        let before = self.before();
        if let Some(Token { kind: TokenKind::Identifier(word), span }) = before
            && word.eq_ignore_ascii_case("not")
        {
            return Diagnostic::new(Code::ForeignSyntax, *span, format!("there is no operator `{word}`"))
                .with_help("write `!` before what must not hold: !stream, or !(a || b) around several");
        }
        match &token.kind {
            TokenKind::Identifier(word) => {
                let known = WORDS.iter().find(|(foreign, _)| word.eq_ignore_ascii_case(foreign));
                if let Some((_, help)) = known {
                    let message = format!("there is no operator `{word}`");
                    return Diagnostic::new(Code::ForeignSyntax, span, message).with_help(*help);
                }
            }
            TokenKind::Symbol(",") => {
                return Diagnostic::new(Code::ForeignSyntax, span, "a comma does not join conditions")
                    .with_help("write `&&` if both must hold, `||` if one of them must");
            }
            TokenKind::Symbol(":") => {
                return Diagnostic::new(
                    Code::UnexpectedToken,
                    span,
                    "there is no `?` that this `:` belongs to",
                )
                .with_help(CHOICE);
            }
            TokenKind::Symbol("!") => {
                return Diagnostic::new(
                    Code::ForeignSyntax,
                    span,
                    "`!` stands before a value, not after one",
                )
                .with_help("write `!` before the whole comparison, as in !(model in [\"a\", \"b\"])");
            }
            TokenKind::Symbol("(") => {
                return Diagnostic::new(
                    Code::UnexpectedToken,
                    span,
                    "what stands before this `(` cannot be called",
                )
                .with_help("write the name of a function before it, or an operator");
            }
            TokenKind::Symbol(symbol) if is_closing(symbol) => {
                return Diagnostic::new(Code::StrayBracket, span, format!("this `{symbol}` closes nothing"))
                    .with_help("remove it, or add the bracket that it shall close");
            }
            TokenKind::Int(_) | TokenKind::Double(_) => {
                if let Some(error) = before.and_then(|before| self.attached_number(before, span)) {
                    return error;
                }
            }
            _ => {}
        }
        let message = match self.text(span) {
            "" => "the condition ends where an operator is expected".to_owned(),
            text if text.len() > 40 => "an operator is missing before this".to_owned(),
            text => format!("an operator is missing before `{text}`"),
        };
        let error = Diagnostic::new(Code::UnexpectedToken, span, message);
        let is_value = |token: &Token| !matches!(token.kind, TokenKind::Symbol(_) | TokenKind::End);
        if before.is_some_and(is_value) && is_value(token) {
            return error.with_help("join two values with an operator, as in model == \"gpt-5\" or a && b");
        }
        error
    }

    /// The error of a number that follows another token without a space.
    fn attached_number(&self, before: &Token, span: Span) -> Option<Diagnostic> {
        if before.span.end != span.start {
            return None;
        }
        if let (TokenKind::Identifier(_), Some(digits)) = (&before.kind, self.text(span).strip_prefix('.')) {
            return Some(
                Diagnostic::new(Code::ForeignSyntax, span, "a position in a list is not a field")
                    .with_help(format!("write [{digits}] instead of .{digits}")),
            );
        }
        if !matches!(before.kind, TokenKind::Int(_) | TokenKind::Double(_)) {
            return None;
        }
        let further = self.tokens.iter().skip(self.position);
        let whole = further.fold(before.span, |whole, token| match token.kind {
            TokenKind::Int(_) | TokenKind::Double(_) if token.span.start == whole.end => whole.to(token.span),
            _ => whole,
        });
        Some(
            Diagnostic::new(Code::InvalidNumber, whole, "this is not a number")
                .with_help(format!("addresses and versions are texts: write \"{}\"", self.text(whole))),
        )
    }

    /// A symbol, or the end, where a value is expected.
    #[cold]
    pub(super) fn missing_operand(&self) -> Diagnostic {
        let token = self.peek();
        let span = token.span;
        let ended = token.kind == TokenKind::End;
        let Some(before) = self.before() else {
            return match &token.kind {
                TokenKind::Symbol(symbol) => no_value(span, symbol, "before"),
                _ => Diagnostic::new(Code::Incomplete, span, "the condition is empty")
                    .with_help("write a condition such as model == \"gpt-5\", or true for every request"),
            };
        };
        let previous = match &before.kind {
            TokenKind::Symbol(symbol) => symbol,
            TokenKind::Identifier(name) if &**name == "in" => "in",
            _ => "",
        };
        match &token.kind {
            TokenKind::QuotedIdentifier(name) => {
                Diagnostic::new(Code::UnexpectedToken, span, "backquotes are for fields, after a dot")
                    .with_help(format!("write headers.`{name}`, or quotes around a text"))
            }
            TokenKind::Symbol("*") => {
                Diagnostic::new(Code::ForeignSyntax, span, "`*` does not stand for any text")
                    .with_help("write model.startsWith(\"gpt-\"), or leave out a part that may be anything")
            }
            TokenKind::Symbol("+") => Diagnostic::new(Code::ForeignSyntax, span, "numbers have no sign `+`")
                .with_help("leave it out"),
            TokenKind::Symbol(symbol) if previous == "(" && *symbol == ")" => Diagnostic::new(
                Code::Incomplete,
                before.span.to(span),
                "there is nothing in these parentheses",
            )
            .with_help("write a condition in them, or remove them"),
            TokenKind::Symbol(symbol) if !is_closing(symbol) => {
                if matches!(previous, "(" | "[" | "{" | "," | "?" | ":") {
                    return no_value(span, symbol, "before");
                }
                Diagnostic::new(Code::UnexpectedToken, span, format!("`{symbol}` cannot follow `{previous}`"))
                    .with_label(before.span, "after this a value is expected")
                    .with_help("remove one of them, or write what belongs between them")
            }
            _ if matches!(previous, "(" | "[" | "{") && ended => {
                let message = format!("this `{previous}` is never closed");
                Diagnostic::new(Code::UnclosedBracket, before.span, message)
                    .with_help("write what belongs in it, and close it")
            }
            _ if previous == "%" => no_value(before.span, previous, "after").with_help(
                "`%` is the remainder of a division; percentages are plain numbers: tokens_used > 75",
            ),
            _ => no_value(before.span, previous, "after"),
        }
    }

    /// What stands where `symbol` should close the bracket at `opened`.
    #[cold]
    pub(super) fn not_closed(&self, symbol: &str, opened: Span) -> Diagnostic {
        let opening = self.text(opened);
        let token = self.peek();
        match &token.kind {
            TokenKind::End => {
                let message = format!("this `{opening}` is never closed");
                Diagnostic::new(Code::UnclosedBracket, opened, message)
                    .with_label(token.span, format!("`{symbol}` is missing here, or further ahead"))
            }
            TokenKind::Symbol(found) if is_closing(found) => Diagnostic::new(
                Code::StrayBracket,
                token.span,
                format!("`{found}` does not close `{opening}`"),
            )
            .with_label(opened, "opened here")
            .with_help(format!("write `{symbol}`")),
            TokenKind::Symbol(",") if opening == "[" => {
                Diagnostic::new(Code::UnexpectedToken, token.span, "one key at a time")
                    .with_label(opened, "opened here")
                    .with_help("write a[1][2] for an element of an element")
            }
            _ => {
                let error = self.missing_operator();
                if error.code == Code::UnexpectedToken && error.labels.is_empty() {
                    let help = if opening == "[" || opening == "{" {
                        "put a `,` between elements"
                    } else {
                        "put an operator such as `&&` between values, and a `,` between arguments"
                    };
                    let text = format!("opened here and not closed with `{symbol}`");
                    return error.with_label(opened, text).with_help(help);
                }
                error
            }
        }
    }

    /// `condition ? value`, and no colon where the parser stands.
    #[cold]
    pub(super) fn missing_colon(&self, question: Span) -> Diagnostic {
        let token = self.peek();
        let follows = self.source.get(question.end as usize..).and_then(|rest| rest.chars().next());
        if let Some(bracket @ ('.' | '[')) = follows {
            let help = if bracket == '.' { "headers.?tier" } else { "headers[?\"x-tier\"]" };
            return Diagnostic::new(
                Code::ForeignSyntax,
                question,
                format!("there is no operator `?{bracket}`"),
            )
            .with_help(format!("a field that may be absent is written {help}.orValue(\"\")"));
        }
        match token.kind {
            TokenKind::End | TokenKind::Symbol(")" | "]" | "}" | ",") => {
                Diagnostic::new(Code::Incomplete, question, "this `?` has no `:` and second value")
                    .with_label(token.span, "`:` is missing here")
                    .with_help(CHOICE)
            }
            _ => self.missing_operator(),
        }
    }

    /// `{key`, and no colon where the parser stands. `opened` is the brace.
    #[cold]
    pub(super) fn missing_value(&self, opened: Span) -> Diagnostic {
        let outer = self.tokens.iter().find(|token| token.span.end == opened.start);
        if let Some(Token { kind: TokenKind::Symbol("{"), span }) = outer {
            let inside = self.text(Span { start: opened.end, end: self.peek().span.start }).trim();
            return Diagnostic::new(Code::ForeignSyntax, span.to(opened), "conditions have no templates")
                .with_help(format!(
                    "write {} without braces",
                    if inside.is_empty() { "the name" } else { inside }
                ));
        }
        Diagnostic::new(
            Code::UnexpectedToken,
            self.peek().span,
            "`:` and the value of this key are expected here",
        )
        .with_label(opened, "this `{` opens a map")
        .with_help("write {\"key\": value}; parentheses are round")
    }

    /// No name where the parser stands, after a dot.
    #[cold]
    pub(super) fn missing_field(&self) -> Diagnostic {
        let token = self.peek();
        let dot = self.before().map_or(token.span, |before| before.span);
        match &token.kind {
            TokenKind::Int(_) => {
                Diagnostic::new(Code::ForeignSyntax, token.span, "a position is not a field")
                    .with_help(format!("write [{}] instead of the dot", self.text(token.span)))
            }
            TokenKind::Identifier(name) => {
                let message = format!("`{name}` cannot be a field after a dot");
                Diagnostic::new(Code::ReservedWord, token.span, message)
                    .with_help(format!("write [\"{name}\"] instead of the dot"))
            }
            TokenKind::String(_) => {
                Diagnostic::new(Code::UnexpectedToken, token.span, "a text cannot follow a dot")
                    .with_help(format!("write [{}] instead of the dot", self.text(token.span)))
            }
            _ => Diagnostic::new(Code::Incomplete, dot, "no name follows this dot")
                .with_help("write the field or the function after it, or remove it"),
        }
    }

    #[cold]
    pub(super) fn reserved(&self, word: &str) -> Diagnostic {
        let span = self.peek().span;
        match instead_of_reserved(word) {
            Some(help) => Diagnostic::new(Code::ForeignSyntax, span, format!("conditions have no `{word}`"))
                .with_help(help),
            None if word == "in" => no_value(span, word, "before"),
            None => {
                let message = format!("`{word}` cannot be a name: the language keeps the word for itself");
                Diagnostic::new(Code::ReservedWord, span, message)
                    .with_help("the key of a map is written in quotes, as in headers[\"x-tier\"]")
            }
        }
    }
}

fn no_value(span: Span, symbol: &str, side: &str) -> Diagnostic {
    Diagnostic::new(Code::Incomplete, span, format!("there is nothing {side} `{symbol}`"))
        .with_help(format!("write what belongs {side} it, or remove it"))
}
