//! Evaluation of the macros that go through lists and maps.

use crate::ast::Fold;
use crate::budget::Budget;
use crate::error::{ErrorKind, EvaluationError};
use crate::evaluate::{Evaluation, Local, Source, fail};
use crate::program::Comprehension;
use crate::value::{Kind, Ref, Value};

/// What a comprehension goes through.
enum Range<'a> {
    List(Ref<'a, [Value<'a>]>),
    Map(Ref<'a, [(Value<'a>, Value<'a>)]>),
}

impl<'a> Range<'a> {
    fn len(&self) -> usize {
        match self {
            Self::List(elements) => elements.len(),
            Self::Map(entries) => entries.len(),
        }
    }

    /// The values of the variables at a position. One variable is the element of a list and the key of a map.
    fn variables(&self, position: usize, pairs: bool) -> Option<(Value<'a>, Option<Value<'a>>)> {
        Some(match self {
            Self::List(elements) if pairs => {
                (Value::Int(position as i64), Some(elements.get(position)?.clone()))
            }
            Self::List(elements) => (elements.get(position)?.clone(), None),
            Self::Map(entries) => {
                let (key, value) = entries.get(position)?;
                (key.clone(), pairs.then(|| value.clone()))
            }
        })
    }
}

impl<'a, S: Source> Evaluation<'a, S> {
    pub(crate) fn comprehension(
        &mut self,
        comprehension: &'a Comprehension,
    ) -> Result<Value<'a>, EvaluationError> {
        let range = match self.value(&comprehension.range)? {
            Value::List(elements) => Range::List(elements),
            Value::Map(entries) => Range::Map(entries),
            other => return Err(fail(&comprehension.range, ErrorKind::NoOverloadFor(other.kind()))),
        };
        match comprehension.fold {
            Fold::All => self.any(comprehension, &range, false).map(|found| Value::Bool(!found)),
            Fold::Exists => self.any(comprehension, &range, true).map(Value::Bool),
            Fold::ExistsOne => {
                let mut count = 0_u32;
                self.each(comprehension, &range, |evaluation, _| {
                    count += u32::from(evaluation.truth(&comprehension.body)?);
                    Ok(())
                })?;
                Ok(Value::Bool(count == 1))
            }
            Fold::Filter => {
                let mut kept = Vec::new();
                self.each(comprehension, &range, |evaluation, first| {
                    if evaluation.truth(&comprehension.body)? {
                        kept.push(first.clone());
                    }
                    Ok(())
                })?;
                Ok(Value::list(kept))
            }
            Fold::List => {
                let mut made = Vec::new();
                self.each(comprehension, &range, |evaluation, _| {
                    made.push(evaluation.value(&comprehension.body)?);
                    Ok(())
                })?;
                Ok(Value::list(made))
            }
            Fold::Values => {
                let mut made = Vec::new();
                self.each(comprehension, &range, |evaluation, first| {
                    made.push((first.clone(), evaluation.value(&comprehension.body)?));
                    Ok(())
                })?;
                Value::distinct_map(made).map_err(|kind| fail(&comprehension.body, kind))
            }
            Fold::Entries => {
                let mut made = Vec::new();
                self.each(comprehension, &range, |evaluation, _| {
                    match evaluation.value(&comprehension.body)? {
                        Value::Map(entries) => {
                            let spent = evaluation.budget.make_list(2 * entries.len());
                            spent.map_err(|kind| fail(&comprehension.body, kind))?;
                            made.extend(entries.iter().cloned());
                            Ok(())
                        }
                        other => Err(fail(&comprehension.body, ErrorKind::NoOverloadFor(other.kind()))),
                    }
                })?;
                Value::distinct_map(made).map_err(|kind| fail(&comprehension.body, kind))
            }
            Fold::SortBy => self.sort_by(comprehension, &range),
        }
    }

    /// Whether the body is `wanted` for one element. An element that decides makes up for elements that fail.
    fn any(
        &mut self,
        comprehension: &'a Comprehension,
        range: &Range<'a>,
        wanted: bool,
    ) -> Result<bool, EvaluationError> {
        let mut failure = None;
        for position in 0..range.len() {
            match self
                .at(comprehension, range, position, |evaluation, _| evaluation.truth(&comprehension.body))
            {
                Ok(Some(truth)) if truth == wanted => return Ok(true),
                Ok(_) => {}
                Err(error) if error.kind == ErrorKind::TooMuchWork => return Err(error),
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        failure.map_or(Ok(false), Err)
    }

    fn each(
        &mut self,
        comprehension: &'a Comprehension,
        range: &Range<'a>,
        mut visit: impl FnMut(&mut Self, &Value<'a>) -> Result<(), EvaluationError>,
    ) -> Result<(), EvaluationError> {
        for position in 0..range.len() {
            self.at(comprehension, range, position, &mut visit)?;
        }
        Ok(())
    }

    /// Calls `visit` with the variables set to what they are at a position, and the first of them, unless the filter
    /// leaves it out.
    fn at<T>(
        &mut self,
        comprehension: &'a Comprehension,
        range: &Range<'a>,
        position: usize,
        mut visit: impl FnMut(&mut Self, &Value<'a>) -> Result<T, EvaluationError>,
    ) -> Result<Option<T>, EvaluationError> {
        self.budget.step().map_err(|kind| fail(&comprehension.range, kind))?;
        let Some((first, second)) = range.variables(position, comprehension.pairs) else { return Ok(None) };
        let before = self.locals.len();
        self.locals.push(Local::Value(first.clone()));
        self.locals.extend(second.map(Local::Value));
        let result = match comprehension.filter.as_ref().map_or(Ok(true), |filter| self.truth(filter)) {
            Ok(true) => visit(self, &first).map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(error),
        };
        self.locals.truncate(before);
        result
    }

    fn sort_by(
        &mut self,
        comprehension: &'a Comprehension,
        range: &Range<'a>,
    ) -> Result<Value<'a>, EvaluationError> {
        if let Range::Map(_) = range {
            return Err(fail(&comprehension.range, ErrorKind::NoOverloadFor(Kind::Map)));
        }
        let mut keyed = Vec::with_capacity(range.len());
        self.each(comprehension, range, |evaluation, first| {
            keyed.push((evaluation.value(&comprehension.body)?, first.clone()));
            Ok(())
        })?;
        sort(&mut self.budget, &mut keyed).map_err(|kind| fail(&comprehension.body, kind))?;
        Ok(Value::list(keyed.into_iter().map(|(_, element)| element).collect::<Vec<_>>()))
    }
}

/// Sorts elements by their keys, which must be of one kind that has an order.
pub(crate) fn sort<T>(budget: &mut Budget, keyed: &mut [(Value<'_>, T)]) -> Result<(), ErrorKind> {
    let Some((first, _)) = keyed.first() else { return Ok(()) };
    let kind = first.kind();
    if let Some((other, _)) = keyed.iter().find(|(key, _)| key.kind() != kind || key.order(key).is_none()) {
        return Err(ErrorKind::NoOverload(kind, other.kind()));
    }
    // Each round of merging reads each key about once.
    let size: usize = keyed.iter().map(|(key, _)| 1 + key.length()).sum();
    budget.spend(size.saturating_mul(keyed.len().ilog2() as usize + 1))?;
    // What is not a number comes last.
    let is_number = |key: &Value<'_>| !matches!(key, Value::Double(number) if number.is_nan());
    keyed.sort_by(|(left, _), (right, _)| {
        left.order(right).flatten().unwrap_or_else(|| is_number(right).cmp(&is_number(left)))
    });
    Ok(())
}
