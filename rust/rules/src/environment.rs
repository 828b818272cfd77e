//! Which names rules may use: variables, functions of the request, and expressions that were given a name.

use std::sync::Arc;

use crate::ast::Expression;
use crate::checked::Checked;
use crate::diagnostic::Diagnostic;
use crate::functions;
use crate::parse::{Parsed, parse, parse_without_macros};
use crate::program::Attribute;
use crate::signature::Signature;
use crate::types::{Type, UnknownType};
use crate::value::Kind;

/// The declared names. A variable is known to the caller by its position in the order of declaration.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: Vec<Variable>,
    functions: Vec<(Box<str>, Signature)>,
    definitions: Vec<Definition>,
    /// `a.b.c` as `["a.b.c.", "a.b.", "a."]`.
    prefixes: Vec<Box<str>>,
    without_macros: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Variable {
    pub(crate) name: Box<str>,
    pub(crate) of_type: Type,
    pub(crate) form: Form,
    /// Most bytes of a text, or elements of a list or map.
    pub(crate) size: u64,
    /// Most bytes of a text in it.
    pub(crate) text: u64,
    pub(crate) known: Option<Known>,
}

/// What is known of a variable beside its type. Lints and suggestions use it; nothing is enforced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Known {
    /// A text that is one of these.
    OneOf(&'static [&'static str]),
    /// A text that begins so.
    BeginsWith(&'static str),
    /// A number that is not less.
    AtLeast(f64),
    /// A map that often has these keys.
    Keys(&'static [&'static str]),
    /// A map that has these keys, always, and no others.
    Fields(&'static [&'static str]),
}

/// Most bytes of a text, or elements of a list or map, unless the caller says otherwise.
const USUAL_SIZE: u64 = 1_000;

/// How rules read a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// By its name.
    Plain,
    /// By its name; its keys are lower case whatever the rule writes, as the names of HTTP headers.
    LowercaseKeys,
    /// As a function of one constant text.
    Keyed,
}

/// An expression with a name, which rules may use as a variable.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) name: Box<str>,
    pub(crate) expression: Arc<Checked>,
}

/// What a name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    /// A variable of a comprehension, by how many such variables enclose it.
    Local(usize),
    Variable(usize),
    Definition(usize),
    /// The name of a type.
    Type(Kind),
}

