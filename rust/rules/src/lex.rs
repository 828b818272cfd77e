//! Text to tokens. Literals are decoded here, so that an error in an escape points into the literal.

use crate::ast::Span;
use crate::diagnostic::{Code, Diagnostic};

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TokenKind {
    Identifier(Box<str>),
    /// A field name in backquotes, as in ``headers.`x-tier` ``.
    QuotedIdentifier(Box<str>),
    /// The digits of an int; the parser knows whether a minus makes room for one more.
    Int(u64),
    Uint(u64),
    Double(f64),
    String(Box<str>),
    Bytes(Box<[u8]>),
    Symbol(&'static str),
    End,
}

/// Longer symbols first, since the first that fits is taken.
const SYMBOLS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "-", "+", "*", "/", "%", "?", ":", "(", ")", "[", "]",
    "{", "}", ",", ".",
];

/// Symbols of other languages, and what to write instead. Longer ones first.
const FOREIGN: [(&str, &str); 21] = [
    ("===", "write `==`"),
    ("!==", "write `!=`"),
    ("&&&", "write `&&`"),
    ("|||", "write `||`"),
    ("<=>", "write `==`, `<` or `>`"),
    ("=~", "write model.matches(\"pattern\")"),
    ("!~", "write !model.matches(\"pattern\")"),
    ("=>", "write `>=` for at least"),
    ("=<", "write `<=` for at most"),
    ("<>", "write `!=`"),
    ("??", "write headers[?\"x-tier\"].orValue(\"\") for a header that may be absent"),
    ("=", "write `==` to compare"),
    ("&", "write `&&` if both must hold"),
    ("|", "write `||` if one of both must hold"),
    ("^", "write `!=` between two conditions if just one of them must hold"),
    ("~", "write model.matches(\"pattern\") for a regular expression"),
    ("#", "a comment begins with `//`"),
    (";", "a condition is one expression: join several with `&&` or `||`"),
    ("$", "names of variables stand alone: write model"),
    ("@", "names of variables stand alone: write model"),
    ("\\", "a backslash stands in texts alone; a condition may go on in the next line without it"),
];

/// How to write a backslash that is no escape.
const BACKSLASH: &str = "write `\\\\` for a backslash, or put `r` before the quote";

/// The tokens of `source`, the last of them [`TokenKind::End`].
pub(crate) fn lex(source: &str) -> Result<Vec<Token>, Diagnostic> {
    let mut lexer = Lexer { source, position: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_space();
        let start = lexer.position;
        if lexer.rest().starts_with('/') && !tokens.last().is_some_and(ends_value) {
            return Err(lexer.slashes());
        }
        let kind = lexer.token()?;
        let ended = kind == TokenKind::End;
        tokens.push(Token { kind, span: Span::new(start, lexer.position) });
        if ended {
            return Ok(tokens);
        }
    }
}

/// Whether an operator may follow.
fn ends_value(token: &Token) -> bool {
    !matches!(token.kind, TokenKind::Symbol(symbol) if !matches!(symbol, ")" | "]" | "}"))
}

