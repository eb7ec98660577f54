//! One `[[call]]`: what it asks, which answers fit that, and that nothing else is written.

use std::time::Duration;

use super::raw::{RawAnswer, RawCall, RawError, RawRow, RawSqlError, raw_body};
use super::{body, content, duration, end, headers, optional_duration};
use crate::case::value::{Expected, cell};
use crate::case::{
    Action, Answer, End, Exchange, FunctionAnswer, HttpAnswer, Outcome, RowItem, RowsAnswer,
    RowsEnd, Target,
};
use wasm_host_capabilities::function::FunctionCall;
use wasm_host_capabilities::postgres::backend::{Column, Error, SqlError};

const NO_END: &str = "answer: a database ends with end = \"stall\" or an `error`, such as \
                      { unavailable = \"the connection was lost\" }";

const KINDS: &str = "query, execute, begin, commit, rollback, ollama, http, function";

/// What is asked and answered, and the time before it.
pub(super) fn action(mut raw: RawCall) -> Result<(Action, Duration), String> {
    let mut answer = std::mem::take(&mut raw.answer);
    let after = optional_duration("answer.after", answer.after.take())?.unwrap_or_default();
    let begin = raw.begin.take();
    let (commit, rollback) = (raw.commit.take(), raw.rollback.take());
    let named = [raw.query.is_some(), raw.execute.is_some(), begin.is_some(), commit.is_some()];
    let others =
        [rollback.is_some(), raw.ollama.is_some(), raw.http.is_some(), raw.function.is_some()];
    if named.iter().chain(&others).filter(|is| **is).count() != 1 {
        return Err(format!("a call has exactly one of {KINDS}"));
    }
    let action = if let Some(statement) = raw.query.take() {
        let parameters = parameters(&mut raw)?;
        Action::Query { statement, parameters, answer: rows(&mut answer)? }
    } else if let Some(statement) = raw.execute.take() {
        let parameters = parameters(&mut raw)?;
        let changed = answer.changed.take().unwrap_or_default();
        Action::Execute { statement, parameters, answer: simple(&mut answer, changed)? }
    } else if let Some(outcome) = begin {
        let outcome = match outcome.as_str() {
            "committed" => Outcome::Committed,
            "rolled-back" => Outcome::RolledBack,
            other => return Err(format!("begin: '{other}' is neither committed nor rolled-back")),
        };
        if raw.transaction.is_some() {
            return Err("a transaction does not begin within another".to_string());
        }
        Action::Begin { outcome, answer: simple(&mut answer, ())? }
    } else if commit.is_some() || rollback.is_some() {
        if raw.transaction.is_none() {
            return Err("`transaction` says which one".to_string());
        }
        match (commit, rollback) {
            (Some(true), _) => Action::Commit { answer: simple(&mut answer, ())? },
            (_, Some(true)) => Action::Rollback { answer: simple(&mut answer, ())? },
            _ => return Err("it is written commit = true or rollback = true".to_string()),
        }
    } else if let Some(function) = raw.function.take() {
        if raw.transaction.is_some() {
            return Err("`transaction` is for the database".to_string());
        }
        Action::Function { call: function_call(function, &mut raw)?, answer: given(&mut answer)? }
    } else {
        let (to, line) = match (raw.ollama.take(), raw.http.take()) {
            (Some(line), _) => (Target::Ollama, line),
            (None, line) => (Target::Service, line.unwrap_or_default()),
        };
        if raw.transaction.is_some() {
            return Err("`transaction` is for the database".to_string());
        }
        Action::Http { exchange: exchange(to, &line, &mut raw)?, answer: http(&mut answer)? }
    };
    nothing_left(&raw, &answer)?;
    Ok((action, after))
}

fn parameters(raw: &mut RawCall) -> Result<Vec<Expected>, String> {
    let parameters = raw.parameters.take().unwrap_or_default();
    let read = |toml| Expected::read(toml).map_err(|why| format!("parameters: {why}"));
    parameters.iter().map(read).collect()
}

fn simple<T>(answer: &mut RawAnswer, value: T) -> Result<Answer<T>, String> {
    match (answer.error.take(), answer.end.take().as_deref()) {
        (None, None) => Ok(Answer::Value(value)),
        (Some(error), None) => Ok(Answer::Error(error.into())),
        (None, Some("stall")) => Ok(Answer::Stall),
        _ => Err(NO_END.to_string()),
    }
}

