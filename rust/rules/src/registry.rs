//! Which attributes the expressions compiled together read.

use std::collections::HashMap;

use crate::program::Attribute;

/// Attributes in the order in which they were first named.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    attributes: Vec<Attribute>,
    places: HashMap<Attribute, usize>,
}

impl Registry {
    /// The place of an attribute, which is the last one if it was not named before.
    pub(crate) fn place(&mut self, attribute: Attribute) -> usize {
        *self.places.entry(attribute).or_insert_with_key(|attribute| {
            self.attributes.push(attribute.clone());
            self.attributes.len() - 1
        })
    }

    pub(crate) fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    pub(crate) fn into_attributes(self) -> Vec<Attribute> {
        self.attributes
    }
}