struct Lexer<'s> {
    source: &'s str,
    position: usize,
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        self.source.get(self.position..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.position += text.len();
        }
        found
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'s str {
        let rest = self.rest();
        let taken =
            rest.find(|character| !belongs(character)).and_then(|end| rest.get(..end)).unwrap_or(rest);
        self.position += taken.len();
        taken
    }

    #[cold]
    fn error(&self, code: Code, start: usize, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(code, start..self.position, message)
    }

    fn skip_space(&mut self) {
        loop {
            self.take_while(|character| matches!(character, ' ' | '\t' | '\n' | '\r' | '\x0c'));
            if !self.take("//") {
                return;
            }
            self.take_while(|character| character != '\n');
        }
    }

    fn token(&mut self) -> Result<TokenKind, Diagnostic> {
        let Some(first) = self.peek() else { return Ok(TokenKind::End) };
        if first.is_ascii_digit()
            || (first == '.' && self.rest().chars().nth(1).is_some_and(|c| c.is_ascii_digit()))
        {
            return self.number();
        }
        if let Some(prefix) = self.literal_prefix() {
            return self.quoted(prefix);
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let name = self.take_while(|character| character.is_ascii_alphanumeric() || character == '_');
            return Ok(TokenKind::Identifier(name.into()));
        }
        if first == '`' {
            return self.quoted_identifier();
        }
        if is_typographic(first) {
            return Err(self.typographic());
        }
        if let Some(error) = self.foreign(2) {
            return Err(error);
        }
        if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| self.take(symbol)) {
            return Ok(TokenKind::Symbol(symbol));
        }
        if let Some(error) = self.foreign(1) {
            return Err(error);
        }
        let start = self.position;
        self.position += first.len_utf8();
        Err(self
            .error(
                Code::UnexpectedCharacter,
                start,
                format!("`{}` has no meaning here", first.escape_debug()),
            )
            .with_help("texts stand in quotes, as in \"gpt-5\""))
    }

    /// The error of a symbol that other languages have, if one of so many characters at least stands here. Those of
    /// one character may begin a symbol of our own.
    fn foreign(&mut self, length: usize) -> Option<Diagnostic> {
        let start = self.position;
        let (symbol, help) = FOREIGN
            .into_iter()
            .filter(|(symbol, _)| symbol.len() >= length)
            .find(|(symbol, _)| self.take(symbol))?;
        if symbol == "$" && self.take("{") {
            let name = self.take_while(|character| character != '}').trim();
            self.take("}");
            return Some(self.error(Code::ForeignSyntax, start, "conditions have no templates").with_help(
                format!("write {} without `${{` and `}}`", if name.is_empty() { "the name" } else { name }),
            ));
        }
        if symbol == "$" && self.take(".") {
            self.take_while(|character| character.is_ascii_alphanumeric() || matches!(character, '_' | '.'));
            return Some(
                self.error(Code::ForeignSyntax, start, "conditions have no JSON paths")
                    .with_help("begin with the name of a variable, as in params.user"),
            );
        }
        let message = match symbol {
            "#" | ";" | "$" | "@" | "\\" => format!("`{symbol}` has no meaning here"),
            _ => format!("there is no operator `{symbol}`"),
        };
        Some(self.error(Code::ForeignSyntax, start, message).with_help(help))
    }

    /// The error of a slash where a value is expected.
    #[cold]
    fn slashes(&mut self) -> Diagnostic {
        let start = self.position;
        self.position += 1;
        let pattern = self.take_while(|character| !matches!(character, '/' | '\n'));
        if !self.take("/") {
            self.position = start + 1;
            return self
                .error(Code::Incomplete, start, "there is nothing before `/`")
                .with_help("write what belongs before it, or remove it");
        }
        self.error(Code::ForeignSyntax, start, "a pattern is not written between slashes")
            .with_help(format!("write it in quotes: \"{pattern}\""))
    }

    /// The error of a text in quotes as word processors make them.
    fn typographic(&mut self) -> Diagnostic {
        let start = self.position;
        let opened = self.peek().map_or(0, char::len_utf8);
        self.position += opened;
        let text = self.take_while(|character| !is_typographic(character) && character != '\n');
        let Some(closed) = self.peek().filter(|character| is_typographic(*character)) else {
            self.position = start + opened;
            return self
                .error(Code::UnexpectedCharacter, start, "this is a typographic quote")
                .with_help("use plain quotes, \" or '");
        };
        self.position += closed.len_utf8();
        self.error(Code::UnexpectedCharacter, start, "this text is in typographic quotes")
            .with_help(format!("use plain quotes: \"{text}\""))
    }

    fn number(&mut self) -> Result<TokenKind, Diagnostic> {
        let start = self.position;
        if self.take("0x") || self.take("0X") {
            let digits = self.take_while(|character| character.is_ascii_hexdigit());
            return self.integer(start, digits, 16);
        }
        let digits = self.take_while(|character| character.is_ascii_digit());
        let mut decimal = false;
        if self.rest().starts_with('.') && self.rest().chars().nth(1).is_some_and(|c| c.is_ascii_digit()) {
            self.position += 1;
            self.take_while(|character| character.is_ascii_digit());
            decimal = true;
        }
        let before_exponent = self.position;
        if self.take("e") || self.take("E") {
            let _ = self.take("+") || self.take("-");
            if self.take_while(|character| character.is_ascii_digit()).is_empty() {
                self.position = before_exponent;
            } else {
                decimal = true;
            }
        }
        if !decimal {
            return self.integer(start, digits, 10);
        }
        self.end_of_number(start)?;
        let text = self.source.get(start..self.position).unwrap_or("");
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(TokenKind::Double(number)),
            _ => Err(self
                .error(Code::InvalidNumber, start, "this number does not fit a double")
                .with_help("doubles go to about 1.8e308")),
        }
    }

    fn integer(&mut self, start: usize, digits: &str, radix: u32) -> Result<TokenKind, Diagnostic> {
        let unsigned = self.take("u") || self.take("U");
        self.end_of_number(start)?;
        let number = u64::from_str_radix(digits, radix).map_err(|_| match digits {
            "" => self
                .error(Code::InvalidNumber, start, "this number is incomplete")
                .with_help("write digits after 0x"),
            _ => self
                .error(Code::InvalidNumber, start, "this number does not fit 64 bits")
                .with_help("write it as a double, with .0 at its end"),
        })?;
        Ok(if unsigned { TokenKind::Uint(number) } else { TokenKind::Int(number) })
    }

    fn end_of_number(&mut self, start: usize) -> Result<(), Diagnostic> {
        if self.take_while(|character| character.is_ascii_alphanumeric() || character == '_').is_empty() {
            return Ok(());
        }
        let text = self.source.get(start..self.position).unwrap_or("");
        let help = unit(text).unwrap_or_else(|| format!("write \"{text}\" if it is text"));
        Err(self.error(Code::InvalidNumber, start, "this is neither a number nor a name").with_help(help))
    }

    fn quoted_identifier(&mut self) -> Result<TokenKind, Diagnostic> {
        let start = self.position;
        self.position += 1;
        let name = self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | ' '));
        if !self.take("`") {
            return Err(self
                .error(
                    Code::UnclosedText,
                    start,
                    "a name in backquotes does not end, or holds a character that it may not",
                )
                .with_help("select other keys by index, as in headers[\"x:y\"]"));
        }
        if name.is_empty() {
            return Err(self
                .error(Code::UnexpectedToken, start, "a name in backquotes is empty")
                .with_help("write the name of a field between them"));
        }
        Ok(TokenKind::QuotedIdentifier(name.into()))
    }

    /// The letters before a quote that make a literal raw or bytes, if a quote is what follows.
    fn literal_prefix(&self) -> Option<&'s str> {
        let quote = self.rest().bytes().take(3).position(|byte| matches!(byte, b'"' | b'\''))?;
        let prefix = self.rest().get(..quote)?;
        matches!(prefix, "" | "r" | "R" | "b" | "B" | "br" | "bR" | "Br" | "BR").then_some(prefix)
    }

    fn quoted(&mut self, prefix: &str) -> Result<TokenKind, Diagnostic> {
        let start = self.position;
        self.position += prefix.len();
        let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| self.take(quote)).unwrap_or("\"");
        let raw = prefix.contains(['r', 'R']);
        let bytes = prefix.contains(['b', 'B']);
        let mut content = Vec::new();
        while !self.take(quote) {
            let Some(character) = self.peek().filter(|c| quote.len() == 3 || !matches!(c, '\n' | '\r'))
            else {
                return Err(self.error(Code::UnclosedText, start, "this quote is never closed").with_help(
                    match quote {
                        "'" => "end it with ', or put the text between \" if it has a ' in it".to_owned(),
                        _ => format!("end it with {quote}"),
                    },
                ));
            };
            let at = self.position;
            self.position += character.len_utf8();
            if character == '\\' && !raw {
                self.escape(at, bytes, &mut content)?;
            } else {
                content.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        if bytes {
            return Ok(TokenKind::Bytes(content.into()));
        }
        match String::from_utf8(content) {
            Ok(text) => Ok(TokenKind::String(text.into())),
            Err(_) => Err(self
                .error(Code::InvalidEscape, start, "this text is not valid Unicode")
                .with_help("put `b` before the quote for bytes")),
        }
    }

    /// Decodes the escape whose backslash, at `start`, was just read.
    fn escape(&mut self, start: usize, bytes: bool, content: &mut Vec<u8>) -> Result<(), Diagnostic> {
        let Some(letter) = self.peek() else {
            return Err(self
                .error(Code::InvalidEscape, start, "an escape is incomplete")
                .with_help(BACKSLASH));
        };
        self.position += letter.len_utf8();
        let (digits, radix) = match letter {
            'x' | 'X' => (2, 16),
            'u' if !bytes => (4, 16),
            'U' if !bytes => (8, 16),
            '0'..='3' => {
                self.position -= 1;
                (3, 8)
            }
            _ => {
                let Some(plain) = plain_escape(letter) else {
                    return Err(self
                        .error(Code::InvalidEscape, start, format!("`\\{letter}` is not an escape"))
                        .with_help(BACKSLASH));
                };
                content.push(plain);
                return Ok(());
            }
        };
        let code = self
            .rest()
            .get(..digits)
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|text| u32::from_str_radix(text, radix).ok());
        let Some(code) = code else {
            return Err(self
                .error(Code::InvalidEscape, start, format!("this escape needs {digits} digits"))
                .with_help(BACKSLASH));
        };
        self.position += digits;
        if let (true, Ok(byte)) = (bytes, u8::try_from(code)) {
            content.push(byte);
            return Ok(());
        }
        let Some(character) = char::from_u32(code) else {
            return Err(self
                .error(Code::InvalidEscape, start, "this escape is not a Unicode character")
                .with_help("characters go to \\U0010FFFF, without \\uD800 to \\uDFFF"));
        };
        content.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }
}

fn is_typographic(character: char) -> bool {
    matches!(character, '“' | '”' | '„' | '‟' | '‘' | '’' | '‚' | '«' | '»' | '´')
}

/// How to write a number with a unit or with marks between its digits.
fn unit(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|character| *character != '_').collect();
    let number = digits.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let zeros = match digits.get(number.len()..)? {
        "" => "",
        "k" | "K" => "000",
        "M" => "000000",
        "d" | "days" => {
            return Some(format!("write duration(\"{}h\")", number.parse::<u32>().ok()?.checked_mul(24)?));
        }
        unit @ ("s" | "ms" | "m" | "h") => return Some(format!("write duration(\"{number}{unit}\")")),
        _ => return None,
    };
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("write {number}{zeros}"))
}

fn plain_escape(letter: char) -> Option<u8> {
    Some(match letter {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        '?' => b'?',
        '"' => b'"',
        '\'' => b'\'',
        '`' => b'`',
        _ => return None,
    })
}
