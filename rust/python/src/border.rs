//! Conversions between Python and Rust values.

use std::borrow::Cow;
use std::fmt::Write;

use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::state::OwnHeaders;

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

    /// edgeroute's own headers. What may hold a client's text (a wildcard's model) is percent-encoded.
    pub(crate) fn push_own(&self, id: &str, own: &OwnHeaders) -> PyResult<()> {
        self.push("x-request-id", id.as_bytes())?;
        for (name, value) in [
            ("x-edgeroute-model", &own.model),
            ("x-edgeroute-target", &own.target),
            ("x-edgeroute-rule", &own.rule),
        ] {
            if let Some(value) = value {
                self.push(name, visible(value).as_bytes())?;
            }
        }
        self.push("x-edgeroute-attempts", own.attempts.to_string().as_bytes())?;
        self.push("x-edgeroute-overhead-us", own.overhead_us.to_string().as_bytes())
    }

    pub(crate) fn into_list(self) -> Bound<'py, PyList> {
        self.list
    }
}

/// A header value: all but visible ASCII is percent-encoded.
fn visible(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        match byte {
            b'!'..=b'~' => encoded.push(char::from(byte)),
            // Writing to a String cannot fail.
            _ => _ = write!(encoded, "%{byte:02X}"),
        }
    }
    Cow::Owned(encoded)
}

/// `ValueError` with the error's sentence.
pub(crate) fn value_error(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// `OSError` with the error's sentence.
pub(crate) fn os_error(error: impl std::fmt::Display) -> PyErr {
    PyOSError::new_err(error.to_string())
}