fn rows(answer: &mut RawAnswer) -> Result<RowsAnswer, String> {
    let (error, ending) = (answer.error.take().map(Error::from), answer.end.take());
    let stalls = match ending.as_deref() {
        None | Some("whole") => false,
        Some("stall") if error.is_none() => true,
        _ => return Err(NO_END.to_string()),
    };
    let Some(names) = answer.columns.take() else {
        if answer.rows.is_some() {
            return Err("answer: rows need `columns`, as in [\"id int4\", \"name text\"]".into());
        }
        return match error {
            Some(error) => Ok(RowsAnswer::Refused(error)),
            None if stalls => Ok(RowsAnswer::Silent),
            None => Err("answer: a query is answered with `columns` and `rows`, an `error`, or \
                         end = \"stall\""
                .into()),
        };
    };
    let columns = names.iter().map(|name| column(name)).collect::<Result<Vec<_>, _>>()?;
    let rows = answer.rows.take().unwrap_or_default().into_iter();
    let rows = rows.map(|row| row_of(row, &columns)).collect::<Result<_, _>>()?;
    let end = match error {
        Some(error) => RowsEnd::Error(error),
        None if stalls => RowsEnd::Stall,
        None => RowsEnd::Whole,
    };
    Ok(RowsAnswer::Rows { columns, rows, end })
}

fn column(text: &str) -> Result<Column, String> {
    let (name, type_name) = text.trim().rsplit_once(' ').ok_or_else(|| {
        format!("answer.columns: '{text}' is not \"NAME TYPE\", as in \"id int4\"")
    })?;
    Ok(Column { name: name.trim().to_string(), type_name: type_name.to_string() })
}

fn row_of(row: RawRow, columns: &[Column]) -> Result<RowItem, String> {
    let values = match row {
        RawRow::Pause { after } => return duration("after", &after).map(RowItem::Pause),
        RawRow::Row(values) => values,
    };
    if values.len() != columns.len() {
        let (values, columns) = (values.len(), columns.len());
        return Err(format!("answer.rows: a row of {values} values for {columns} columns"));
    }
    let pairs = columns.iter().zip(&values);
    let cells = pairs.map(|(column, value)| {
        cell(&column.type_name, value)
            .map_err(|why| format!("answer.rows: column {}: {why}", column.name))
    });
    cells.collect::<Result<_, _>>().map(RowItem::Row)
}

fn exchange(to: Target, line: &str, raw: &mut RawCall) -> Result<Exchange, String> {
    let example = match to {
        Target::Ollama => "POST /api/chat",
        Target::Service => "GET http://other/path",
    };
    let valid = line.split_once(' ').filter(|(method, target)| {
        let begins = match to {
            Target::Ollama => target.starts_with('/'),
            Target::Service => target.starts_with("http://") || target.starts_with("https://"),
        };
        begins && method.parse::<http::Method>().is_ok() && target.parse::<http::Uri>().is_ok()
    });
    let (method, target) =
        valid.ok_or_else(|| format!("'{line}' is no request line such as \"{example}\""))?;
    let any_body = std::mem::take(&mut raw.any_body);
    let body = body(raw_body(raw.text.take(), raw.json.take(), raw.base64.take()))?;
    if any_body && body.is_some() {
        return Err("either a body or any-body = true".to_string());
    }
    Ok(Exchange {
        to,
        method: method.to_string(),
        target: target.to_string(),
        headers: headers(raw.headers.take())?,
        body,
        any_body,
    })
}

fn http(answer: &mut RawAnswer) -> Result<HttpAnswer, String> {
    let (status, heads) = (answer.status.take(), answer.headers.take());
    let raw = raw_body(answer.text.take(), answer.json.take(), answer.base64.take());
    let content = content(raw, answer.lines.take(), answer.chunks.take())?;
    let ending = end(answer.end.take().as_deref())?;
    let has_head = status.is_some() || heads.is_some();
    let empty = matches!(content, crate::case::Content::Empty);
    match (answer.unreachable.take(), answer.lost.take()) {
        (None, None) if ending == End::Stall && !has_head && empty => Ok(HttpAnswer::Silent),
        (None, None) => {
            let status = status.unwrap_or(200);
            http::StatusCode::from_u16(status).map_err(|_| format!("status: {status} is none"))?;
            Ok(HttpAnswer::Response { status, headers: headers(heads)?, content, end: ending })
        }
        (Some(why), None) if !has_head && empty => Ok(HttpAnswer::Unreachable(why)),
        (None, Some(how)) if !has_head && empty => Ok(HttpAnswer::Lost(how)),
        _ => Err("answer: one of a response, `unreachable` and `lost`".to_string()),
    }
}

