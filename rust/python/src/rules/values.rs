//! Python values as rules see them, and back. What Python has no type for is a class of `edgeroute.rules`.

use std::net::IpAddr;

use edgeroute_rules::{Cidr, Duration, Kind, Timestamp, Type, Value};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyBool, PyBytes, PyDateTime, PyDelta, PyDeltaAccess, PyDict, PyFloat, PyInt, PyList, PyMapping, PyString,
    PyTuple, PyType,
};

use crate::border::value_error;

/// Lists and maps may be nested this deep, as request bodies may.
const MAX_DEPTH: u32 = 64;

const NANOSECONDS: i128 = 1_000_000_000;
const SECONDS_OF_A_DAY: i64 = 86_400;

/// Why a Python value is not a value of the wanted type.
pub(super) enum Unfit {
    Because(String),
    Raised(PyErr),
}

impl From<PyErr> for Unfit {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

/// Classes that only some values need.
struct Classes {
    uint: Py<PyType>,
    timestamp: Py<PyType>,
    duration: Py<PyType>,
    type_name: Py<PyType>,
    optional: Py<PyType>,
    unset: Py<PyAny>,
    /// Addresses and networks.
    internet: Py<PyTuple>,
    make_address: Py<PyAny>,
    make_network: Py<PyAny>,
    epoch: Py<PyAny>,
}

fn classes(py: Python<'_>) -> PyResult<&Classes> {
    static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();
    CLASSES.get_or_try_init(py, || {
        let rules = py.import("edgeroute.rules")?;
        let class = |name: &str| Ok::<_, PyErr>(rules.getattr(name)?.cast_into::<PyType>()?.unbind());
        let internet = py.import("ipaddress")?;
        let names = ["IPv4Address", "IPv6Address", "IPv4Network", "IPv6Network"];
        let kinds = names.map(|name| internet.getattr(name)).into_iter().collect::<PyResult<Vec<_>>>()?;
        let utc = pyo3::types::PyTzInfo::utc(py)?;
        Ok(Classes {
            uint: class("Uint")?,
            timestamp: class("Timestamp")?,
            duration: class("Duration")?,
            type_name: class("TypeName")?,
            optional: class("Optional")?,
            unset: py.import("msgspec")?.getattr("UNSET")?.unbind(),
            internet: PyTuple::new(py, kinds)?.unbind(),
            make_address: internet.getattr("ip_address")?.unbind(),
            make_network: internet.getattr("ip_interface")?.unbind(),
            epoch: PyDateTime::new(py, 1970, 1, 1, 0, 0, 0, 0, Some(&utc))?.into_any().unbind(),
        })
    })
}

/// The value of a variable of type `wanted`.
pub(super) fn from_python(value: &Bound<'_, PyAny>, wanted: &Type) -> Result<Value<'static>, Unfit> {
    convert(value, wanted, MAX_DEPTH)
}

fn convert(value: &Bound<'_, PyAny>, wanted: &Type, depth: u32) -> Result<Value<'static>, Unfit> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(Unfit::Because(format!("values may be nested {MAX_DEPTH} deep")));
    };
    let found = natural(value, wanted, depth)?;
    match (wanted, found) {
        // Numbers are given as Python's programmers write them.
        (Type::Double, Value::Int(number)) => Ok(Value::Double(number as f64)),
        (Type::Double, Value::Uint(number)) => Ok(Value::Double(number as f64)),
        (Type::Uint, Value::Int(number)) => match u64::try_from(number) {
            Ok(number) => Ok(Value::Uint(number)),
            Err(_) => Err(Unfit::Because("a uint is not negative".to_owned())),
        },
        (wanted, found) if wanted.kind().is_none_or(|kind| kind == found.kind()) => Ok(found),
        (Type::Int, Value::Uint(_)) if value.is_exact_instance_of::<PyInt>() => Err(too_large()),
        _ => Err(mismatch(value, wanted)?),
    }
}

/// What a Python value is by itself; `wanted` tells the types of what it holds.
fn natural(value: &Bound<'_, PyAny>, wanted: &Type, depth: u32) -> Result<Value<'static>, Unfit> {
    if value.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(text) = value.cast_exact::<PyString>() {
        return Ok(Value::String(edgeroute_rules::Ref::Counted(text.to_str()?.into())));
    }
    if let Ok(number) = value.cast_exact::<PyInt>() {
        return integer(number);
    }
    if let Ok(truth) = value.cast_exact::<PyBool>() {
        return Ok(Value::Bool(truth.is_true()));
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        return Ok(Value::Double(number.value()));
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Value::Bytes(edgeroute_rules::Ref::Counted(bytes.as_bytes().into())));
    }
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        let of_type = if let Type::List(of_type) = wanted { of_type } else { &Type::Dyn };
        let elements = value.try_iter()?.map(|element| convert(&element?, of_type, depth));
        return elements.collect::<Result<Vec<_>, _>>().map(Value::list);
    }
    if let Ok(entries) = value.cast::<PyDict>() {
        return map(entries, wanted, depth);
    }
    if let Ok(instant) = value.cast::<PyDateTime>() {
        return timestamp(instant).map(Value::Timestamp);
    }
    if let Ok(length) = value.cast::<PyDelta>() {
        return duration(nanoseconds(length)).map(Value::Duration);
    }
    special(value, wanted, depth)
}