/// The function that is called.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Callee<'e> {
    /// Of the library. The target of a method is its first argument.
    Library(&'static functions::Overloads),
    /// A variable that is read with a constant text.
    Keyed(usize),
    /// One that was declared by its signatures alone.
    Declared(&'e str),
}

impl Environment {
    /// No names but those of CEL itself.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a variable. Of two with one name, rules see the first.
    #[must_use]
    pub fn declare(self, name: &str, of_type: Type) -> Self {
        self.with(name, of_type, Form::Plain)
    }

    /// Adds a map of strings to `values` whose keys the caller gives in lower case; rules may write them in
    /// any case.
    #[must_use]
    pub fn declare_map_lowercase(self, name: &str, values: Type) -> Self {
        self.with(name, Type::map(Type::String, values), Form::LowercaseKeys)
    }

    /// Says how large the variable that was declared last may be: bytes of its texts, elements of a list or map. Of
    /// an expression that would cost too much with it, nothing is accepted.
    #[must_use]
    pub fn of_size(mut self, most: u64) -> Self {
        if let Some(variable) = self.variables.last_mut() {
            variable.size = most;
        }
        self
    }

    /// The same for the texts in the list or map that was declared last.
    #[must_use]
    pub fn with_texts_of(mut self, most: u64) -> Self {
        if let Some(variable) = self.variables.last_mut() {
            variable.text = most;
        }
        self
    }

    /// Adds a function of one constant text, `name("text")`. A source is asked for its value as for the entry
    /// `text` of a variable.
    #[must_use]
    pub fn declare_keyed(self, name: &str, result: Type) -> Self {
        self.with(name, result, Form::Keyed)
    }

    /// Says what is known of a variable that was declared.
    #[must_use]
    pub fn describe(mut self, name: &str, known: Known) -> Self {
        if let Some(variable) = self.variables.iter_mut().find(|variable| *variable.name == *name) {
            variable.known = Some(known);
        }
        self
    }

    /// Adds a function by its signature, as `name(int, list(A)) -> A`. It can be checked and not be evaluated.
    pub fn declare_function(mut self, signature: &str) -> Result<Self, UnknownType> {
        let (name, read) = Signature::read(signature).ok_or_else(|| UnknownType::of(signature))?;
        self.functions.push((name.into(), read));
        Ok(self)
    }

    /// Adds an expression under a name. It may use what is declared so far.
    pub fn define(mut self, name: &str, source: &str) -> Result<Self, Vec<Diagnostic>> {
        let expression = Checked::read(&self, source)?.into();
        self.definitions.push(Definition { name: name.into(), expression });
        Ok(self)
    }

    /// The names in `container` can be written without it.
    #[must_use]
    pub fn container(mut self, container: &str) -> Self {
        let mut rest = Some(container).filter(|name| !name.is_empty());
        self.prefixes.clear();
        while let Some(name) = rest {
            self.prefixes.push(format!("{name}.").into());
            rest = name.rsplit_once('.').map(|(outer, _)| outer);
        }
        self
    }

    /// What looks like a macro is the call of a function.
    #[must_use]
    pub fn without_macros(mut self) -> Self {
        self.without_macros = true;
        self
    }

    /// Name and type of each variable. One that is a function of a text is the map of its texts.
    pub fn variables(&self) -> impl Iterator<Item = (&str, Type)> {
        self.variables.iter().map(|variable| {
            let of_type = match variable.form {
                Form::Plain | Form::LowercaseKeys => variable.of_type.clone(),
                Form::Keyed => Type::map(Type::String, variable.of_type.clone()),
            };
            (&*variable.name, of_type)
        })
    }

    /// Whether the caller must give this variable's keys in lower case.
    pub fn has_lowercase_keys(&self, name: &str) -> bool {
        self.variables.iter().any(|variable| &*variable.name == name && variable.form == Form::LowercaseKeys)
    }

    pub(crate) fn parse(&self, source: &str) -> Result<Parsed, Diagnostic> {
        if self.without_macros { parse_without_macros(source) } else { parse(source) }
    }

    fn with(mut self, name: &str, of_type: Type, form: Form) -> Self {
        let (size, text) = (USUAL_SIZE, USUAL_SIZE);
        self.variables.push(Variable { name: name.into(), of_type, form, size, text, known: None });
        self
    }

    pub(crate) fn variable(&self, index: usize) -> Option<&Variable> {
        self.variables.get(index)
    }

    pub(crate) fn definition(&self, index: usize) -> Option<&Definition> {
        self.definitions.get(index)
    }

    /// The variable of this very name that is read by its name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.variables.iter().position(|variable| &*variable.name == name && variable.form != Form::Keyed)
    }

    /// The declared type of what an attribute reads: of a variable, or of an entry of a map.
    pub(crate) fn type_of(&self, attribute: &Attribute) -> Option<&Type> {
        let variable = self.variables.get(attribute.variable)?;
        match (&attribute.key, &variable.of_type) {
            (None, declared) => Some(declared),
            (Some(_), declared) if variable.form == Form::Keyed => Some(declared),
            (Some(_), Type::Map(_, values)) => Some(values),
            (Some(_), _) => None,
        }
    }

    /// Names that can stand where a value is expected.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let variables = self.variables.iter().filter(|variable| variable.form != Form::Keyed);
        let definitions = self.definitions.iter().map(|definition| &*definition.name);
        variables.map(|variable| &*variable.name).chain(definitions)
    }

    /// Names of functions beside those of the library.
    pub(crate) fn function_names(&self) -> impl Iterator<Item = &str> {
        let keyed = self.variables.iter().filter(|variable| variable.form == Form::Keyed);
        keyed.map(|variable| &*variable.name).chain(self.functions.iter().map(|(name, _)| &**name))
    }

    /// The signatures of a declared function or method.
    pub(crate) fn signatures(&self, name: &str, method: bool) -> impl Iterator<Item = &Signature> {
        let of_name =
            move |(known, signature): &&(Box<str>, Signature)| &**known == name && signature.method == method;
        self.functions.iter().filter(of_name).map(|(_, signature)| signature)
    }

    /// What an expression means as a whole, if it is a name. `locals` are the variables of the comprehensions
    /// around it, innermost last.
    pub(crate) fn resolve<'l>(
        &self,
        expression: &Expression,
        mut locals: impl DoubleEndedIterator<Item = &'l str> + ExactSizeIterator,
    ) -> Option<Name> {
        let name = expression.qualified_name()?;
        let (first, absolute) = expression.first_name()?;
        if !absolute && let Some(place) = locals.rposition(|local| local == first) {
            return (name == first).then_some(Name::Local(place));
        }
        self.candidates(&name, absolute).find_map(|candidate| {
            let definition = || self.definitions.iter().position(|definition| *definition.name == *candidate);
            let found = self.find(&candidate).map(Name::Variable);
            found
                .or_else(|| definition().map(Name::Definition))
                .or_else(|| Kind::named(&candidate).map(Name::Type))
        })
    }

    /// The function that a call of `function` on `target` means, and whether the target is an argument of it.
    pub(crate) fn callee<'l>(
        &self,
        function: &str,
        target: Option<&Expression>,
        mut locals: impl Iterator<Item = &'l str>,
    ) -> Option<(Callee<'_>, bool)> {
        let Some(target) = target else { return Some((self.function(function, false)?, false)) };
        if let (Some(namespace), Some((first, absolute))) = (target.qualified_name(), target.first_name())
            && (absolute || !locals.any(|local| local == first))
            && let Some(found) = self.function(&format!("{namespace}.{function}"), absolute)
        {
            return Some((found, false));
        }
        let declared = self.declared(function, true).map(Callee::Declared);
        let method = declared.or_else(|| functions::find(function, true).map(Callee::Library));
        method.map(|callee| (callee, true))
    }

    fn function(&self, name: &str, absolute: bool) -> Option<Callee<'_>> {
        self.candidates(name, absolute).find_map(|candidate| {
            if let Some(declared) = self.declared(&candidate, false) {
                return Some(Callee::Declared(declared));
            }
            let keyed = |variable: &Variable| *variable.name == *candidate && variable.form == Form::Keyed;
            let keyed = self.variables.iter().position(keyed).map(Callee::Keyed);
            keyed.or_else(|| functions::find(&candidate, false).map(Callee::Library))
        })
    }

    fn declared(&self, name: &str, method: bool) -> Option<&str> {
        let of_name =
            |(known, signature): &&(Box<str>, Signature)| **known == *name && signature.method == method;
        self.functions.iter().find(of_name).map(|(known, _)| &**known)
    }

    /// The full names that a name may stand for, in the order in which they are tried.
    fn candidates(&self, name: &str, absolute: bool) -> impl Iterator<Item = String> {
        let prefixes = if absolute { &[][..] } else { &self.prefixes };
        prefixes.iter().map(move |prefix| format!("{prefix}{name}")).chain([name.to_owned()])
    }
}
