//! Conversions between Python and Rust values.

use std::borrow::Cow;
use std::io::Write;

use edgeroute_router::{Field, forward};
use edgeroute_upstream::Head;
use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};
use smallvec::SmallVec;

use crate::state::OwnHeaders;

/// So many header fields of a request stay off the heap.
const USUAL: usize = 24;

/// Header fields as the server passes them: ASGI's pairs of bytes or RSGI's pairs of str.
pub(crate) struct Headers<'py>(SmallVec<[Bound<'py, PyTuple>; USUAL]>);

impl<'py> Headers<'py> {
    pub(crate) fn new(list: &Bound<'py, PyList>) -> PyResult<Self> {
        let pairs = list.iter().map(|item| Ok(item.cast_into::<PyTuple>()?));
        pairs.collect::<PyResult<_>>().map(Self)
    }

    pub(crate) fn fields(&self) -> PyResult<SmallVec<[Field<'_>; USUAL]>> {
        self.0.iter().map(field).collect()
    }
}

fn field<'a>(pair: &'a Bound<'_, PyTuple>) -> PyResult<Field<'a>> {
    Ok((bytes_of(pair.get_borrowed_item(0)?)?, bytes_of(pair.get_borrowed_item(1)?)?))
}

/// A str that has no UTF-8 form (lone surrogates) counts as empty.
fn bytes_of<'a>(text: Borrowed<'a, '_, PyAny>) -> PyResult<&'a [u8]> {
    if text.is_instance_of::<PyBytes>() {
        Ok(text.extract()?)
    } else if text.is_instance_of::<PyString>() {
        Ok(text.extract::<&str>().map(str::as_bytes).unwrap_or_default())
    } else {
        Err(PyTypeError::new_err("header names and values must be bytes or str"))
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
        self.list.append((name, latin_1(py, value)))
    }

    /// Those of a provider's that clients may see; returns its status.
    pub(crate) fn push_relayed(&self, head: &Head) -> PyResult<u16> {
        for (name, value) in head.iter() {
            if forward::passes_back(name) {
                self.push(name, value)?;
            }
        }
        Ok(head.status())
    }

    /// edgeroute's own headers. What may hold a client's text (a wildcard's model) is percent-encoded.
    pub(crate) fn push_own(&self, id: &str, own: &OwnHeaders) -> PyResult<()> {
        static ID: OwnName = OwnName::new("x-request-id");
        static MODEL: OwnName = OwnName::new("x-edgeroute-model");
        static TARGET: OwnName = OwnName::new("x-edgeroute-target");
        static RULE: OwnName = OwnName::new("x-edgeroute-rule");
        static ATTEMPTS: OwnName = OwnName::new("x-edgeroute-attempts");
        static CACHE: OwnName = OwnName::new("x-edgeroute-cache");
        static OVERHEAD: OwnName = OwnName::new("x-edgeroute-overhead-us");
        self.push_named(&ID, id.as_bytes())?;
        for (name, value) in [(&MODEL, &own.model), (&TARGET, &own.target), (&RULE, &own.rule)] {
            if let Some(value) = value {
                self.push_named(name, &visible(value))?;
            }
        }
        if let Some(cache) = &own.cache {
            self.push_named(&CACHE, cache.as_bytes())?;
        }
        let mut digits = itoa::Buffer::new();
        self.push_named(&ATTEMPTS, digits.format(own.attempts).as_bytes())?;
        self.push_named(&OVERHEAD, digits.format(own.overhead_us).as_bytes())
    }

    pub(crate) fn into_list(self) -> Bound<'py, PyList> {
        self.list
    }

    fn push_named(&self, name: &OwnName, value: &[u8]) -> PyResult<()> {
        let py = self.list.py();
        if self.as_bytes {
            self.list.append((name.bytes(py), PyBytes::new(py, value)))
        } else {
            self.list.append((name.text(py), latin_1(py, value)))
        }
    }
}

/// The name of a header of our own, made for Python once.
struct OwnName {
    name: &'static str,
    bytes: PyOnceLock<Py<PyBytes>>,
    text: PyOnceLock<Py<PyString>>,
}

impl OwnName {
    const fn new(name: &'static str) -> Self {
        Self { name, bytes: PyOnceLock::new(), text: PyOnceLock::new() }
    }

    fn bytes<'py>(&self, py: Python<'py>) -> &Bound<'py, PyBytes> {
        self.bytes.get_or_init(py, || PyBytes::new(py, self.name.as_bytes()).unbind()).bind(py)
    }

    fn text<'py>(&self, py: Python<'py>) -> &Bound<'py, PyString> {
        self.text.get_or_init(py, || PyString::intern(py, self.name).unbind()).bind(py)
    }
}

fn latin_1<'py>(py: Python<'py>, value: &[u8]) -> Bound<'py, PyString> {
    match std::str::from_utf8(value) {
        Ok(text) if text.is_ascii() => PyString::new(py, text),
        _ => PyString::new(py, &value.iter().map(|&byte| char::from(byte)).collect::<String>()),
    }
}

/// A header value: all but visible ASCII is percent-encoded.
fn visible(text: &[u8]) -> Cow<'_, [u8]> {
    if text.iter().all(u8::is_ascii_graphic) {
        return Cow::Borrowed(text);
    }
    let mut encoded = Vec::with_capacity(text.len() * 3);
    for byte in text {
        match byte {
            b'!'..=b'~' => encoded.push(*byte),
            // Writing to a Vec cannot fail.
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
