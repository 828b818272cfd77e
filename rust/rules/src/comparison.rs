//! Comparisons that pay for what they read. Values share their parts, so that one that was made in a few steps can
//! take more steps to compare than there are seconds: `[a, a]`, of which `a` is `[b, b]`, and so on.

use std::cmp::Ordering;

use crate::ast::Comparison;
use crate::budget::Budget;
use crate::error::ErrorKind;
use crate::value::{Value, find, no_overload};

/// `left comparison right`.
pub(crate) fn compare(
    budget: &mut Budget,
    comparison: Comparison,
    left: &Value<'_>,
    right: &Value<'_>,
) -> Result<bool, ErrorKind> {
    let accepted: fn(Ordering) -> bool = match comparison {
        Comparison::Equal => return are_equal(budget, left, right),
        Comparison::NotEqual => return are_equal(budget, left, right).map(|equal| !equal),
        Comparison::In => return is_in(budget, left, right),
        Comparison::Less => Ordering::is_lt,
        Comparison::LessOrEqual => Ordering::is_le,
        Comparison::Greater => Ordering::is_gt,
        Comparison::GreaterOrEqual => Ordering::is_ge,
    };
    budget.spend(left.length().min(right.length()))?;
    let order = left.order(right).ok_or_else(|| no_overload(left, right))?;
    Ok(order.is_some_and(accepted))
}

/// [`Value::equals`].
fn are_equal(budget: &mut Budget, left: &Value<'_>, right: &Value<'_>) -> Result<bool, ErrorKind> {
    match (left, right) {
        (Value::List(left), Value::List(right)) => {
            if left.len() != right.len() {
                return Ok(false);
            }
            for (left, right) in left.iter().zip(right.iter()) {
                budget.spend(1)?;
                if !are_equal(budget, left, right)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Map(left), Value::Map(right)) => {
            if left.len() != right.len() {
                return Ok(false);
            }
            for ((left_key, left), (right_key, right)) in left.iter().zip(right.iter()) {
                budget.spend(1)?;
                if !are_equal(budget, left_key, right_key)? || !are_equal(budget, left, right)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Optional(Some(left)), Value::Optional(Some(right))) => {
            budget.spend(1)?;
            are_equal(budget, left, right)
        }
        _ => {
            budget.spend(left.length().min(right.length()))?;
            Ok(left.equals(right))
        }
    }
}

fn is_in(budget: &mut Budget, element: &Value<'_>, container: &Value<'_>) -> Result<bool, ErrorKind> {
    match container {
        Value::List(members) => {
            for member in members.iter() {
                budget.spend(1)?;
                if are_equal(budget, member, element)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::Map(entries) => {
            budget.spend(element.length())?;
            Ok(find(entries, element).is_some())
        }
        _ => Err(no_overload(element, container)),
    }
}