/// Subclasses, classes of `edgeroute.rules`, and what is rarely asked for.
fn special(value: &Bound<'_, PyAny>, wanted: &Type, depth: u32) -> Result<Value<'static>, Unfit> {
    let py = value.py();
    let classes = classes(py)?;
    let is = |class: &Py<PyType>| value.is_instance(class.bind(py));
    if is(&classes.uint)? {
        return Ok(Value::Uint(
            value.extract().map_err(|_| Unfit::Because("a uint has 64 bits".to_owned()))?,
        ));
    }
    if is(&classes.type_name)? {
        let name: String = value.extract()?;
        let kind = Kind::named(&name).ok_or_else(|| Unfit::Because(format!("`{name}` is not a type")))?;
        return Ok(Value::Type(kind));
    }
    if let Ok(number) = value.cast::<PyInt>() {
        return integer(number);
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Value::from(text.to_str()?.to_owned()));
    }
    if is(&classes.timestamp)? {
        return instant(exact(value)?).map(Value::Timestamp);
    }
    if is(&classes.duration)? {
        return duration(exact(value)?).map(Value::Duration);
    }
    if is(&classes.optional)? {
        let held = value.getattr("value")?;
        if held.is(&classes.unset) {
            return Ok(Value::Optional(None));
        }
        let of_type = if let Type::Opaque(_, parameters) = wanted { parameters.first() } else { None };
        let held = convert(&held, of_type.unwrap_or(&Type::Dyn), depth)?;
        return Ok(Value::Optional(Some(held.into())));
    }
    if value.is_instance(classes.internet.bind(py))? {
        let text = value.str()?;
        return internet(text.to_str()?)
            .ok_or_else(|| Unfit::Because("an address of rules has no zone".to_owned()));
    }
    if let Ok(entries) = value.cast::<PyMapping>() {
        let entries = PyDict::from_sequence(entries.items()?.as_any())?;
        return map(&entries, wanted, depth);
    }
    Err(mismatch(value, wanted)?)
}

