//! Conversions between Python and Rust values.

use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

/// Header fields as the server passes them: ASGI's pairs of bytes or RSGI's pairs of str.
pub(crate) struct Headers<'py>(Vec<(Text<'py>, Text<'py>)>);

enum Text<'py> {
    Bytes(Bound<'py, PyBytes>),
    Str(Bound<'py, PyString>),
}

impl<'py> Text<'py> {
    fn new(value: Bound<'py, PyAny>) -> PyResult<Self> {
        match value.cast_into::<PyBytes>() {
            Ok(bytes) => Ok(Self::Bytes(bytes)),
            Err(other) => match other.into_inner().cast_into::<PyString>() {
                Ok(text) => Ok(Self::Str(text)),
                Err(_) => Err(PyTypeError::new_err("header names and values must be bytes or str")),
            },
        }
    }

    /// A str that has no UTF-8 form (lone surrogates) counts as empty.
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes.as_bytes(),
            Self::Str(text) => text.to_str().map(str::as_bytes).unwrap_or_default(),
        }
    }
}

impl<'py> Headers<'py> {
    pub(crate) fn new(list: &Bound<'py, PyList>) -> PyResult<Self> {
        let pair = |item: Bound<'py, PyAny>| {
            let pair = item.cast_into::<PyTuple>()?;
            Ok((Text::new(pair.get_item(0)?)?, Text::new(pair.get_item(1)?)?))
        };
        list.iter().map(pair).collect::<PyResult<_>>().map(Self)
    }

    pub(crate) fn fields(&self) -> Vec<(&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
    }
}

/// A response's header list for one of the two faces.
pub(crate) struct HeaderList<'py> {
    list: Bound<'py, PyList>,
    as_bytes: bool,
}

impl<'py> HeaderList<'py> {
    pub(crate) fn new(py: Python<'py>, as_bytes: bool) -> Self {
        Self { list: PyList::empty(py), as_bytes }
    }

    /// Bytes beyond ASCII become Latin-1, the charset of HTTP fields.
    pub(crate) fn push(&self, name: &str, value: &[u8]) -> PyResult<()> {
        let py = self.list.py();
        if self.as_bytes {
            return self.list.append((PyBytes::new(py, name.as_bytes()), PyBytes::new(py, value)));
        }
        match std::str::from_utf8(value) {
            Ok(text) if text.is_ascii() => self.list.append((name, text)),
            _ => self.list.append((name, value.iter().map(|&byte| char::from(byte)).collect::<String>())),
        }
    }

    pub(crate) fn into_list(self) -> Bound<'py, PyList> {
        self.list
    }
}

/// `ValueError` with the error's sentence.
pub(crate) fn value_error(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// `OSError` with the error's sentence.
pub(crate) fn os_error(error: impl std::fmt::Display) -> PyErr {
    PyOSError::new_err(error.to_string())
}
