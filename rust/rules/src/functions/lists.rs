//! Lists.

use super::sets::Members;
use super::{Implementation, Table, mismatch};
use crate::budget::{Budget, ELEMENT, MAXIMUM_SIZE};
use crate::comprehension::sort;
use crate::error::ErrorKind;
use crate::value::Value;

pub(super) const FUNCTIONS: Table = &[
    ("list(A).first() -> optional_type(A)", |_, arguments| optional(list(arguments)?.first())),
    ("list(A).last() -> optional_type(A)", |_, arguments| optional(list(arguments)?.last())),
    ("list(A).slice(int, int) -> list(A)", |budget, arguments| match arguments {
        [Value::List(elements), Value::Int(start), Value::Int(end)] => {
            let (start, end) = (usize::try_from(*start), usize::try_from(*end));
            let part = start.ok().zip(end.ok()).and_then(|(start, end)| elements.get(start..end));
            let part = part.ok_or(ErrorKind::Invalid("the list has no such part"))?;
            budget.make_list(part.len())?;
            Ok(Value::list(part))
        }
        _ => Err(mismatch(arguments)),
    }),
    ("list(A).reverse() -> list(A)", |budget, arguments| {
        let elements = list(arguments)?;
        budget.make_list(elements.len())?;
        Ok(Value::list(elements.iter().rev().cloned().collect::<Vec<_>>()))
    }),
    ("list(A).distinct() -> list(A)", |budget, arguments| {
        let mut known = Members::default();
        let mut kept = Vec::new();
        for element in list(arguments)? {
            if known.insert(budget, element)? {
                kept.push(element.clone());
            }
        }
        Ok(Value::list(kept))
    }),
    ("list(list(A)).flatten() -> list(A)", |budget, arguments| flatten(budget, list(arguments)?, 1)),
    ("list(dyn).flatten(int) -> list(dyn)", |budget, arguments| match arguments {
        [Value::List(elements), Value::Int(levels)] => match usize::try_from(*levels) {
            Ok(levels) => flatten(budget, elements, levels),
            Err(_) => Err(ErrorKind::Invalid("the number of levels cannot be negative")),
        },
        _ => Err(mismatch(arguments)),
    }),
    ("list(bool).sort() -> list(bool)", SORT),
    ("list(int).sort() -> list(int)", SORT),
    ("list(uint).sort() -> list(uint)", SORT),
    ("list(double).sort() -> list(double)", SORT),
    ("list(string).sort() -> list(string)", SORT),
    ("list(bytes).sort() -> list(bytes)", SORT),
    ("list(timestamp).sort() -> list(timestamp)", SORT),
    ("list(duration).sort() -> list(duration)", SORT),
    ("lists.range(int) -> list(int)", |budget, arguments| match arguments {
        [Value::Int(size)] => {
            let length = usize::try_from(*size);
            budget
                .make_list(length.map_err(|_| ErrorKind::Invalid("a list cannot have a negative size"))?)?;
            Ok(Value::list((0..*size).map(Value::Int).collect::<Vec<_>>()))
        }
        _ => Err(mismatch(arguments)),
    }),
];

const SORT: Implementation = |budget, arguments| {
    let elements = list(arguments)?;
    budget.make_list(elements.len())?;
    let mut keyed: Vec<(Value<'_>, ())> = elements.iter().map(|element| (element.clone(), ())).collect();
    sort(budget, &mut keyed)?;
    Ok(Value::list(keyed.into_iter().map(|(element, ())| element).collect::<Vec<_>>()))
};

/// The elements of lists in the list, down to so many levels, in place of these lists.
fn flatten<'a>(budget: &mut Budget, elements: &[Value<'a>], levels: usize) -> Result<Value<'a>, ErrorKind> {
    let mut flat = Vec::new();
    let mut open = vec![elements.iter()];
    while let Some(innermost) = open.last_mut() {
        match innermost.next() {
            Some(Value::List(inner)) if open.len() <= levels => open.push(inner.iter()),
            Some(element) => flat.push(element.clone()),
            None => {
                open.pop();
                continue;
            }
        }
        budget.spend(ELEMENT)?;
        if flat.len() > MAXIMUM_SIZE {
            return Err(ErrorKind::TooLarge);
        }
    }
    Ok(Value::list(flat))
}

fn list<'v, 'a>(arguments: &'v [Value<'a>]) -> Result<&'v [Value<'a>], ErrorKind> {
    match arguments {
        [Value::List(elements)] => Ok(elements),
        _ => Err(mismatch(arguments)),
    }
}

fn optional<'a>(element: Option<&Value<'a>>) -> Result<Value<'a>, ErrorKind> {
    Ok(element.map_or(Value::Optional(None), |element| element.clone().into_optional()))
}