fn function_call(function: String, raw: &mut RawCall) -> Result<FunctionCall, String> {
    let is_named = |(capability, name): &(&str, &str)| !capability.is_empty() && !name.is_empty();
    if function.split_once('.').filter(is_named).is_none() {
        return Err(format!(
            "function: '{function}' is not CAPABILITY.FUNCTION, as in \"keyvalue.get\""
        ));
    }
    let arguments = match raw.json.take().as_deref().map(serde_json::from_str) {
        None => serde_json::Map::new(),
        Some(Ok(serde_json::Value::Object(arguments))) => arguments,
        Some(Ok(_)) => {
            return Err(
                "json: a function's arguments are by name, as in { key = \"a\" }".to_string()
            );
        }
        Some(Err(error)) => return Err(format!("json: {error}")),
    };
    Ok(FunctionCall { function, arguments })
}

fn given(answer: &mut RawAnswer) -> Result<FunctionAnswer, String> {
    let read = |key: &str, text: String| {
        serde_json::from_str(&text).map_err(|error| format!("answer.{key}: {error}"))
    };
    let (value, failure) = (answer.json.take(), answer.failure.take());
    match (value, failure, answer.unreachable.take(), answer.end.take().as_deref()) {
        (None, None, None, None) => Ok(FunctionAnswer::Value(serde_json::Value::Null)),
        (Some(text), None, None, None) => read("json", text).map(FunctionAnswer::Value),
        (None, Some(text), None, None) => read("failure", text).map(FunctionAnswer::Error),
        (None, None, Some(why), None) => Ok(FunctionAnswer::Unreachable(why)),
        (None, None, None, Some("stall")) => Ok(FunctionAnswer::Stall),
        _ => Err("answer: one of `json`, `failure`, `unreachable` and end = \"stall\"".to_string()),
    }
}

/// Keys that this kind of call does not have.
fn nothing_left(raw: &RawCall, answer: &RawAnswer) -> Result<(), String> {
    let left = [
        (raw.parameters.is_some(), "parameters"),
        (raw.headers.is_some(), "headers"),
        (raw.text.is_some(), "text"),
        (raw.json.is_some(), "json"),
        (raw.base64.is_some(), "base64"),
        (raw.any_body, "any-body"),
        (answer.columns.is_some(), "answer.columns"),
        (answer.rows.is_some(), "answer.rows"),
        (answer.changed.is_some(), "answer.changed"),
        (answer.error.is_some(), "answer.error"),
        (answer.failure.is_some(), "answer.failure"),
        (answer.unreachable.is_some(), "answer.unreachable"),
        (answer.lost.is_some(), "answer.lost"),
        (answer.status.is_some(), "answer.status"),
        (answer.headers.is_some(), "answer.headers"),
        (answer.text.is_some(), "answer.text"),
        (answer.json.is_some(), "answer.json"),
        (answer.base64.is_some(), "answer.base64"),
        (answer.lines.is_some(), "answer.lines"),
        (answer.chunks.is_some(), "answer.chunks"),
        (answer.end.is_some(), "answer.end"),
    ];
    match left.into_iter().find(|(is, _)| *is) {
        Some((_, key)) => Err(format!("this kind of call has no `{key}`")),
        None => Ok(()),
    }
}

impl From<RawError> for Error {
    fn from(raw: RawError) -> Self {
        match raw {
            RawError::Unavailable(why) => Self::Unavailable(why),
            RawError::Busy(why) => Self::Busy(why),
            RawError::TimedOut(why) => Self::TimedOut(why),
            RawError::Cancelled => Self::Cancelled,
            RawError::InvalidParameter(why) => Self::InvalidParameter(why),
            RawError::Unsupported(why) => Self::Unsupported(why),
            RawError::Ended => Self::Ended,
            RawError::Database(RawSqlError {
                sqlstate,
                severity,
                message,
                detail,
                hint,
                constraint,
                table,
                column,
                position,
            }) => Self::Database(SqlError {
                sqlstate,
                severity: severity.unwrap_or_else(|| "ERROR".to_string()),
                message,
                detail,
                hint,
                constraint,
                table,
                column,
                position,
            }),
        }
    }
}
