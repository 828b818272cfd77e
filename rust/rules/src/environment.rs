//! Which variables rules may name, and of which types.

use crate::program::Attribute;
use crate::types::Type;

/// The declared variables. A variable is known to the caller by its position in the order of declaration.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: Vec<Variable>,
}

#[derive(Debug, Clone)]
pub(crate) struct Variable {
    pub(crate) name: Box<str>,
    pub(crate) of_type: Type,
    /// Keys are lower case whatever the rule writes, as the names of HTTP headers.
    pub(crate) lowercase_keys: bool,
}

impl Environment {
    /// No variables.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a variable. Of two with one name, rules see the first.
    #[must_use]
    pub fn declare(self, name: &str, of_type: Type) -> Self {
        self.with(Variable { name: name.into(), of_type, lowercase_keys: false })
    }

    /// Adds a map of strings to `values` whose keys the caller gives in lower case; rules may write them in
    /// any case.
    #[must_use]
    pub fn declare_map_lowercase(self, name: &str, values: Type) -> Self {
        self.with(Variable {
            name: name.into(),
            of_type: Type::map(Type::String, values),
            lowercase_keys: true,
        })
    }

    /// Whether the caller must give this variable's keys in lower case.
    pub fn has_lowercase_keys(&self, name: &str) -> bool {
        self.find(name).is_some_and(|(_, variable)| variable.lowercase_keys)
    }

    fn with(mut self, variable: Variable) -> Self {
        self.variables.push(variable);
        self
    }

    pub(crate) fn find(&self, name: &str) -> Option<(usize, &Variable)> {
        self.variables.iter().enumerate().find(|(_, variable)| &*variable.name == name)
    }

    /// The declared type of what an attribute reads: of a variable, or of an entry of a map.
    pub(crate) fn type_of(&self, attribute: &Attribute) -> Option<&Type> {
        let declared = &self.variables.get(attribute.variable)?.of_type;
        match (&attribute.key, declared) {
            (None, _) => Some(declared),
            (Some(_), Type::Map(_, values)) => Some(values),
            (Some(_), _) => None,
        }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(|variable| &*variable.name)
    }
}
