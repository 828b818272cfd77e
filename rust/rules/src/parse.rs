//! Tokens to a tree, by operator precedence (Pratt). The first error ends it.

mod macros;

use crate::ast::{
    Arithmetic, Binary, Comparison, Element, Entry, Expression, ExpressionKind, Logic, Span, Unary,
};
use crate::diagnostic::Diagnostic;
use crate::lex::{Token, TokenKind, lex};
use crate::value::{Ref, Value};

/// How deep an expression may nest. Every later stage recurses over the tree, so this bounds its stack.
const MAXIMUM_DEPTH: usize = 64;
const MAXIMUM_SOURCE: usize = 16 * 1024;
const MAXIMUM_NODES: usize = 4_096;

const RESERVED: [&str; 18] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
    "in",
];

/// An expression, and how many expressions it is made of.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) root: Expression,
    pub(crate) count: usize,
}

pub(crate) fn parse(source: &str) -> Result<Parsed, Diagnostic> {
    parse_with(source, true)
}

/// What looks like a macro is the call of a function.
pub(crate) fn parse_without_macros(source: &str) -> Result<Parsed, Diagnostic> {
    parse_with(source, false)
}

fn parse_with(source: &str, macros: bool) -> Result<Parsed, Diagnostic> {
    if source.len() > MAXIMUM_SOURCE {
        let message = format!("an expression is at most {MAXIMUM_SOURCE} bytes; this has {}", source.len());
        return Err(Diagnostic::new(0..0, message));
    }
    let tokens = lex(source)?;
    let end = Token { kind: TokenKind::End, span: Span::new(source.len(), source.len()) };
    let mut parser = Parser { tokens: &tokens, end, position: 0, depth: 0, count: 0, macros };
    let root = parser.expression()?;
    if parser.peek().kind != TokenKind::End {
        return Err(parser.unexpected("an operator"));
    }
    Ok(Parsed { root, count: parser.count })
}

struct Parser<'t> {
    tokens: &'t [Token],
    end: Token,
    position: usize,
    depth: usize,
    count: usize,
    macros: bool,
}

/// An operator between two operands, and how tightly it binds.
enum Infix {
    Logic(Logic),
    Binary(Binary),
}

impl Infix {
    fn binding(&self) -> u8 {
        match self {
            Self::Logic(Logic::Or) => 1,
            Self::Logic(Logic::And) => 2,
            Self::Binary(Binary::Comparison(_)) => 3,
            Self::Binary(Binary::Arithmetic(Arithmetic::Add | Arithmetic::Subtract)) => 4,
            Self::Binary(Binary::Arithmetic(_)) => 5,
        }
    }
}

impl<'t> Parser<'t> {
    fn peek(&self) -> &Token {
        self.tokens.get(self.position).unwrap_or(&self.end)
    }

    fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        self.position += 1;
        token
    }

    fn take(&mut self, symbol: &'static str) -> Option<Span> {
        let token = self.peek();
        let span = (token.kind == TokenKind::Symbol(symbol)).then_some(token.span)?;
        self.position += 1;
        Some(span)
    }

    /// The symbol that closes what `opened` began.
    fn close(&mut self, symbol: &'static str, opened: Span) -> Result<Span, Diagnostic> {
        match self.take(symbol) {
            Some(span) => Ok(span),
            None if self.peek().kind == TokenKind::End => {
                Err(Diagnostic::new(opened.range(), format!("this is never closed with `{symbol}`")))
            }
            None => Err(self.unexpected(&format!("`{symbol}`"))),
        }
    }

    #[cold]
    fn unexpected(&self, wanted: &str) -> Diagnostic {
        let token = self.peek();
        let message = match &token.kind {
            TokenKind::End => format!("the expression ends where {wanted} is expected"),
            TokenKind::Symbol(symbol) => format!("expected {wanted}, found `{symbol}`"),
            TokenKind::Identifier(name) => format!("expected {wanted}, found `{name}`"),
            TokenKind::QuotedIdentifier(name) => format!("expected {wanted}, found the name `{name}`"),
            _ => format!("expected {wanted}, found a literal"),
        };
        let error = Diagnostic::new(token.span.range(), message);
        match &token.kind {
            TokenKind::Identifier(name) if name.eq_ignore_ascii_case("and") => {
                error.with_help("write `&&` for and")
            }
            TokenKind::Identifier(name) if name.eq_ignore_ascii_case("or") => {
                error.with_help("write `||` for or")
            }
            TokenKind::Identifier(name) if name.eq_ignore_ascii_case("not") => {
                error.with_help("write `!` for not")
            }
            _ => error,
        }
    }

    fn node(&mut self, span: Span, kind: ExpressionKind) -> Result<Expression, Diagnostic> {
        let height = kind.height() + 1;
        if height > MAXIMUM_DEPTH {
            return Err(too_deep(span));
        }
        if self.count == MAXIMUM_NODES {
            let message = format!("an expression is made of at most {MAXIMUM_NODES} parts");
            return Err(Diagnostic::new(span.range(), message).with_help("split it into several rules"));
        }
        self.count += 1;
        Ok(Expression { id: self.count - 1, height, span, kind })
    }

    /// Runs `parse` one level further down.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, Diagnostic>) -> Result<T, Diagnostic> {
        if self.depth == MAXIMUM_DEPTH {
            return Err(too_deep(self.peek().span));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    fn expression(&mut self) -> Result<Expression, Diagnostic> {
        let condition = self.operators(0)?;
        if self.take("?").is_none() {
            return Ok(condition);
        }
        let yes = self.nested(|parser| parser.operators(0))?;
        if self.take(":").is_none() {
            return Err(self.unexpected("`:`"));
        }
        let no = self.nested(Self::expression)?;
        let span = condition.span.to(no.span);
        let kind =
            ExpressionKind::Conditional { condition: condition.into(), yes: yes.into(), no: no.into() };
        self.node(span, kind)
    }

    /// Operands joined by operators that bind tighter than `minimum`.
    fn operators(&mut self, minimum: u8) -> Result<Expression, Diagnostic> {
        let mut left = self.unary()?;
        while let Some(infix) = self.infix().filter(|infix| infix.binding() > minimum) {
            self.position += 1;
            let right = self.nested(|parser| parser.operators(infix.binding()))?;
            let span = left.span.to(right.span);
            left = match infix {
                Infix::Binary(Binary::Arithmetic(Arithmetic::Add)) => {
                    let terms = self.terms(&infix, "+", vec![left, right])?;
                    let span = terms.last().map_or(span, |last| span.to(last.span));
                    self.node(span, ExpressionKind::Sum(terms))?
                }
                Infix::Binary(operator) => self.node(
                    span,
                    ExpressionKind::Binary { operator, left: left.into(), right: right.into() },
                )?,
                Infix::Logic(operator) => {
                    let terms = self.terms(&infix, operator.symbol(), vec![left, right])?;
                    let span = terms.last().map_or(span, |last| span.to(last.span));
                    self.node(span, ExpressionKind::Logic { operator, terms })?
                }
            };
        }
        Ok(left)
    }

    /// The further terms of a chain of one operator.
    fn terms(
        &mut self,
        infix: &Infix,
        symbol: &'static str,
        mut terms: Vec<Expression>,
    ) -> Result<Vec<Expression>, Diagnostic> {
        while self.take(symbol).is_some() {
            terms.push(self.nested(|parser| parser.operators(infix.binding()))?);
        }
        Ok(terms)
    }

    fn infix(&self) -> Option<Infix> {
        let symbol = match &self.peek().kind {
            TokenKind::Identifier(name) if &**name == "in" => "in",
            TokenKind::Symbol(symbol) => symbol,
            _ => return None,
        };
        Some(match symbol {
            "||" => Infix::Logic(Logic::Or),
            "&&" => Infix::Logic(Logic::And),
            "==" => comparison(Comparison::Equal),
            "!=" => comparison(Comparison::NotEqual),
            "<" => comparison(Comparison::Less),
            "<=" => comparison(Comparison::LessOrEqual),
            ">" => comparison(Comparison::Greater),
            ">=" => comparison(Comparison::GreaterOrEqual),
            "in" => comparison(Comparison::In),
            "+" => arithmetic(Arithmetic::Add),
            "-" => arithmetic(Arithmetic::Subtract),
            "*" => arithmetic(Arithmetic::Multiply),
            "/" => arithmetic(Arithmetic::Divide),
            "%" => arithmetic(Arithmetic::Remainder),
            _ => return None,
        })
    }

    fn unary(&mut self) -> Result<Expression, Diagnostic> {
        let (operator, start) = if let Some(start) = self.take("!") {
            (Unary::Not, start)
        } else if let Some(start) = self.take("-") {
            if let Some(literal) = self.negative_literal(start)? {
                return self.postfix(literal);
            }
            (Unary::Negate, start)
        } else {
            let primary = self.primary()?;
            return self.postfix(primary);
        };
        let operand = self.nested(Self::unary)?;
        self.node(start.to(operand.span), ExpressionKind::Unary { operator, operand: operand.into() })
    }

    /// The minus belongs to the literal: the least int has no positive twin.
    fn negative_literal(&mut self, minus: Span) -> Result<Option<Expression>, Diagnostic> {
        let token = self.peek();
        let span = minus.to(token.span);
        let value = match token.kind {
            TokenKind::Int(digits) => {
                Value::Int(0_i64.checked_sub_unsigned(digits).ok_or_else(|| too_large(span))?)
            }
            TokenKind::Double(number) => Value::Double(-number),
            _ => return Ok(None),
        };
        self.position += 1;
        self.node(span, ExpressionKind::Literal(value)).map(Some)
    }

    fn postfix(&mut self, mut operand: Expression) -> Result<Expression, Diagnostic> {
        loop {
            if self.take(".").is_some() {
                operand = self.selection(operand)?;
            } else if let Some(opened) = self.take("[") {
                let optional = self.take("?").is_some();
                let key = self.nested(Self::expression)?;
                let closed = self.close("]", opened)?;
                let span = operand.span.to(closed);
                let kind = ExpressionKind::Index { operand: operand.into(), key: key.into(), optional };
                operand = self.node(span, kind)?;
            } else {
                return Ok(operand);
            }
        }
    }

    /// What follows a dot: a field, or a function called on the operand.
    fn selection(&mut self, operand: Expression) -> Result<Expression, Diagnostic> {
        let optional = self.take("?").is_some();
        let token = self.peek().clone();
        let (name, may_call) = match token.kind {
            TokenKind::Identifier(name) if !matches!(&*name, "in" | "true" | "false" | "null") => {
                (name, !optional)
            }
            TokenKind::QuotedIdentifier(name) => (name, false),
            _ => return Err(self.unexpected("the name of a field")),
        };
        self.position += 1;
        if may_call && let Some(opened) = self.take("(") {
            let (arguments, closed) = self.arguments(opened)?;
            let span = operand.span.to(closed);
            return self.method(span, operand, name, arguments);
        }
        let span = operand.span.to(token.span);
        self.node(span, ExpressionKind::Select { operand: operand.into(), field: name, optional })
    }

    fn primary(&mut self) -> Result<Expression, Diagnostic> {
        let leading_dot = self.take(".").is_some();
        let start = self.peek().span;
        match self.peek().kind.clone() {
            TokenKind::Identifier(name) => self.named(&name, start, leading_dot),
            _ if leading_dot => Err(self.unexpected("the name of a variable")),
            TokenKind::Symbol("(") => {
                self.position += 1;
                let mut inner = self.nested(Self::expression)?;
                inner.span = start.to(self.close(")", start)?);
                Ok(inner)
            }
            TokenKind::Symbol("[") => {
                self.position += 1;
                let (elements, end) = self.elements(start)?;
                self.node(start.to(end), ExpressionKind::List(elements))
            }
            TokenKind::Symbol("{") => self.map(),
            TokenKind::QuotedIdentifier(_) => Err(self
                .unexpected("an expression")
                .with_help("backquotes are for fields, as in headers.`x-tier`")),
            TokenKind::Symbol(_) | TokenKind::End => Err(self.unexpected("an expression")),
            TokenKind::Int(digits) => {
                let number = i64::try_from(digits).map_err(|_| too_large(start))?;
                self.literal(Value::Int(number))
            }
            TokenKind::Uint(number) => self.literal(Value::Uint(number)),
            TokenKind::Double(number) => self.literal(Value::Double(number)),
            TokenKind::String(text) => self.literal(Value::String(Ref::Counted(text.into()))),
            TokenKind::Bytes(bytes) => self.literal(Value::Bytes(Ref::Counted(bytes.into()))),
        }
    }

    fn literal(&mut self, value: Value<'static>) -> Result<Expression, Diagnostic> {
        let span = self.advance().span;
        self.node(span, ExpressionKind::Literal(value))
    }

    /// A name that no operand precedes: a constant, a call or a variable.
    fn named(&mut self, name: &str, start: Span, absolute: bool) -> Result<Expression, Diagnostic> {
        match name {
            "true" => return self.literal(Value::Bool(true)),
            "false" => return self.literal(Value::Bool(false)),
            "null" => return self.literal(Value::Null),
            _ if RESERVED.contains(&name) => {
                return Err(Diagnostic::new(start.range(), format!("`{name}` is a reserved word")));
            }
            _ => {}
        }
        self.position += 1;
        let Some(opened) = self.take("(") else {
            return self.node(start, ExpressionKind::Variable { name: name.into(), absolute });
        };
        let (arguments, closed) = self.arguments(opened)?;
        let span = start.to(closed);
        if name == "has" && self.macros {
            return self.has(span, arguments);
        }
        self.node(span, ExpressionKind::Call { function: name.into(), target: None, arguments })
    }

    /// Expressions between commas, after the parenthesis at `opened`, through the one that closes it.
    fn arguments(&mut self, opened: Span) -> Result<(Vec<Expression>, Span), Diagnostic> {
        let mut arguments = Vec::new();
        if let Some(closed) = self.take(")") {
            return Ok((arguments, closed));
        }
        loop {
            arguments.push(self.nested(Self::expression)?);
            if self.take(",").is_none() {
                return self.close(")", opened).map(|closed| (arguments, closed));
            }
        }
    }

    /// The elements of a list, whose last may be followed by a comma.
    fn elements(&mut self, opened: Span) -> Result<(Vec<Element>, Span), Diagnostic> {
        let mut elements = Vec::new();
        loop {
            if let Some(closed) = self.take("]") {
                return Ok((elements, closed));
            }
            let optional = self.take("?").is_some();
            elements.push(Element { optional, value: self.nested(Self::expression)? });
            if self.take(",").is_none() {
                return self.close("]", opened).map(|closed| (elements, closed));
            }
        }
    }

    fn map(&mut self) -> Result<Expression, Diagnostic> {
        let opened = self.advance().span;
        let mut entries = Vec::new();
        let closed = loop {
            if let Some(closed) = self.take("}") {
                break closed;
            }
            let optional = self.take("?").is_some();
            let key = self.nested(Self::expression)?;
            if self.take(":").is_none() {
                return Err(self.unexpected("`:` and the value of this key"));
            }
            entries.push(Entry { optional, key, value: self.nested(Self::expression)? });
            if self.take(",").is_none() {
                break self.close("}", opened)?;
            }
        };
        self.node(opened.to(closed), ExpressionKind::Map(entries))
    }
}

fn comparison(operator: Comparison) -> Infix {
    Infix::Binary(Binary::Comparison(operator))
}

fn arithmetic(operator: Arithmetic) -> Infix {
    Infix::Binary(Binary::Arithmetic(operator))
}

#[cold]
fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::new(span.range(), format!("the expression nests more than {MAXIMUM_DEPTH} levels deep"))
}

#[cold]
fn too_large(span: Span) -> Diagnostic {
    Diagnostic::new(span.range(), "this number does not fit an int of 64 bits")
        .with_help("write it as a double or a uint")
}

#[cfg(test)]
mod tests;
