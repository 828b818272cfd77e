//! What the type parameters of functions and of empty lists stand for, found while an expression is checked.
//!
//! As in the checker of CEL's reference implementation, a parameter that meets several types stands for the most
//! general of them, and `dyn` fits everything.

use crate::types::Type;

#[derive(Debug, Default)]
pub(crate) struct Inference {
    bindings: Vec<Option<Type>>,
    /// What bindings were before, latest last, so that an attempt can be undone.
    trail: Vec<(usize, Option<Type>)>,
}

impl Inference {
    /// A type that is not known yet.
    pub(crate) fn unknown(&mut self) -> Type {
        self.bindings.push(None);
        Type::Variable(self.bindings.len() - 1)
    }

    /// The types of a signature for one use of it: each of its parameters is a type not known yet.
    pub(crate) fn instantiate(&mut self, parameters: &[Type], result: &Type) -> (Vec<Type>, Type) {
        let mut known: Vec<(Type, Type)> = Vec::new();
        let mut replace = |found: &Type| {
            let Type::Parameter(_) = found else { return None };
            if let Some((_, variable)) = known.iter().find(|(parameter, _)| parameter == found) {
                return Some(variable.clone());
            }
            let variable = self.unknown();
            known.push((found.clone(), variable.clone()));
            Some(variable)
        };
        let parameters = parameters.iter().map(|parameter| parameter.replace(&mut replace)).collect();
        (parameters, result.replace(&mut replace))
    }

    /// Whether each found type may stand where the wanted one is. If so, what that takes is remembered.
    pub(crate) fn all_fit(&mut self, found: &[Type], wanted: &[Type]) -> bool {
        let before = self.trail.len();
        let fits = found.len() == wanted.len()
            && found.iter().zip(wanted).all(|(found, wanted)| self.unify(found, wanted));
        if !fits {
            while self.trail.len() > before {
                if let Some((variable, binding)) = self.trail.pop()
                    && let Some(slot) = self.bindings.get_mut(variable)
                {
                    *slot = binding;
                }
            }
        }
        fits
    }

    /// As [`Self::all_fit`], for one type.
    pub(crate) fn fits(&mut self, found: &Type, wanted: &Type) -> bool {
        self.all_fit(std::slice::from_ref(found), std::slice::from_ref(wanted))
    }

    /// The type that covers both, or `None` if nothing but `dyn` does.
    pub(crate) fn join(&mut self, left: &Type, right: &Type) -> Option<Type> {
        self.fits(left, right).then(|| self.more_general(left, right))
    }

    /// The type with everything that is known put in.
    pub(crate) fn resolve(&self, found: &Type) -> Type {
        found.replace(&mut |part| match part {
            Type::Variable(_) => {
                let bound = self.shallow(part);
                (*bound != *part).then(|| self.resolve(bound))
            }
            _ => None,
        })
    }

    /// As [`Self::resolve`]; what is not known is `dyn`.
    pub(crate) fn settle(&self, found: &Type) -> Type {
        self.resolve(found).replace(&mut |part| matches!(part, Type::Variable(_)).then_some(Type::Dyn))
    }

    fn shallow<'t>(&'t self, mut found: &'t Type) -> &'t Type {
        while let Type::Variable(variable) = found
            && let Some(Some(bound)) = self.bindings.get(*variable)
        {
            found = bound;
        }
        found
    }

    fn unify(&mut self, found: &Type, wanted: &Type) -> bool {
        match (found, wanted) {
            (_, Type::Variable(variable)) => self.bind(*variable, found),
            (Type::Variable(variable), _) => self.bind(*variable, wanted),
            (Type::Dyn, _) | (_, Type::Dyn) | (Type::Type(_), Type::Type(_)) => true,
            (Type::Null, other) | (other, Type::Null) => *other == Type::Null || is_nullable(other),
            (Type::List(found), Type::List(wanted)) => self.unify(found, wanted),
            (Type::Map(found_key, found), Type::Map(wanted_key, wanted)) => {
                self.unify(found_key, wanted_key) && self.unify(found, wanted)
            }
            (Type::Opaque(found_name, found), Type::Opaque(wanted_name, wanted)) => {
                found_name == wanted_name
                    && found.len() == wanted.len()
                    && found.iter().zip(wanted.iter()).all(|(found, wanted)| self.unify(found, wanted))
            }
            (found, wanted) => found == wanted,
        }
    }

