//! What the expressions compiled together share: the attributes that they read, and definitions.

use std::collections::HashMap;
use std::sync::Arc;

use crate::program::{Attribute, Node};

/// Attributes in the order in which they were first named.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    attributes: Vec<Attribute>,
    places: HashMap<Attribute, usize>,
    definitions: HashMap<usize, Arc<Node>>,
}

impl Registry {
    /// The place of an attribute, which is the last one if it was not named before.
    pub(crate) fn place(&mut self, attribute: Attribute) -> usize {
        *self.places.entry(attribute).or_insert_with_key(|attribute| {
            self.attributes.push(attribute.clone());
            self.attributes.len() - 1
        })
    }

    /// The program of a definition, if it was made.
    pub(crate) fn definition(&self, index: usize) -> Option<Arc<Node>> {
        self.definitions.get(&index).cloned()
    }

    pub(crate) fn define(&mut self, index: usize, node: Arc<Node>) {
        self.definitions.insert(index, node);
    }

    pub(crate) fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    pub(crate) fn into_attributes(self) -> Vec<Attribute> {
        self.attributes
    }
}
