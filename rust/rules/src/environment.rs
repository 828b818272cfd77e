//! Which names rules may use: variables, functions of the request, and expressions that were given a name.

use crate::ast::Expression;
use crate::check::{Types, check};
use crate::diagnostic::Diagnostic;
use crate::functions;
use crate::parse::{Parsed, parse};
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
}

#[derive(Debug, Clone)]
pub(crate) struct Variable {
    pub(crate) name: Box<str>,
    pub(crate) of_type: Type,
    pub(crate) form: Form,
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
    pub(crate) parsed: std::sync::Arc<Parsed>,
    pub(crate) types: std::sync::Arc<Types>,
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
        let parsed = parse(source).map_err(|error| vec![error])?;
        let types = check(&self, &parsed)?;
        self.definitions.push(Definition { name: name.into(), parsed: parsed.into(), types: types.into() });
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

    /// Whether the caller must give this variable's keys in lower case.
    pub fn has_lowercase_keys(&self, name: &str) -> bool {
        self.variables.iter().any(|variable| &*variable.name == name && variable.form == Form::LowercaseKeys)
    }

    fn with(mut self, name: &str, of_type: Type, form: Form) -> Self {
        self.variables.push(Variable { name: name.into(), of_type, form, known: None });
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

    /// The signatures of a declared function.
    pub(crate) fn signatures(&self, name: &str) -> impl Iterator<Item = &Signature> {
        self.functions.iter().filter(move |(known, _)| &**known == name).map(|(_, signature)| signature)
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
                .or_else(|| type_named(&candidate).map(Name::Type))
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
        functions::find(function, true).map(|overloads| (Callee::Library(overloads), true))
    }

    fn function(&self, name: &str, absolute: bool) -> Option<Callee<'_>> {
        self.candidates(name, absolute).find_map(|candidate| {
            if let Some((declared, _)) = self.functions.iter().find(|(known, _)| **known == *candidate) {
                return Some(Callee::Declared(declared));
            }
            let keyed = |variable: &Variable| *variable.name == *candidate && variable.form == Form::Keyed;
            let keyed = self.variables.iter().position(keyed).map(Callee::Keyed);
            keyed.or_else(|| functions::find(&candidate, false).map(Callee::Library))
        })
    }

    /// The full names that a name may stand for, in the order in which they are tried.
    fn candidates(&self, name: &str, absolute: bool) -> impl Iterator<Item = String> {
        let prefixes = if absolute { &[][..] } else { &self.prefixes };
        prefixes.iter().map(move |prefix| format!("{prefix}{name}")).chain([name.to_owned()])
    }
}

fn type_named(name: &str) -> Option<Kind> {
    use Kind::{
        Bool, Bytes, Cidr, Double, Duration, Int, Ip, List, Map, Null, Optional, String, Timestamp, Type,
        Uint,
    };
    let kinds = [
        Null, Bool, Int, Uint, Double, String, Bytes, List, Map, Timestamp, Duration, Type, Optional, Ip,
        Cidr,
    ];
    kinds.into_iter().find(|kind| kind.type_name() == name)
}
