//! One value of the application file: is it of the right type, and in range?
//!
//! It exists beside `file` so that the wording of type and range errors is in one place. It repeats
//! keys but never values, because a secret may stand where a number should.

use std::cell::Cell;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::context::{Context, Located, Span};
use super::diagnostic::{Problem, quoted};
use super::interpolate::{Reference, Text, interpolate};
use wasm_host_limits::setting::Setting;

pub fn plain_text(
    cx: &Context<'_>,
    key: &str,
    value: &Spanned<DeValue<'_>>,
) -> Option<Located<String>> {
    let DeValue::String(text) = value.get_ref() else {
        wrong_type(cx, key, &value.span(), "a string", value.get_ref());
        return None;
    };
    if text.contains("${") {
        cx.error(
            &value.span(),
            Problem::new(
                format!("'${{...}}' is not replaced in {}", quoted(key)),
                "it works in 'url' and in 'environment'; write the value itself here",
            ),
        );
        return None;
    }
    Some(Located { value: text.clone().into_owned(), at: value.span() })
}

/// `None` also where a secret is not here and need not be.
pub fn interpolated_text(
    cx: &Context<'_>,
    key: &str,
    value: &Spanned<DeValue<'_>>,
) -> Option<Located<Text>> {
    let DeValue::String(text) = value.get_ref() else {
        wrong_type(cx, key, &value.span(), "a string", value.get_ref());
        return None;
    };
    let is_missing = Cell::new(false);
    let resolve = |reference: Reference<'_>| {
        let value = cx.resolve(reference, &value.span())?;
        is_missing.set(is_missing.get() || value.is_none());
        Ok(value.unwrap_or_default())
    };
    match interpolate(text, resolve) {
        Ok(_) if is_missing.get() => None,
        Ok(text) => Some(Located { value: text, at: value.span() }),
        Err(problems) => {
            for problem in problems {
                cx.error(&value.span(), problem);
            }
            None
        }
    }
}

pub fn table_of<'t>(
    cx: &Context<'_>,
    key: &str,
    value: &'t Spanned<DeValue<'t>>,
    example: &str,
) -> Option<(Span, &'t DeTable<'t>)> {
    match value.get_ref() {
        DeValue::Table(table) => Some((value.span(), table)),
        other => {
            wrong_type(cx, key, &value.span(), &format!("a table, as in {example}"), other);
            None
        }
    }
}

/// `None` for a negative number, which is below every minimum.
pub fn unsigned(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    if integer.as_str().starts_with('-') {
        return None;
    }
    let digits = integer.as_str().trim_start_matches('+');
    Some(u64::from_str_radix(digits, integer.radix()).unwrap_or(u64::MAX))
}

/// `None` is below every minimum.
pub fn within<T: PartialOrd + Copy>(
    value: Option<T>,
    setting: Setting<T>,
    show: impl Fn(T) -> String,
) -> Result<T, Problem> {
    match value {
        Some(value) if value > setting.max => Err(Problem::new(
            format!("{} is too large", quoted(setting.key)),
            format!("the maximum is {}", show(setting.max)),
        )),
        Some(value) if value >= setting.min => Ok(value),
        _ => Err(Problem::new(
            format!("{} is too small", quoted(setting.key)),
            format!("the minimum is {}", show(setting.min)),
        )),
    }
}

pub fn wrong_type(cx: &Context<'_>, key: &str, at: &Span, expected: &str, found: &DeValue<'_>) {
    cx.error(at, of_wrong_type(key, expected, found));
}

pub fn of_wrong_type(key: &str, expected: &str, found: &DeValue<'_>) -> Problem {
    let found = match found {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    Problem::new(format!("{} is {found}", quoted(key)), format!("it must be {expected}"))
}