fn map(entries: &Bound<'_, PyDict>, wanted: &Type, depth: u32) -> Result<Value<'static>, Unfit> {
    let (of_keys, of_values) = match wanted {
        Type::Map(of_keys, of_values) => (&**of_keys, &**of_values),
        _ => (&Type::Dyn, &Type::Dyn),
    };
    // A copy, since what is converted may run code of the caller that changes the dict.
    let entries: Vec<_> = entries.iter().collect();
    let entry = |(key, value): &(Bound<'_, PyAny>, Bound<'_, PyAny>)| {
        let converted = convert(key, of_keys, depth)?;
        if !matches!(converted.kind(), Kind::Bool | Kind::Int | Kind::Uint | Kind::String) {
            return Err(Unfit::Because(format!("{} cannot be the key of a map", converted.kind())));
        }
        Ok((converted, convert(value, of_values, depth)?))
    };
    entries.iter().map(entry).collect::<Result<Vec<_>, Unfit>>().map(Value::map)
}

fn integer(number: &Bound<'_, PyInt>) -> Result<Value<'static>, Unfit> {
    number.extract().map(Value::Int).or_else(|_| number.extract().map(Value::Uint)).map_err(|_| too_large())
}

fn timestamp(moment: &Bound<'_, PyDateTime>) -> Result<Timestamp, Unfit> {
    if moment.call_method0("utcoffset")?.is_none() {
        return Err(Unfit::Because("a datetime needs a time zone, as datetime.now(UTC) has one".to_owned()));
    }
    let since = moment.sub(&classes(moment.py())?.epoch)?;
    instant(nanoseconds(since.cast::<PyDelta>().map_err(PyErr::from)?))
}

fn instant(nanoseconds: i128) -> Result<Timestamp, Unfit> {
    let seconds = i64::try_from(nanoseconds.div_euclid(NANOSECONDS)).ok();
    seconds
        .and_then(|seconds| Timestamp::from_unix(seconds, nanoseconds.rem_euclid(NANOSECONDS) as i32))
        .ok_or_else(|| Unfit::Because("a timestamp is in the years 1 to 9999".to_owned()))
}

fn duration(nanoseconds: i128) -> Result<Duration, Unfit> {
    let nanoseconds = i64::try_from(nanoseconds);
    nanoseconds
        .map(Duration::from_nanoseconds)
        .map_err(|_| Unfit::Because("a duration has at most 292 years".to_owned()))
}

fn nanoseconds(length: &Bound<'_, PyDelta>) -> i128 {
    let seconds = i64::from(length.get_days()) * SECONDS_OF_A_DAY + i64::from(length.get_seconds());
    i128::from(seconds) * NANOSECONDS + i128::from(length.get_microseconds()) * 1_000
}

/// The nanoseconds of a class of `edgeroute.rules`, as far as they fit.
fn exact(value: &Bound<'_, PyAny>) -> Result<i128, Unfit> {
    let nanoseconds = value.getattr("nanoseconds")?.cast_into::<PyInt>().map_err(PyErr::from)?;
    Ok(nanoseconds.extract().unwrap_or(i128::MAX))
}

fn internet(text: &str) -> Option<Value<'static>> {
    match text.split_once('/') {
        None => text.parse().ok().map(Value::Ip),
        Some((address, prefix)) => {
            let address: IpAddr = address.parse().ok()?;
            Cidr::new(address, prefix.parse().ok()?).map(Value::Cidr)
        }
    }
}

#[cold]
fn too_large() -> Unfit {
    Unfit::Because("an int has 64 bits".to_owned())
}

#[cold]
fn mismatch(value: &Bound<'_, PyAny>, wanted: &Type) -> PyResult<Unfit> {
    let found = value.get_type().name()?;
    Ok(Unfit::Because(match wanted {
        Type::Dyn => format!("rules have no values of the Python type {found}"),
        wanted => format!("this is to be of type {wanted}; the Python type {found} is not"),
    }))
}

/// What rules computed, as a Python value.
pub(super) fn to_python<'py>(py: Python<'py>, value: &Value<'_>) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(truth) => PyBool::new(py, *truth).to_owned().into_any(),
        Value::Int(number) => number.into_pyobject(py)?.into_any(),
        Value::Uint(number) => classes(py)?.uint.bind(py).call1((*number,))?,
        Value::Double(number) => PyFloat::new(py, *number).into_any(),
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Bytes(bytes) => PyBytes::new(py, bytes).into_any(),
        Value::List(elements) => {
            let list = PyList::empty(py);
            for element in elements.iter() {
                list.append(to_python(py, element)?)?;
            }
            list.into_any()
        }
        Value::Map(entries) => {
            let dict = PyDict::new(py);
            for (key, value) in entries.iter() {
                dict.set_item(to_python(py, key)?, to_python(py, value)?)?;
            }
            if dict.len() < entries.len() {
                return Err(value_error("this map has keys that are one in Python, as 1 and true are"));
            }
            dict.into_any()
        }
        Value::Timestamp(time) => {
            let since = time.unix_nanoseconds();
            match delta(py, since)? {
                Some(since) => classes(py)?.epoch.bind(py).add(since)?,
                None => classes(py)?.timestamp.bind(py).call1((since,))?,
            }
        }
        Value::Duration(length) => match delta(py, length.nanoseconds().into())? {
            Some(length) => length.into_any(),
            None => classes(py)?.duration.bind(py).call1((length.nanoseconds(),))?,
        },
        Value::Type(kind) => classes(py)?.type_name.bind(py).call1((kind.type_name(),))?,
        Value::Optional(None) => classes(py)?.optional.bind(py).call0()?,
        Value::Optional(Some(held)) => classes(py)?.optional.bind(py).call1((to_python(py, held)?,))?,
        Value::Ip(address) => classes(py)?.make_address.bind(py).call1((address.to_string(),))?,
        Value::Cidr(network) => {
            let text = format!("{}/{}", network.address(), network.prefix());
            classes(py)?.make_network.bind(py).call1((text,))?
        }
    })
}

/// A timedelta, if it can say it exactly.
fn delta(py: Python<'_>, nanoseconds: i128) -> PyResult<Option<Bound<'_, PyDelta>>> {
    let (microseconds, rest) = (nanoseconds.div_euclid(1_000), nanoseconds.rem_euclid(1_000));
    let seconds = microseconds.div_euclid(1_000_000);
    let days = seconds.div_euclid(SECONDS_OF_A_DAY.into());
    let Ok(days) = i32::try_from(days) else { return Ok(None) };
    if rest != 0 {
        return Ok(None);
    }
    let seconds = seconds.rem_euclid(SECONDS_OF_A_DAY.into()) as i32;
    PyDelta::new(py, days, seconds, microseconds.rem_euclid(1_000_000) as i32, false).map(Some)
}