    fn bind(&mut self, variable: usize, found: &Type) -> bool {
        let bound = self.bindings.get(variable).cloned().flatten();
        let Some(bound) = bound else {
            let end = self.shallow(found);
            return *end == Type::Variable(variable)
                || (!self.occurs(variable, found) && self.set(variable, found.clone()));
        };
        if *found == Type::Variable(variable) {
            return true;
        }
        if !self.unify(&bound, found) {
            return false;
        }
        let general = self.more_general(&bound, found);
        self.occurs(variable, &general) || self.set(variable, general)
    }

    fn set(&mut self, variable: usize, bound: Type) -> bool {
        if let Some(slot) = self.bindings.get_mut(variable) {
            let before = slot.replace(bound);
            self.trail.push((variable, before));
        }
        true
    }

    fn occurs(&self, variable: usize, found: &Type) -> bool {
        match self.shallow(found) {
            Type::Variable(other) => *other == variable,
            Type::List(element) | Type::Type(element) => self.occurs(variable, element),
            Type::Map(key, value) => self.occurs(variable, key) || self.occurs(variable, value),
            Type::Opaque(_, parameters) => {
                parameters.iter().any(|parameter| self.occurs(variable, parameter))
            }
            _ => false,
        }
    }

    fn more_general(&self, left: &Type, right: &Type) -> Type {
        let chosen = if self.is_as_general(left, right) { left } else { right };
        self.resolve(chosen)
    }

    fn is_as_general(&self, left: &Type, right: &Type) -> bool {
        let all = |left: &[Type], right: &[Type]| {
            left.iter().zip(right).all(|(left, right)| self.is_as_general(left, right))
        };
        match (self.shallow(left), self.shallow(right)) {
            (Type::Dyn | Type::Variable(_), _) => true,
            (_, Type::Dyn | Type::Variable(_)) | (Type::Null, _) => false,
            (_, Type::Null) => true,
            (Type::List(left), Type::List(right)) => self.is_as_general(left, right),
            (Type::Map(left_key, left), Type::Map(right_key, right)) => {
                self.is_as_general(left_key, right_key) && self.is_as_general(left, right)
            }
            (Type::Opaque(_, left), Type::Opaque(_, right)) => all(left, right),
            (left, right) => left == right,
        }
    }
}

/// Whether a value of such a type may be null.
fn is_nullable(of_type: &Type) -> bool {
    matches!(of_type, Type::Opaque(..) | Type::Timestamp | Type::Duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Type {
        Type::read(text, true).unwrap()
    }

    #[test]
    fn a_parameter_stands_for_the_most_general_type_that_it_meets() {
        for (signature, arguments, expected) in [
            ("A", "int", Some("int")),
            ("A, A", "int, int", Some("int")),
            ("A, A", "int, dyn", Some("dyn")),
            ("A, A", "dyn, int", Some("dyn")),
            ("A, A", "int, string", None),
            ("list(A), A", "list(int), int", Some("int")),
            ("list(A), A", "list(dyn), int", Some("dyn")),
            ("list(A), A", "list(int), string", None),
            ("map(B, A)", "map(string, list(int))", Some("list(int)")),
            ("optional_type(A), A", "optional_type(string), string", Some("string")),
        ] {
            let parameters: Vec<Type> = crate::types::split(signature).map(read).collect();
            let arguments: Vec<Type> = crate::types::split(arguments).map(read).collect();
            let mut inference = Inference::default();
            let (wanted, result) = inference.instantiate(&parameters, &read("A"));
            let found = inference.all_fit(&arguments, &wanted).then(|| inference.settle(&result).to_string());
            assert_eq!(found.as_deref(), expected, "{signature}: {arguments:?}");
        }
    }

    #[test]
    fn what_does_not_fit_leaves_no_trace() {
        let mut inference = Inference::default();
        let unknown = inference.unknown();
        let wanted = [unknown.clone(), unknown.clone()];
        assert!(!inference.all_fit(&[Type::Int, Type::String], &wanted));
        assert_eq!(inference.resolve(&unknown), unknown);
        assert!(inference.all_fit(&[Type::String, Type::String], &wanted));
        assert_eq!(inference.resolve(&unknown), Type::String);
    }

    #[test]
    fn a_type_is_not_part_of_itself() {
        let mut inference = Inference::default();
        let unknown = inference.unknown();
        assert!(!inference.fits(&Type::list(unknown.clone()), &unknown));
    }

    #[test]
    fn lists_of_lists() {
        let mut inference = Inference::default();
        let empty = Type::list(inference.unknown());
        let other = Type::list(Type::list(inference.unknown()));
        let joined = inference.join(&empty, &other).unwrap();
        assert_eq!(inference.settle(&joined).to_string(), "list(list(dyn))");
    }
}
