//! Targets by name, as people give them, and what mappings say about them.

use edgeroute_placement::Rendezvous;
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PyString};

use super::refused;
use crate::border::value_error;

/// Names and weights in the order in which they were given; positions are those of the library.
pub(super) struct Targets {
    names: Vec<Py<PyString>>,
    texts: Vec<String>,
    weights: Vec<u32>,
}

impl Targets {
    /// A mapping from names to weights, or names that weigh the same.
    pub(super) fn new(targets: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut read = Self { names: Vec::new(), texts: Vec::new(), weights: Vec::new() };
        if let Ok(weighted) = targets.cast::<PyMapping>() {
            for item in weighted.items()? {
                let (name, weight): (Bound<'_, PyString>, Bound<'_, PyAny>) = item.extract()?;
                let weight = whole(&weight, u32::MAX.into(), "weight", name.to_str()?)?;
                read.push(name, weight as u32)?;
            }
        } else if targets.is_instance_of::<PyString>() {
            return Err(value_error(
                "targets are a list of names, or a mapping from names to weights".to_owned(),
            ));
        } else {
            for name in targets.try_iter()? {
                read.push(name?.cast_into::<PyString>()?, 1)?;
            }
        }
        // Says what is wrong with names and weights in general.
        Rendezvous::new(read.weighted()).map_err(refused)?;
        Ok(read)
    }

    pub(super) fn weighted(&self) -> impl Iterator<Item = (&str, u32)> {
        self.texts.iter().map(String::as_str).zip(self.weights.iter().copied())
    }

    pub(super) fn weights(&self) -> &[u32] {
        &self.weights
    }

    pub(super) fn name(&self, py: Python<'_>, position: u16) -> Option<Py<PyString>> {
        self.names.get(usize::from(position)).map(|name| name.clone_ref(py))
    }

    pub(super) fn position(&self, name: &str) -> PyResult<usize> {
        self.texts.iter().position(|text| text == name).ok_or_else(|| unknown(name))
    }

    /// What a mapping says about each target, read by `read` with the target's name; none for those that it leaves
    /// out. ValueError for names of others.
    pub(super) fn read<'py, T>(
        &self,
        mapping: &Bound<'py, PyDict>,
        read: impl Fn(&Bound<'py, PyAny>, &str) -> PyResult<T>,
    ) -> PyResult<Vec<Option<T>>> {
        let mut found = 0;
        let mut values = Vec::with_capacity(self.names.len());
        for (name, text) in self.names.iter().zip(&self.texts) {
            let value = mapping.get_item(name.bind(mapping.py()))?;
            found += usize::from(value.is_some());
            values.push(value.map(|value| read(&value, text)).transpose()?);
        }
        if found < mapping.len() {
            for name in mapping.keys() {
                self.position(&name.extract::<String>()?)?;
            }
        }
        Ok(values)
    }

    fn push(&mut self, name: Bound<'_, PyString>, weight: u32) -> PyResult<()> {
        self.texts.push(name.extract()?);
        self.names.push(name.unbind());
        self.weights.push(weight);
        Ok(())
    }
}

/// A number from 0 to `most`. ValueError with the name of what it belongs to.
pub(super) fn whole(value: &Bound<'_, PyAny>, most: u64, what: &str, name: &str) -> PyResult<u64> {
    let number = match value.extract::<u64>() {
        Err(error) if !error.is_instance_of::<PyOverflowError>(value.py()) => return Err(error),
        number => number.ok().filter(|number| *number <= most),
    };
    let wrong = || value_error(format!("the {what} of {name:?} must be from 0 to {most}; it is {value}"));
    number.ok_or_else(wrong)
}

#[cold]
fn unknown(name: &str) -> PyErr {
    value_error(format!("there is no target {name:?}"))
}
